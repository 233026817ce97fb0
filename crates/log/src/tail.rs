//! Where the log ends, and where its last batches begin, for readers that take no lock.
//!
//! Invariant: what [`Tail::load`] returns was true at one moment: end offset, end position and marks belong together.
//! There is one writer at a time (the log's). A reader that meets a change under way tries again.
//! Called by append, truncation and roll (which publish) and by every read.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering, fence};

/// Beginnings of batches that are remembered. A consumer that keeps up asks for one of them, and then needs no index.
const MARKS: usize = 16;

/// The end of the log at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TailView {
    /// Base offset of the active segment.
    pub segment: i64,
    pub end_offset: i64,
    /// Bytes of complete batches in the active segment.
    pub end_position: u64,
    marks: [Mark; MARKS],
}

/// A batch of the active segment begins at `position`, and all offsets before it are less than `offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub offset: i64,
    pub position: u64,
}

const NO_MARK: Mark = Mark {
    offset: i64::MAX,
    position: u64::MAX,
};

impl TailView {
    /// The last batch beginning that is remembered at or before `offset`, the end included.
    pub fn floor(&self, offset: i64) -> Option<Mark> {
        let end = Mark {
            offset: self.end_offset,
            position: self.end_position,
        };
        self.marks
            .into_iter()
            .chain([end])
            .filter(|mark| mark.offset <= offset)
            .max_by_key(|mark| mark.offset)
    }

    /// The last batch beginning that is remembered at or before `position`.
    pub fn floor_position(&self, position: u64) -> Option<Mark> {
        self.marks
            .into_iter()
            .filter(|mark| mark.position <= position)
            .max_by_key(|mark| mark.position)
    }
}

#[derive(Debug)]
pub(crate) struct Tail {
    /// Odd while the writer changes the rest.
    version: AtomicU64,
    segment: AtomicI64,
    end_offset: AtomicI64,
    end_position: AtomicU64,
    next_mark: AtomicU64,
    marks: [(AtomicI64, AtomicU64); MARKS],
}

impl Tail {
    pub fn new(segment: i64, end_offset: i64, end_position: u64) -> Tail {
        Tail {
            version: AtomicU64::new(0),
            segment: AtomicI64::new(segment),
            end_offset: AtomicI64::new(end_offset),
            end_position: AtomicU64::new(end_position),
            next_mark: AtomicU64::new(0),
            marks: std::array::from_fn(|_| {
                (
                    AtomicI64::new(NO_MARK.offset),
                    AtomicU64::new(NO_MARK.position),
                )
            }),
        }
    }

    pub fn end_offset(&self) -> i64 {
        self.end_offset.load(Ordering::Acquire)
    }

    pub fn load(&self) -> TailView {
        loop {
            let before = self.version.load(Ordering::Acquire);
            if before % 2 == 1 {
                std::hint::spin_loop();
                continue;
            }
            let view = TailView {
                segment: self.segment.load(Ordering::Relaxed),
                end_offset: self.end_offset.load(Ordering::Relaxed),
                end_position: self.end_position.load(Ordering::Relaxed),
                marks: std::array::from_fn(|n| Mark {
                    offset: self.marks[n].0.load(Ordering::Relaxed),
                    position: self.marks[n].1.load(Ordering::Relaxed),
                }),
            };
            // Orders the loads above before the one below.
            fence(Ordering::Acquire);
            if self.version.load(Ordering::Relaxed) == before {
                return view;
            }
        }
    }

    /// The log grew in its active segment by batches that begin at `begins`.
    pub fn extend(
        &self,
        begins: impl IntoIterator<Item = Mark>,
        end_offset: i64,
        end_position: u64,
    ) {
        self.publish(|| {
            for mark in begins {
                let n = self.next_mark.fetch_add(1, Ordering::Relaxed) as usize % MARKS;
                self.marks[n].0.store(mark.offset, Ordering::Relaxed);
                self.marks[n].1.store(mark.position, Ordering::Relaxed);
            }
            self.end_offset.store(end_offset, Ordering::Release);
            self.end_position.store(end_position, Ordering::Relaxed);
        });
    }

    /// The log ends elsewhere: another active segment, or a truncation.
    pub fn reset(&self, segment: i64, end_offset: i64, end_position: u64) {
        self.publish(|| {
            for mark in &self.marks {
                mark.0.store(NO_MARK.offset, Ordering::Relaxed);
                mark.1.store(NO_MARK.position, Ordering::Relaxed);
            }
            self.segment.store(segment, Ordering::Relaxed);
            self.end_offset.store(end_offset, Ordering::Release);
            self.end_position.store(end_position, Ordering::Relaxed);
        });
    }

    fn publish(&self, change: impl FnOnce()) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version + 1, Ordering::Relaxed);
        // Orders the store above before the changes.
        fence(Ordering::Release);
        change();
        self.version.store(version + 2, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn floor_finds_the_nearest_beginning() {
        let tail = Tail::new(0, 0, 0);
        assert_eq!(tail.load().floor(5).unwrap().position, 0);
        for n in 0..40i64 {
            let mark = Mark {
                offset: n * 10,
                position: n as u64 * 100,
            };
            tail.extend([mark], n * 10 + 10, n as u64 * 100 + 100);
        }
        let view = tail.load();
        assert_eq!(view.floor(399).unwrap().offset, 390);
        assert_eq!(view.floor(400).unwrap().position, 4000);
        assert_eq!(view.floor(240).unwrap().position, 2400);
        assert_eq!(view.floor(239), None);
        assert_eq!(view.floor_position(3950).unwrap().offset, 390);
        tail.reset(400, 400, 0);
        assert_eq!(tail.load().floor(399), None);
    }

    #[test]
    fn a_reader_never_sees_half_of_a_change() {
        let tail = Arc::new(Tail::new(0, 0, 0));
        let done = Arc::new(AtomicBool::new(false));
        let reader = {
            let (tail, done) = (Arc::clone(&tail), Arc::clone(&done));
            std::thread::spawn(move || {
                let mut seen = 0;
                while !done.load(Ordering::Relaxed) {
                    let view = tail.load();
                    assert_eq!(view.end_offset as u64 * 7, view.end_position);
                    assert!(view.end_offset >= seen);
                    seen = view.end_offset;
                    for mark in view.marks.iter().filter(|mark| **mark != NO_MARK) {
                        assert_eq!(mark.offset as u64 * 7, mark.position);
                        assert!(mark.offset < view.end_offset);
                    }
                }
            })
        };
        for n in 0..200_000i64 {
            let mark = Mark {
                offset: n,
                position: n as u64 * 7,
            };
            tail.extend([mark], n + 1, (n as u64 + 1) * 7);
        }
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    }
}
