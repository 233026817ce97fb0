use ottla_protocol::Str;

use super::*;

fn component(match_type: i8, name: Option<&str>) -> ComponentData {
    ComponentData { entity_type: "user".into(), match_type, r#match: name.map(Str::from), ..Default::default() }
}

#[test]
fn a_name_stands_where_one_belongs() {
    let wanted = |match_type, name| filter(&component(match_type, name)).map(|filter| filter.wanted);
    assert_eq!(wanted(EXACT, Some("u")), Ok(QuotaMatch::Exact("u".into())));
    assert_eq!(wanted(DEFAULT, None), Ok(QuotaMatch::Default));
    assert_eq!(wanted(SPECIFIED, None), Ok(QuotaMatch::Any));
    let refused = |match_type, name| wanted(match_type, name).unwrap_err().text().to_string();
    assert_eq!(refused(EXACT, None), "Request specified MATCH_TYPE_EXACT, but set match string to null.");
    assert_eq!(refused(DEFAULT, Some("u")), "Request specified MATCH_TYPE_DEFAULT, but also specified a match string.");
    assert_eq!(
        refused(SPECIFIED, Some("u")),
        "Request specified MATCH_TYPE_SPECIFIED, but also specified a match string."
    );
    assert_eq!(refused(3, None), "Unknown match type 3");
}
