use expect_test::expect;
use ottla_metadata::{FEATURES, KRAFT_VERSION_FEATURE, METADATA_VERSION_FEATURE};

use super::*;

#[test]
fn a_new_cluster_starts_with_the_defaults_of_its_version() {
    let cluster = Cluster::empty(&[]);
    expect![[r#"[("metadata.version", 30), ("eligible.leader.replicas.version", 1), ("group.version", 1), ("share.version", 1), ("streams.version", 1), ("transaction.version", 2)]"#]].assert_eq(&format!(
        "{:?}",
        cluster.controller.image().features.finalized()
    ));
    let again = cluster
        .controller
        .activate(bootstrap_records(MetadataVersion::LATEST_PRODUCTION));
    assert!(
        again.records.is_empty(),
        "a log that is not empty is left alone"
    );

    let config = Arc::new(BrokerConfig::load(None, &[]).unwrap());
    let blank = Controller::new("c", config.clone(), MetadataImage::default(), 0);
    let outcome = blank.activate(bootstrap_records(MetadataVersion::LATEST_PRODUCTION));
    expect!["BeginTransactionRecord FeatureLevelRecord FeatureLevelRecord FeatureLevelRecord FeatureLevelRecord FeatureLevelRecord FeatureLevelRecord ConfigRecord EndTransactionRecord"].assert_eq(&kinds(&outcome.records));
    let old = MetadataVersion::from_level(11).unwrap();
    let outcome = blank.activate(bootstrap_records(old));
    assert!(outcome.atomic);
    assert_eq!(kinds(&outcome.records), "FeatureLevelRecord");
}

#[test]
fn levels_change_within_what_everybody_supports() {
    let mut cluster = Cluster::of(&[1]);
    let mut lines = String::new();
    for (feature, level, upgrade_type) in [
        ("group.version", 0, 1),
        ("group.version", 0, 2),
        ("group.version", 1, 2),
        ("group.version", 1, 1),
        ("group.version", 2, 1),
        ("group.version", -1, 2),
        ("group.version", 1, 9),
        ("no.such.feature", 1, 1),
        (KRAFT_VERSION_FEATURE, 1, 1),
        (KRAFT_VERSION_FEATURE, 0, 1),
        (METADATA_VERSION_FEATURE, 29, 2),
        (METADATA_VERSION_FEATURE, 29, 3),
        (METADATA_VERSION_FEATURE, 30, 1),
        (METADATA_VERSION_FEATURE, 31, 1),
        ("eligible.leader.replicas.version", 0, 2),
        ("eligible.leader.replicas.version", 1, 1),
    ] {
        let update = FeatureUpdate {
            feature: feature.into(),
            level,
            upgrade_type: UpgradeType::from_code(upgrade_type),
        };
        let result = cluster.run(|c, _| c.update_features(&[update], false));
        lines += &format!("{feature} {level}: {}\n", outcome_of(&result));
    }
    expect![[r#"
        group.version 0: InvalidUpdateVersion: Invalid update version 0 for feature group.version. Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.
        group.version 0: ok
        group.version 1: InvalidUpdateVersion: Invalid update version 1 for feature group.version. Can't downgrade to a newer version.
        group.version 1: ok
        group.version 2: InvalidUpdateVersion: Invalid update version 2 for feature group.version. Local controller 1 only supports versions 0-1
        group.version -1: InvalidUpdateVersion: Invalid update version -1 for feature group.version. A feature version cannot be less than 0.
        group.version 1: InvalidUpdateVersion: Invalid update version 1 for feature group.version. The controller does not support the given upgrade type.
        no.such.feature 1: InvalidUpdateVersion: Invalid update version 1 for feature no.such.feature. Local controller 1 does not support this feature.
        kraft.version 1: InvalidUpdateVersion: Invalid update version 1 for feature kraft.version. Only the quorum itself can change the version of this feature.
        kraft.version 0: ok
        metadata.version 29: InvalidUpdateVersion: Unsupported metadata.version downgrade from 30 to 29. Refusing to perform the requested downgrade because it might delete metadata information.
        metadata.version 29: InvalidUpdateVersion: Unsupported metadata.version downgrade from 30 to 29. Unsafe metadata downgrade is not supported in this version.
        metadata.version 30: ok
        metadata.version 31: InvalidUpdateVersion: Invalid update version 31 for feature metadata.version. Local controller 1 only supports versions 7-30
        eligible.leader.replicas.version 0: ok
        eligible.leader.replicas.version 1: ok
    "#]].assert_eq(&lines);
    assert!(FEATURES.iter().all(|f| f.level_min <= f.level_max));
}

#[test]
fn a_feature_waits_for_the_metadata_version_that_it_needs() {
    let mut cluster = Cluster::at_version(MetadataVersion::from_level(22).unwrap(), &[]);
    let update = |feature: &str, level| FeatureUpdate {
        feature: feature.into(),
        level,
        upgrade_type: Some(UpgradeType::Upgrade),
    };
    let elr = update("eligible.leader.replicas.version", 1);
    let error = cluster
        .run(|c, _| c.update_features(std::slice::from_ref(&elr), false))
        .unwrap_err();
    assert_eq!(error.code().name(), "InvalidUpdateVersion");
    let both = [update(METADATA_VERSION_FEATURE, 26), elr];
    cluster.run(|c, _| c.update_features(&both, true)).unwrap();
    assert!(
        !cluster
            .controller
            .image()
            .features
            .eligible_leader_replicas()
    );
    cluster.run(|c, _| c.update_features(&both, false)).unwrap();
    assert!(
        cluster
            .controller
            .image()
            .features
            .eligible_leader_replicas()
    );
    // The cluster has a minimum of its own from then on.
    let config = cluster
        .controller
        .image()
        .config(&ottla_metadata::ConfigResource::cluster());
    assert_eq!(
        config.get("min.insync.replicas").map(Str::as_str),
        Some("1")
    );
}
