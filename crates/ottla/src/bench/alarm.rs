//! Wakes the tasks of one thread at the microsecond that they asked for.
//!
//! The runtime's own timer counts milliseconds, which is longer than what is measured here. One
//! timer of the kernel stands for all tasks that wait.
//! Used by the commands that run many connections on one thread.

use std::cell::RefCell;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use tokio::io::unix::AsyncFd;

pub struct Alarm {
    timer: AsyncFd<OwnedFd>,
    sleepers: RefCell<BinaryHeap<Reverse<Sleeper>>>,
}

struct Sleeper {
    until: Instant,
    waker: Waker,
}

impl Alarm {
    /// Starts a task that wakes the others; within a `LocalSet`.
    pub fn start() -> io::Result<Rc<Alarm>> {
        let timer = rustix::time::timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        // SAFETY: an `OwnedFd` keeps its descriptor open, and the same, for as long as it lives; here
        // it is moved into the `AsyncFd` and never taken out.
        let timer = unsafe { AsyncFd::register(timer) }?;
        let alarm = Rc::new(Alarm {
            timer,
            sleepers: RefCell::default(),
        });
        let ringing = Rc::clone(&alarm);
        tokio::task::spawn_local(async move { ringing.ring().await });
        Ok(alarm)
    }

    pub async fn sleep_until(&self, until: Instant) {
        let mut waits = false;
        poll_fn(|cx| {
            if Instant::now() >= until {
                return Poll::Ready(());
            }
            // Whoever sleeps waits for nothing else, so its waker stays the same.
            if !waits {
                waits = true;
                self.add(until, cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    fn add(&self, until: Instant, waker: Waker) {
        let mut sleepers = self.sleepers.borrow_mut();
        let is_first = sleepers.peek().is_none_or(|first| until < first.0.until);
        sleepers.push(Reverse(Sleeper { until, waker }));
        if is_first {
            self.set(until);
        }
    }

    async fn ring(&self) {
        // The timer is readable for ever or fails for ever; it cannot fail after it was made.
        while let Ok(mut ready) = self.timer.readable().await {
            let mut count = [0; 8];
            let read = ready.try_io(|timer| Ok(rustix::io::read(timer, &mut count)?));
            drop(read);
            self.wake();
        }
    }

    /// Wakes those whose time has come, and sets the timer for the next.
    fn wake(&self) {
        let now = Instant::now();
        let mut sleepers = self.sleepers.borrow_mut();
        while let Some(first) = sleepers.peek() {
            if first.0.until > now {
                self.set(first.0.until);
                return;
            }
            if let Some(Reverse(sleeper)) = sleepers.pop() {
                sleeper.waker.wake();
            }
        }
    }

    fn set(&self, until: Instant) {
        // Zero would switch the timer off.
        let wait = until
            .saturating_duration_since(Instant::now())
            .max(Duration::from_nanos(1));
        let value = Timespec::try_from(wait).unwrap_or(Timespec {
            tv_sec: i64::MAX,
            tv_nsec: 0,
        });
        let spec = Itimerspec {
            it_interval: Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value: value,
        };
        // The descriptor and the time are valid, so the kernel has no reason to refuse.
        let set = rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &spec);
        debug_assert!(set.is_ok(), "{set:?}");
    }
}

impl PartialEq for Sleeper {
    fn eq(&self, other: &Self) -> bool {
        self.until == other.until
    }
}

impl Eq for Sleeper {}

impl PartialOrd for Sleeper {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Sleeper {
    fn cmp(&self, other: &Self) -> Ordering {
        self.until.cmp(&other.until)
    }
}
