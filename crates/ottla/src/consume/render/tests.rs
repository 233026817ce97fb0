use bytes::Bytes;
use ottla_records::RecordHeader;

use super::*;

fn record(key: Option<&'static [u8]>, value: Option<&'static [u8]>) -> Record {
    Record {
        offset: 7,
        timestamp: 1_795_497_660_000,
        key: key.map(Bytes::from_static),
        value: value.map(Bytes::from_static),
        headers: vec![RecordHeader {
            key: Bytes::from_static(b"h"),
            value: Some(Bytes::from_static(b"1")),
        }],
    }
}

fn render(renderer: &Renderer, record: &Record) -> Vec<u8> {
    let mut out = Vec::new();
    renderer.render("orders", 3, record, &mut out).unwrap();
    out
}

#[test]
fn templates_name_the_parts_of_a_record() {
    let template =
        "{topic}-{partition}@{offset} {timestamp} {time} {key}={value} [{headers}] {{x}}\\n";
    let renderer = Renderer::Text(Template::parse(template).unwrap());
    let text = render(&renderer, &record(Some(b"k"), Some(b"v\xff")));
    assert_eq!(
        text,
        b"orders-3@7 1795497660000 2026-11-24T05:21:00.000Z k=v\xff [h=1] {x}\n"
    );
}

#[test]
fn templates_with_unknown_places_are_refused() {
    for template in ["{nope}", "{", "}", "{value", "a } b"] {
        assert_eq!(Template::parse(template), None, "{template}");
    }
}

#[test]
fn json_keeps_every_byte() {
    let line = render(&Renderer::JsonLines, &record(None, Some(b"\xff")));
    let value: Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(value["key"], Value::Null);
    assert_eq!(value["value_base64"], "/w==");
    assert_eq!(value["headers"][0]["value"], "1");
    assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
}
