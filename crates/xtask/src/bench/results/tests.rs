use super::*;

#[test]
fn the_file_system_of_a_path_is_that_of_its_longest_mount_point() {
    let mounts =
        "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw,size=1g 0 0\n/dev/vdb /tmp/data xfs rw 0 0\n";
    let of = |path: &str| file_system(mounts, Path::new(path));
    assert_eq!(of("/home/x").as_deref(), Some("ext4 on /dev/vda (rw)"));
    assert_eq!(of("/tmp/x").as_deref(), Some("tmpfs on tmpfs (rw,size=1g)"));
    assert_eq!(of("/tmp/data/x").as_deref(), Some("xfs on /dev/vdb (rw)"));
}

#[test]
fn processor_and_memory_are_read_from_proc() {
    let processor = value("processor\t: 0\nmodel name\t: Some CPU\n", "model name");
    assert_eq!(processor.as_deref(), Some("Some CPU"));
    assert_eq!(memory_gb("MemTotal:  24000000 kB\n", "MemTotal"), 24.6);
}

#[test]
fn an_outcome_comes_back_as_it_was_saved() {
    let directory = tempfile::tempdir().expect("a directory");
    let outcome = crate::bench::page::tests::outcome();
    outcome.save(directory.path()).expect("saved");
    let loaded = Outcome::load(directory.path(), &outcome.scenario)
        .expect("read")
        .expect("there");
    let text = |outcome| serde_json::to_string(outcome).expect("JSON");
    assert_eq!(text(&loaded), text(&outcome));
    let missing = Outcome::load(directory.path(), "other").expect("read");
    assert!(missing.is_none());
}
