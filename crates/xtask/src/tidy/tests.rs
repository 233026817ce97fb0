use std::fs;

use super::{check_map, named_files};

#[test]
fn files_are_named_between_backticks() {
    let text = "see `net/send.rs` and `a b.rs`, `x/{y,z}.rs`, not send.rs\n`log` then `tail.rs`";
    assert_eq!(
        named_files(text).collect::<Vec<_>>(),
        ["net/send.rs", "tail.rs"]
    );
}

#[test]
fn a_map_that_lags_behind_is_found_out() {
    let root = tempfile::tempdir().unwrap();
    let source = root.path().join("crates/net/src");
    fs::create_dir_all(&source).unwrap();
    fs::write(source.join("send.rs"), "//! Sends.").unwrap();
    let manifest = "[workspace.dependencies]\nbytes = \"1\"\ntokio = \"1\"\n";
    fs::write(root.path().join("Cargo.toml"), manifest).unwrap();
    let map = "`net/send.rs`, `net/gone.rs`, `crates/net/src/send.rs`; bytes";
    fs::write(root.path().join("ARCHITECTURE.md"), map).unwrap();

    let mut complaints = Vec::new();
    check_map(root.path(), &mut complaints).unwrap();
    assert_eq!(
        complaints,
        [
            "ARCHITECTURE.md names net/gone.rs, which is not there",
            "ARCHITECTURE.md does not say what tokio is for",
        ]
    );
}
