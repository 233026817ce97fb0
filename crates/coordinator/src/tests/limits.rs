//! Limits that Kafka does not have.

use expect_test::expect;

use super::{Script, check_with};
use crate::GroupConfig;

#[test]
fn a_partition_holds_so_many_groups() {
    let config = GroupConfig {
        max_groups: 2,
        ..GroupConfig::default()
    };
    check_with(
        config,
        "join a - v=3
         commit b -1 - t:0=1
         join c - v=3
         commit d -1 - t:0=1
         commit b -1 - t:0=2
         delete b
         join c - v=3",
        expect![[r#"
            > join a - v=3
            append group a generation 0 /- leader - []
            > commit b -1 - t:0=1
            append b/t:0=1
            2: commit [t:0 ok]
            > join c - v=3
            3: join PolicyViolation member=
            > commit d -1 - t:0=1
            4: commit [t:0 PolicyViolation]
            > commit b -1 - t:0=2
            append b/t:0=2
            5: commit [t:0 ok]
            > delete b
            append b/t:0 gone, group b gone
            6: delete [b ok]
            > join c - v=3
            append group c generation 0 /- leader - []
        "#]],
    );
}

#[test]
fn so_many_ids_are_reserved() {
    let config = GroupConfig {
        max_pending_members: 1,
        ..GroupConfig::default()
    };
    check_with(
        config,
        "join g -
         join g -
         join g c~1
         join g -",
        expect![[r#"
            > join g -
            1: join MemberIdRequired member=c~1
            append group g generation 0 /- leader - []
            > join g -
            2: join GroupMaxSizeReached member=
            > join g c~1
            > join g -
            4: join MemberIdRequired member=c~4
        "#]],
    );
}

#[test]
fn protocols_are_so_large() {
    let config = GroupConfig {
        max_protocol_bytes: 40,
        ..GroupConfig::default()
    };
    check_with(
        config,
        "join g - v=3 protocols=range+abc
         join g - v=3 protocols=range+abcd
         join g - v=3 protocols=,a+,b+",
        expect![[r#"
            > join g - v=3 protocols=range+abc
            append group g generation 0 /- leader - []
            > join g - v=3 protocols=range+abcd
            2: join InvalidRequest member=
            > join g - v=3 protocols=,a+,b+
            3: join InvalidRequest member=
        "#]],
    );
}

#[test]
fn a_client_id_leaves_room_for_a_member_id() {
    let mut run = Script::new(GroupConfig::default());
    for length in [32_730, 32_731] {
        run.commands(&format!("join g - v=3 client={}", "c".repeat(length)));
    }
    run.commands("wait 6000");
    assert!(run.out.contains("2: join InvalidRequest"));
    assert!(run.out.contains("1: join 1 range"));
}
