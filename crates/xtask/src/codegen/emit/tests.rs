use super::*;
use crate::codegen::schema::{Origin, parse};

fn generated(schema: &str) -> String {
    let message = parse(schema, Origin::Clients)
        .expect("valid")
        .expect("versions");
    let text = message_file(&message, None).expect("can be written");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn names_become_snake_case() {
    for (name, expected) in [
        ("ThrottleTimeMs", "throttle_time_ms"),
        ("KRaftVersion", "k_raft_version"),
        ("ISR", "isr"),
        ("clientID2", "client_id2"),
    ] {
        assert_eq!(snake_case(name), expected);
    }
    assert_eq!(identifier("type"), "r#type");
}

#[test]
fn branches_stand_only_where_versions_differ() {
    let text = generated(
        r#"{ "type": "data", "name": "M", "validVersions": "1-3", "flexibleVersions": "none",
             "fields": [
               { "name": "Always", "type": "int32", "versions": "0+" },
               { "name": "Late", "type": "string", "versions": "2+", "ignorable": true },
               { "name": "LateToo", "type": "int8", "versions": "2+", "default": "-1" },
               { "name": "Gone", "type": "bool", "versions": "0" }
             ] }"#,
    );
    assert!(text.contains(
        "m.always = d.i32()?; if version >= 2 { m.late = d.string(flexible)?; m.late_too = d.i8()?; } Ok(m)"
    ), "{text}");
    // The ignorable field is dropped in silence, the other is not.
    assert!(
        text.contains(r#"else { e.check_absent(self.late_too == -1, "M.late_too", version)?; }"#),
        "{text}"
    );
    assert!(text.contains("late_too: -1,"));
    assert!(!text.contains("gone") && !text.contains("unknown_tagged_fields"));
}

#[test]
fn tagged_fields_are_written_only_when_set() {
    let text = generated(
        r#"{ "type": "data", "name": "M", "validVersions": "0-3", "flexibleVersions": "1+",
             "fields": [{ "name": "Extra", "type": "[]int32", "versions": "2+", "tag": 3,
                          "taggedVersions": "2+", "nullableVersions": "2+", "default": "null" }] }"#,
    );
    assert!(text.contains("pub extra: Option<Vec<i32>>"));
    assert!(
        text.contains("3 if version >= 2 => { m.extra = d.nullable_array(version, flexible)?; }")
    );
    assert!(text.contains(
        "if version >= 2 && self.extra.is_some() { e.tag(&mut tags, 3, &mut |e| { e.nullable_array(self.extra.as_ref(), version, flexible) })?; }"
    ), "{text}");
}

#[test]
fn nulls_are_refused_where_only_later_versions_have_them() {
    let text = generated(
        r#"{ "type": "data", "name": "M", "validVersions": "0-2", "fields": [
             { "name": "Id", "type": "string", "versions": "0+", "nullableVersions": "1+" }] }"#,
    );
    let check = r#"check_null(m.id.is_none(), version >= 1, "M.id", version)?;"#;
    assert!(text.contains(&format!("d.{check}")), "{text}");
    assert!(text.contains("id: Some(Default::default()),"));
}

#[test]
fn a_default_that_fits_no_type_is_an_error() {
    let schema = r#"{ "type": "data", "name": "M", "validVersions": "0", "fields": [
        { "name": "N", "type": "int32", "versions": "0+", "default": "many" }] }"#;
    let message = parse(schema, Origin::Clients)
        .expect("valid")
        .expect("versions");
    assert!(matches!(
        message_file(&message, None),
        Err(SchemaError::Default { .. })
    ));
}
