use super::*;

#[test]
fn comments_go_and_slashes_in_strings_stay() {
    let text = "// all of it\n{ \"a\": \"http://x\" } // the rest\n";
    assert_eq!(without_comments(text), "\n{ \"a\": \"http://x\" } \n");
}

fn field(json: &str) -> Result<Field, SchemaError> {
    let schema =
        format!(r#"{{ "type": "data", "name": "M", "validVersions": "0-3", "fields": [{json}] }}"#);
    let mut message = parse(&schema, Origin::Clients)?.expect("versions");
    Ok(message.fields.remove(0))
}

#[test]
fn a_json_null_is_no_default_and_the_word_null_is_one() {
    let null = r#"{ "name": "A", "type": "[]Part", "versions": "0+", "default": null }"#;
    assert_eq!(field(null).expect("valid").default, None);
    let word = r#"{ "name": "A", "type": "[]Part", "versions": "0+", "default": "null" }"#;
    let field = field(word).expect("valid");
    assert_eq!(field.default.as_deref(), Some("null"));
    assert_eq!(field.ty, Type::Array(Box::new(Type::Struct("Part".into()))));
}

#[test]
fn tagged_fields_need_a_tag_and_may_do_without_versions() {
    let tagged = r#"{ "name": "A", "type": "int8", "taggedVersions": "1+", "tag": 4 }"#;
    let tagged = field(tagged).expect("valid");
    assert_eq!((tagged.tag, tagged.versions.lowest), (Some(4), 1));
    let untagged = r#"{ "name": "A", "type": "int8", "taggedVersions": "1+" }"#;
    assert!(matches!(field(untagged), Err(SchemaError::MissingTag(_))));
    let unversioned = r#"{ "name": "A", "type": "int8" }"#;
    assert!(matches!(
        field(unversioned),
        Err(SchemaError::NoVersions(_))
    ));
}

#[test]
fn schemas_without_versions_are_skipped() {
    let removed = r#"{ "type": "request", "name": "Old", "apiKey": 4, "validVersions": "none" }"#;
    assert!(parse(removed, Origin::Clients).expect("valid").is_none());
    let odd = r#"{ "type": "poem", "name": "Ode", "validVersions": "0" }"#;
    assert!(matches!(
        parse(odd, Origin::Clients),
        Err(SchemaError::Kind(_))
    ));
}
