use expect_test::expect;

use super::*;

#[test]
fn a_line_that_is_no_floor_is_an_error() {
    for line in [
        "receive 10 1",
        "receive ten 1 1",
        "receive 10 0 1",
        "receive 10 1 0",
        "sing 10 1 1",
        "receive 10 1 1 1",
        "relay 1 1024 1",
        "relay 1 4 1 10",
        "relay 1 1024 1 0",
    ] {
        let error = run(line, Path::new("/nowhere")).expect_err(line);
        assert!(matches!(error, Error::Line { .. }), "{line}: {error}");
    }
    let error = run("sing", Path::new("/nowhere")).expect_err("no floor");
    expect!["`sing` is no floor: receive|send BYTES REQUEST_BYTES FILES, or relay SECONDS RECORD_BYTES FILES RECORDS_PER_SECOND"]
        .assert_eq(&error.to_string());
}
