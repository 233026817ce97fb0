use super::*;
use crate::disk::Disk;

fn open(paths: &[PathBuf], node_id: i32, cluster_id: Option<&str>) -> Result<LogDirs, DirsError> {
    LogDirs::open(Environment::inline(Disk::new()), paths, node_id, cluster_id)
}

#[test]
fn directories_are_made_and_known_again() {
    let root = tempfile::tempdir().unwrap();
    let paths = [root.path().join("a/b"), root.path().join("c")];
    let dirs = open(&paths, 1, None).unwrap();
    let cluster_id = dirs.cluster_id().to_owned();
    let ids: Vec<Uuid> = dirs.dirs().iter().map(|dir| dir.directory_id).collect();
    assert_ne!(ids[0], ids[1]);
    assert!(!dirs.dirs()[0].is_clean());
    drop(dirs);
    let dirs = open(&paths, 1, Some(&cluster_id)).unwrap();
    assert_eq!(dirs.cluster_id(), cluster_id);
    let again: Vec<Uuid> = dirs.dirs().iter().map(|dir| dir.directory_id).collect();
    assert_eq!(again, ids);
}

#[test]
fn directories_of_others_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let paths = [root.path().join("a")];
    drop(open(&paths, 1, Some("mine")).unwrap());
    let error = open(&paths, 2, None).unwrap_err().to_string();
    assert!(
        error.contains("node.id is 1, but this node's is 2"),
        "{error}"
    );
    let error = open(&paths, 1, Some("yours")).unwrap_err().to_string();
    assert!(error.contains("cluster.id is mine"), "{error}");
    let twice = [paths[0].clone(), root.path().join("./a")];
    assert!(matches!(
        open(&twice, 1, None),
        Err(DirsError::Duplicate(_))
    ));
    assert!(matches!(open(&[], 1, None), Err(DirsError::None)));
}

#[test]
fn a_directory_is_used_by_one_at_a_time() {
    let root = tempfile::tempdir().unwrap();
    let paths = [root.path().to_path_buf()];
    let first = open(&paths, 1, None).unwrap();
    assert!(matches!(open(&paths, 1, None), Err(DirsError::InUse(_))));
    drop(first);
    open(&paths, 1, None).unwrap();
}

#[test]
fn one_bad_directory_does_not_stop_the_others() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    std::fs::write(&file, "not a directory").unwrap();
    let good = root.path().join("good");
    let dirs = open(&[file.clone(), good], 1, None).unwrap();
    assert_eq!(dirs.dirs().len(), 1);
    assert_eq!(dirs.offline, std::slice::from_ref(&file));
    assert!(matches!(
        open(&[file], 1, None),
        Err(DirsError::AllFailed(_))
    ));
}

#[test]
fn copied_directories_are_noticed() {
    let root = tempfile::tempdir().unwrap();
    let (a, b) = (root.path().join("a"), root.path().join("b"));
    drop(open(std::slice::from_ref(&a), 1, None).unwrap());
    std::fs::create_dir(&b).unwrap();
    std::fs::copy(a.join(FILE_NAME), b.join(FILE_NAME)).unwrap();
    assert!(matches!(
        open(&[a, b], 1, None),
        Err(DirsError::SameDirectoryId(..))
    ));
}
