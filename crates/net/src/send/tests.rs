use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use crate::testing::{Scripted, TestServer, serve_with, until};
use crate::{FileWay, Limits};

fn file_with(bytes: &[u8]) -> Arc<File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Arc::new(file)
}

fn serve_file(file: &Arc<File>, way: FileWay) -> TestServer {
    let service = Scripted {
        file: Some(Arc::clone(file)),
        ..Scripted::default()
    };
    serve_with(Limits::default(), service, way)
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 % 251) as u8).collect()
}

/// Asks for ranges of a file and compares what comes with what lies there.
async fn check(way: FileWay, len: usize, cached: bool, ranges: &[(usize, usize)]) {
    let bytes = pattern(len);
    let file = file_with(&bytes);
    if !cached {
        file.sync_all().unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    }
    let server = serve_file(&file, way);
    let mut client = server.connect().await;
    let mut request = "file".to_owned();
    let mut expected = Vec::new();
    for &(position, len) in ranges {
        request += &format!(" {position} {len}");
        expected.push(b'<');
        expected.extend_from_slice(&bytes[position..position + len]);
        expected.push(b'>');
    }
    client.send(request.as_bytes()).await;
    client.send(b"behind").await;
    assert!(client.receive().await == expected, "{way:?} {ranges:?}");
    assert_eq!(client.receive_text().await, "behind");
    let sent_from_files: usize = ranges.iter().map(|(_, len)| len).sum();
    until(|| server.metrics.bytes_sent.get() == (expected.len() + 4 + 10) as u64).await;
    if cached {
        assert_eq!(server.metrics.file_bytes_sent.get(), sent_from_files as u64);
        assert_eq!(server.metrics.cold_reads.get(), 0);
    }
}

#[tokio::test]
async fn ranges_arrive_as_they_lie_in_the_file() {
    for way in [FileWay::Copy, FileWay::Sendfile] {
        check(way, 100, true, &[(0, 100)]).await;
        check(way, 100, true, &[(7, 1), (0, 50), (99, 1), (3, 0)]).await;
        check(way, 1_000_000, true, &[(1, 999_999), (500_000, 10)]).await;
        check(way, 5_000_000, true, &[(0, 5_000_000), (4_999_999, 1)]).await;
    }
}

#[tokio::test]
async fn ranges_that_are_not_cached_arrive_as_well() {
    for way in [FileWay::Copy, FileWay::Sendfile] {
        check(way, 3_000_000, false, &[(10, 2_999_990), (0, 100)]).await;
    }
}

#[tokio::test]
async fn a_file_that_ends_too_early_costs_the_connection() {
    for way in [FileWay::Copy, FileWay::Sendfile] {
        let file = file_with(&pattern(1000));
        let server = serve_file(&file, way);
        let mut client = server.connect().await;
        client.send(b"file 500 1000").await;
        let end = client.receive_end().await;
        assert!(end.len() < 1000, "{way:?}");
        let mut other = server.connect().await;
        other.send(b"echo").await;
        assert_eq!(other.receive_text().await, "echo");
    }
}
