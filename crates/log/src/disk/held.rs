//! A disk for tests of those who wait for one: its syncs of log files end when the test lets them.
//!
//! Invariant: a sync that has begun waits for the test, but not for one that is over.
//! Used by tests of this crate and of the broker.

use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use super::{Disk, Faults};

/// The test's hold on the syncs of a disk.
#[derive(Debug)]
pub struct HeldSyncs {
    /// Tells of each sync that begins.
    pub begun: Receiver<()>,
    /// How the next sync ends; one that has not begun yet will not wait.
    pub let_end: Sender<io::Result<()>>,
}

impl HeldSyncs {
    pub fn disk() -> (Disk, HeldSyncs) {
        let ((begun_in, begun), (let_end, may_end)) = (channel(), channel());
        let faults = Holder {
            begun: begun_in,
            may_end: Mutex::new(may_end),
        };
        let held = HeldSyncs { begun, let_end };
        (Disk::with_faults(Arc::new(faults)), held)
    }
}

#[derive(Debug)]
struct Holder {
    begun: Sender<()>,
    may_end: Mutex<Receiver<io::Result<()>>>,
}

impl Faults for Holder {
    fn before_sync(&self, path: &Path) -> io::Result<()> {
        if path.extension().is_none_or(|extension| extension != "log") {
            return Ok(());
        }
        // A test that is over waits for nothing.
        let _over = self.begun.send(());
        let may_end = self.may_end.lock().expect("held syncs poisoned");
        may_end.recv().unwrap_or(Ok(()))
    }
}
