//! A fixed rate: when each request is due, and a timer fine enough to send it then.
//!
//! The runtime's own timer counts milliseconds, which is longer than an answer takes. A `timerfd` counts nanoseconds.

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd, RawFd},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::task::AtomicWaker;
use nix::sys::{
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};
use tokio::io::{Interest, unix::AsyncFd};

/// When the requests of one run are due: the n-th at `start + n / rate`, in turn over the connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    pub(super) start: Instant,
    pub(super) end: Instant,
    /// Requests per second.
    pub(super) rate: u64,
    pub(super) connections: u64,
}

impl Schedule {
    /// When the request `number` is due; nothing if that is after the end.
    pub(super) fn due(&self, number: u64) -> Option<Instant> {
        let nanoseconds = u128::from(number) * 1_000_000_000 / u128::from(self.rate);
        let due = self.start + Duration::from_nanos(u64::try_from(nanoseconds).ok()?);
        (due < self.end).then_some(due)
    }
}

/// The request that one connection has to send next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    schedule: Schedule,
    next: u64,
}

impl Share {
    pub(super) fn new(schedule: Schedule, connection: u64) -> Share {
        Share { schedule, next: connection }
    }

    /// Take the next request if it is due: the time it was due at.
    pub(super) fn take(&mut self, now: Instant) -> Option<Instant> {
        let due = self.schedule.due(self.next).filter(|due| *due <= now)?;
        self.next += self.schedule.connections;
        Some(due)
    }

    /// How many requests were due in the run and were never sent.
    pub(super) fn left(mut self) -> u64 {
        let mut left = 0;
        while self.take(self.schedule.end).is_some() {
            left += 1;
        }
        left
    }
}

/// Wake each connection when its next request is due; at the end of the schedule, wake them all once.
pub(super) async fn pace(schedule: Schedule, wakers: &[Arc<AtomicWaker>]) -> io::Result<()> {
    let timer = Timer::new()?;
    let mut number = 0;
    while let Some(due) = schedule.due(number) {
        let now = Instant::now();
        if due > now {
            timer.sleep(due - now).await?;
        }
        // All that is due by now is one batch, then the connections run.
        let now = Instant::now();
        for (_, waker) in (0..wakers.len()).zip(wakers.iter().cycle().skip((number % schedule.connections) as usize)) {
            if schedule.due(number).is_none_or(|due| due > now) {
                break;
            }
            waker.wake();
            number += 1;
        }
        tokio::task::yield_now().await;
    }
    timer.sleep(schedule.end.saturating_duration_since(Instant::now())).await?;
    for waker in wakers {
        waker.wake();
    }
    Ok(())
}

/// A one-shot timer of nanosecond resolution.
struct Timer(AsyncFd<Descriptor>);

struct Descriptor(TimerFd);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Timer {
    fn new() -> io::Result<Timer> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        #[expect(deprecated, reason = "the other constructor is unsafe; a Descriptor owns its file for its whole life")]
        let timer = AsyncFd::with_interest(Descriptor(timer), Interest::READABLE)?;
        Ok(Timer(timer))
    }

    async fn sleep(&self, time: Duration) -> io::Result<()> {
        // Zero would disarm it.
        let time = time.max(Duration::from_nanos(1));
        let expiration = Expiration::OneShot(TimeSpec::from_duration(time));
        self.0.get_ref().0.set(expiration, TimerSetTimeFlags::empty())?;
        loop {
            let mut guard = self.0.readable().await?;
            if let Ok(result) = guard.try_io(|timer| Ok(timer.get_ref().0.wait()?)) {
                return result;
            }
        }
    }
}
