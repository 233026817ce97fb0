use super::*;

#[test]
fn every_record_comes_through_and_is_in_a_file() -> Result<(), Error> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("records");
    let mut files = [File::create(&path)?];
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    // Several are due at once, and a record never fits a turn evenly.
    let schedule = Schedule {
        records_per_second: 100_000,
        record_bytes: 1021,
        seconds: 1,
    };
    let metrics = thread::scope(|scope| {
        let served = scope.spawn(|| serve(&listener, &mut files, schedule.record_bytes));
        let metrics = measure(port, &schedule)?;
        join(served)?;
        Ok::<_, Error>(metrics)
    })?;
    assert_eq!(metrics.get("records"), Some(100_000.0));
    // A wake-up takes microseconds.
    assert!(metrics.get("end_to_end_latency_ms.p50") > Some(0.001));
    assert_eq!(std::fs::metadata(&path)?.len(), 100_000 * 1021);
    Ok(())
}
