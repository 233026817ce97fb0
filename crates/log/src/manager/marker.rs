//! The `.kafka_cleanshutdown` marker: all logs of the directory were closed, nothing needs to be recovered.
//!
//! Invariant: the marker is there only between a clean stop and the next start. An unreadable one still says that the
//! stop was clean (older versions of Kafka wrote nothing into it), but no broker epoch.
//! Called at start and at the end of a clean stop.

use std::io;
use std::path::Path;

use crate::disk::Disk;

pub(crate) const FILE_NAME: &str = ".kafka_cleanshutdown";

/// A marker that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marker {
    pub broker_epoch: Option<i64>,
}

pub(crate) fn read(dir: &Path) -> io::Result<Option<Marker>> {
    match std::fs::read(dir.join(FILE_NAME)) {
        Ok(bytes) => Ok(Some(Marker {
            broker_epoch: parse(&bytes),
        })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

pub(crate) fn write(disk: &Disk, dir: &Path, broker_epoch: i64) -> io::Result<()> {
    disk.replace_file(&dir.join(FILE_NAME), format(broker_epoch).as_bytes())
}

pub(crate) fn remove(disk: &Disk, dir: &Path) -> io::Result<()> {
    if disk.remove_file_if_exists(&dir.join(FILE_NAME))? {
        disk.sync_dir(dir)?;
    }
    Ok(())
}

fn format(broker_epoch: i64) -> String {
    format!("{{\"version\":0,\"brokerEpoch\":{broker_epoch}}}")
}

/// The number behind `"brokerEpoch":`, wherever in the object it stands.
fn parse(bytes: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (_, rest) = text.split_once("\"brokerEpoch\"")?;
    let rest = rest.trim_start().strip_prefix(':')?.trim_start();
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '-')
        .unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_is_kafkas() {
        assert_eq!(format(42), "{\"version\":0,\"brokerEpoch\":42}");
        assert_eq!(parse(format(-1).as_bytes()), Some(-1));
        assert_eq!(parse(b"{ \"brokerEpoch\" : 7, \"version\": 0 }"), Some(7));
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"{\"version\":0}"), None);
    }

    #[test]
    fn it_comes_and_goes() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::new();
        assert_eq!(read(dir.path()).unwrap(), None);
        write(&disk, dir.path(), 5).unwrap();
        let marker = read(dir.path()).unwrap().unwrap();
        assert_eq!(marker.broker_epoch, Some(5));
        remove(&disk, dir.path()).unwrap();
        assert_eq!(read(dir.path()).unwrap(), None);
        remove(&disk, dir.path()).unwrap();
    }
}
