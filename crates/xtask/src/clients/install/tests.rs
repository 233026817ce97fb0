use std::fs;

use super::{Toolchain, hash_of};

#[test]
fn the_stamp_follows_the_lock_file_and_nothing_else_of_a_script_language() {
    let sources = tempfile::tempdir().expect("a directory");
    let write =
        |name: &str, text: &str| fs::write(sources.path().join(name), text).expect("written");
    write("requirements.txt", "a==1");
    let first = hash_of(Toolchain::Python, sources.path()).expect("a hash");
    write("suite.py", "print()");
    assert_eq!(
        hash_of(Toolchain::Python, sources.path()).expect("a hash"),
        first
    );
    write("requirements.txt", "a==2");
    assert_ne!(
        hash_of(Toolchain::Python, sources.path()).expect("a hash"),
        first
    );
}

#[test]
fn the_stamp_follows_every_source_of_a_compiled_language() {
    let sources = tempfile::tempdir().expect("a directory");
    let suite = sources.path().join("suite");
    fs::create_dir(&suite).expect("made");
    fs::write(suite.join("main.go"), "package main").expect("written");
    let first = hash_of(Toolchain::Go, sources.path()).expect("a hash");
    fs::rename(suite.join("main.go"), suite.join("other.go")).expect("renamed");
    assert_ne!(
        hash_of(Toolchain::Go, sources.path()).expect("a hash"),
        first
    );
}
