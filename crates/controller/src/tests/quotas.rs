use expect_test::expect;

use super::*;

fn entity(parts: &[(&str, Option<&str>)]) -> Vec<(Str, Option<Str>)> {
    parts
        .iter()
        .map(|(kind, name)| ((*kind).into(), name.map(Str::from)))
        .collect()
}

#[test]
fn quotas_are_set_changed_removed_and_described() {
    let mut cluster = Cluster::empty(&[]);
    let alter =
        |cluster: &mut Cluster, parts: &[(&str, Option<&str>)], ops: &[(&str, Option<f64>)]| {
            let ops = ops
                .iter()
                .map(|(key, value)| ((*key).into(), *value))
                .collect();
            let alteration = QuotaAlteration {
                entity: entity(parts),
                ops,
            };
            let answers = cluster
                .run(|c, _| c.alter_client_quotas(&[alteration], false))
                .unwrap();
            format!("{}\n", outcome_of(&answers[0]))
        };
    let c = &mut cluster;
    let (user, default) = (("user", Some("u")), ("user", None));
    let rate = [("producer_byte_rate", Some(1024.0))];
    let mut lines = String::new();
    lines += &alter(c, &[user], &rate);
    lines += &alter(
        c,
        &[default, ("client-id", Some("x"))],
        &[("request_percentage", Some(12.5))],
    );
    lines += &alter(
        c,
        &[("ip", Some("127.0.0.1"))],
        &[("connection_creation_rate", Some(5.0))],
    );
    for (parts, ops) in [
        (&[][..], &rate[..]),
        (&[("ip", Some("not an address"))], &rate),
        (&[("ip", None), user], &rate),
        (&[user, user], &rate),
        (&[("planet", None)], &rate),
        (&[("user", Some(""))], &rate),
        (&[user], &[("producer_byte_rate", Some(1.5))]),
        (&[user], &[("producer_byte_rate", Some(0.0))]),
        (&[user], &[("producer_byte_rate", Some(f64::NAN))]),
        (&[user], &[("producer_byte_rate", Some(f64::INFINITY))]),
        (&[user], &[("connection_creation_rate", Some(1.0))]),
        (&[user], &[rate[0], rate[0]]),
    ] {
        lines += &alter(c, parts, ops);
    }
    expect![[r#"
        ok
        ok
        ok
        InvalidRequest: Invalid empty client quota entity
        InvalidRequest: not an address is not a valid IP or resolvable host.
        InvalidRequest: Invalid quota entity combination, IP entity should not be combined with User or ClientId
        InvalidRequest: Invalid client quota entity, duplicate entity entry user
        InvalidRequest: Unhandled client quota entity type: planet
        InvalidRequest: Empty user not supported
        InvalidRequest: producer_byte_rate cannot be a fractional value.
        InvalidRequest: Quota producer_byte_rate must be greater than 0
        InvalidRequest: Quota producer_byte_rate must be greater than 0
        InvalidRequest: Proposed value for producer_byte_rate is too large for a LONG.
        InvalidRequest: Invalid configuration key connection_creation_rate
        InvalidRequest: Duplicate quota key producer_byte_rate not updating quota for this entity
    "#]].assert_eq(&lines);

    let describe = |c: &Cluster, filter: &[(&str, QuotaMatch)], strict| {
        let filter: Vec<QuotaFilter> = filter
            .iter()
            .map(|(kind, wanted)| QuotaFilter {
                entity_type: (*kind).into(),
                wanted: wanted.clone(),
            })
            .collect();
        c.controller
            .describe_client_quotas(&filter, strict)
            .map(|found| found.len())
    };
    assert_eq!(describe(c, &[], false), Ok(3));
    assert_eq!(describe(c, &[("user", QuotaMatch::Any)], false), Ok(2));
    assert_eq!(describe(c, &[("user", QuotaMatch::Any)], true), Ok(1));
    assert_eq!(describe(c, &[("user", QuotaMatch::Default)], false), Ok(1));
    assert_eq!(
        describe(c, &[("user", QuotaMatch::Exact("u".into()))], false),
        Ok(1)
    );
    assert_eq!(
        describe(
            c,
            &[("user", QuotaMatch::Any), ("ip", QuotaMatch::Any)],
            false
        ),
        Err(ControlError::MixedFilter)
    );
    assert_eq!(
        describe(c, &[("", QuotaMatch::Any)], false),
        Err(ControlError::EmptyEntityType)
    );

    assert_eq!(alter(c, &[user], &[("producer_byte_rate", None)]), "ok\n");
    assert_eq!(describe(c, &[], false), Ok(2));
    let end = c.log_end;
    alter(c, &[user], &[("producer_byte_rate", None)]);
    assert_eq!(c.log_end, end, "what is not there is not removed again");
}
