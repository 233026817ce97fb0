use super::*;

#[test]
fn ticks_are_read_behind_a_name_with_spaces_and_brackets() {
    let stat = "42 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 250 75 0 0 20 0 5";
    assert_eq!(ticks(stat), Some((250, 75)));
    assert_eq!(ticks("42 (a) S 1"), None);
}

#[test]
fn a_field_is_found_by_the_begin_of_its_line() {
    let text = "Name:\tx\nVmRSS:\t  1024 kB\nThreads:\t7\n";
    assert_eq!(field(text, "VmRSS:"), Some(1024));
    assert_eq!(field(text, "Threads:"), Some(7));
    assert_eq!(field(text, "VmHWM:"), None);
}

#[test]
fn a_watch_on_this_process_sees_memory_threads_and_files() {
    let watch = Watch::begin(std::process::id()).expect("/proc");
    let figures = watch.end().expect("/proc");
    for name in ["memory_mb", "threads", "open_files", "window_seconds"] {
        assert!(figures.get(name).is_some_and(|value| value > 0.0), "{name}");
    }
}
