//! The rules of one change that scenarios of a whole cluster seldom reach.

use ottla_metadata::directory;

use super::*;

fn partition(replicas: &[i32], isr: &[i32], leader: Option<i32>) -> Partition {
    Partition {
        replicas: replicas.to_vec(),
        directories: vec![directory::UNASSIGNED; replicas.len()],
        isr: isr.to_vec(),
        removing_replicas: vec![],
        adding_replicas: vec![],
        eligible_leader_replicas: vec![],
        last_known_elr: vec![],
        leader,
        leader_recovery_state: LeaderRecoveryState::Recovered,
        leader_epoch: 5,
        partition_epoch: 9,
    }
}

fn build(
    partition: &Partition,
    version: i16,
    active: &[i32],
    set: impl FnOnce(&mut PartitionChange<'_>),
) -> Option<PartitionChangeRecord> {
    let acceptable = |r: i32| active.contains(&r);
    let directory = |_: i32| directory::UNASSIGNED;
    let context = ChangeContext {
        metadata_version: MetadataVersion::from_level(version).unwrap(),
        elr_enabled: version >= 26,
        min_isr: 2,
        is_acceptable_leader: &acceptable,
        default_directory: &directory,
    };
    let mut change = PartitionChange::new(Uuid::from_u128(1 << 64), 0, partition, context);
    set(&mut change);
    change.build()
}

#[test]
fn what_does_not_change_makes_no_record() {
    assert_eq!(
        build(&partition(&[1, 2], &[1, 2], Some(1)), 30, &[1, 2], |_| {}),
        None
    );
    // A leader that is not acceptable, with nobody to follow it, leaves none.
    let record = build(&partition(&[1], &[1], Some(1)), 30, &[], |_| {}).unwrap();
    assert_eq!(
        (record.leader, record.isr, record.last_known_elr),
        (NO_LEADER, None, Some(vec![1]))
    );
}

#[test]
fn a_shrink_begins_an_epoch_only_for_old_brokers() {
    let p = partition(&[1, 2, 3], &[1, 2, 3], Some(1));
    let shrink = |c: &mut PartitionChange<'_>| c.isr = vec![1, 2];
    assert_eq!(build(&p, 11, &[1, 2, 3], shrink).unwrap().leader, 1);
    assert_eq!(
        build(&p, 12, &[1, 2, 3], shrink).unwrap().leader,
        NO_LEADER_CHANGE
    );
    let grow = partition(&[1, 2, 3], &[1], Some(1));
    assert_eq!(
        build(&grow, 11, &[1, 2, 3], shrink).unwrap().leader,
        NO_LEADER_CHANGE
    );
}

#[test]
fn a_replica_that_leaves_is_fenced_by_an_epoch() {
    let p = partition(&[1, 2, 3], &[1, 2, 3], Some(1));
    let record = build(&p, 30, &[1, 2, 3], |c| {
        c.replicas = vec![1, 2];
        c.isr = vec![1, 2];
    })
    .unwrap();
    assert_eq!(
        (record.leader, record.replicas.clone()),
        (1, Some(vec![1, 2]))
    );
    assert_eq!(p.merged(&record).unwrap().leader_epoch, 6);
}

#[test]
fn an_unclean_election_leaves_the_leader_alone_in_sync() {
    let p = partition(&[1, 2], &[1], None);
    assert_eq!(build(&p, 22, &[2], |_| {}), None);
    let record = build(&p, 22, &[2], |c| c.election = Election::Unclean).unwrap();
    assert_eq!(
        (record.leader, record.isr, record.leader_recovery_state),
        (2, Some(vec![2]), 1)
    );
}

#[test]
fn an_eligible_replica_leads_before_any_unclean_one() {
    let mut p = partition(&[1, 2, 3], &[], None);
    p.eligible_leader_replicas = vec![2, 3];
    let record = build(&p, 30, &[1, 3], |c| c.election = Election::Unclean).unwrap();
    assert_eq!((record.leader, record.isr.clone()), (3, Some(vec![3])));
    assert_eq!(
        (
            record.eligible_leader_replicas,
            record.leader_recovery_state
        ),
        (Some(vec![2]), -1)
    );
}

#[test]
fn a_smaller_set_of_replicas_waits_until_all_of_it_is_in_sync() {
    let mut p = partition(&[2, 5, 1, 3], &[1, 5], Some(1));
    p.removing_replicas = vec![1, 3];
    p.adding_replicas = vec![5];
    assert_eq!(build(&p, 30, &[1, 2, 3, 5], |_| {}), None);
    let record = build(&p, 30, &[1, 2, 3, 5], |c| c.isr = vec![1, 2, 5]).unwrap();
    assert_eq!(
        (record.replicas, record.isr, record.leader),
        (Some(vec![2, 5]), Some(vec![2, 5]), 2)
    );
    assert_eq!(
        (record.removing_replicas, record.adding_replicas),
        (Some(vec![]), Some(vec![]))
    );
}

#[test]
fn old_metadata_versions_know_no_directories() {
    let p = partition(&[1], &[1], Some(1));
    let moved = |c: &mut PartitionChange<'_>| c.directory = Some((1, Uuid::from_u128(700)));
    assert_eq!(build(&p, 15, &[1], moved), None);
    assert_eq!(
        build(&p, 17, &[1], moved).unwrap().directories,
        Some(vec![Uuid::from_u128(700)])
    );
}
