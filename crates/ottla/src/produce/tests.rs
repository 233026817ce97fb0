use super::*;

fn parser(separator: Option<&str>, null_marker: Option<&str>) -> Parser {
    Parser {
        separator: separator.map(str::to_owned),
        null_marker: null_marker.map(str::to_owned),
        headers: Vec::new(),
        partition: None,
    }
}

fn line(text: &str) -> Line {
    Line {
        number: 3,
        text: text.as_bytes().to_vec(),
    }
}

type Pair = (Option<&'static str>, Option<&'static str>);

fn check(parser: &Parser, text: &str, (key, value): Pair) {
    let record = parser.parse(line(text)).unwrap();
    assert_eq!(record.key.as_deref(), key.map(str::as_bytes), "{text}");
    assert_eq!(record.value.as_deref(), value.map(str::as_bytes), "{text}");
}

#[test]
fn lines_become_keys_and_values() {
    check(&parser(None, None), "a:b", (None, Some("a:b")));
    check(&parser(Some(":"), None), "a:b:c", (Some("a"), Some("b:c")));
    check(&parser(Some("=>"), None), "a=>", (Some("a"), Some("")));
    check(&parser(Some(":"), Some("-")), "-:x", (None, Some("x")));
    check(&parser(Some(":"), Some("-")), "x:-", (Some("x"), None));
}

#[test]
fn a_line_without_the_separator_is_named() {
    let error = parser(Some("\t"), None).parse(line("no tab")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 3 has no key: it lacks the separator \"\\t\""
    );
}

#[test]
fn lines_are_handed_over_in_order_and_whole() {
    let text: String = (0..5000)
        .map(|i| format!("line {i}\r\n"))
        .collect::<String>()
        + "last";
    let (sender, mut lines) = mpsc::channel(100);
    read_lines(text.as_bytes(), ToolError::Input, &sender);
    drop(sender);
    let mut seen = Vec::new();
    while let Some(chunk) = lines.blocking_recv() {
        let chunk = chunk.unwrap();
        assert!(chunk.len() <= CHUNK_LINES_MAX);
        seen.extend(chunk);
    }
    assert_eq!(seen.len(), 5001);
    assert_eq!(seen[4999].text, b"line 4999");
    assert_eq!(
        (seen[5000].number, seen[5000].text.as_slice()),
        (5001, b"last".as_slice())
    );
}
