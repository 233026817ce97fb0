use super::*;

#[test]
fn no_more_files_stay_open_than_allowed_and_all_stay_usable() {
    let dir = tempfile::tempdir().unwrap();
    let cache = FileCache::new(Disk::new(), 4);
    let path = DirPath::new(dir.path().to_path_buf());
    let slots: Vec<_> = (0..20)
        .map(|base| FileSlot::new(&cache, &path, base, FileKind::Log, FileState::Live))
        .collect();
    for (i, slot) in slots.iter().enumerate() {
        let file = slot.get_or_create().unwrap();
        file.write_all_at(&[i as u8], 0).unwrap();
        assert!(cache.open_files() <= 4);
    }
    let open = slots
        .iter()
        .filter(|slot| slot.file.load().is_some())
        .count();
    assert!(open <= 4, "{open} open");
    for (i, slot) in slots.iter().enumerate() {
        let mut byte = [0];
        slot.get().unwrap().read_exact_at(&mut byte, 0).unwrap();
        assert_eq!(byte[0], i as u8);
    }
}

#[test]
fn a_held_handle_outlives_its_slot_and_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let cache = FileCache::new(Disk::new(), 1);
    let path = DirPath::new(dir.path().to_path_buf());
    let slot = FileSlot::new(&cache, &path, 7, FileKind::Log, FileState::Live);
    let file = slot.get_or_create().unwrap();
    file.write_all_at(b"abc", 0).unwrap();
    slot.close();
    std::fs::remove_file(slot.path()).unwrap();
    let mut bytes = [0; 3];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"abc");
    assert_eq!(slot.get().unwrap_err().kind(), io::ErrorKind::NotFound);
}
