//! A fixed rate: when each request is due, and a timer fine enough to send it then.
//!
//! The runtime's own timer counts milliseconds, which is longer than an answer takes. A `timerfd` counts nanoseconds.

use std::{
    io,
    os::fd::OwnedFd,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::task::AtomicWaker;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
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
struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    fn new() -> io::Result<Timer> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        #[expect(deprecated, reason = "the other constructor is unsafe; this descriptor never changes")]
        let timer = AsyncFd::with_interest(timer, Interest::READABLE)?;
        Ok(Timer(timer))
    }

    async fn sleep(&self, time: Duration) -> io::Result<()> {
        // Zero would disarm it.
        let time = time.max(Duration::from_nanos(1));
        let once =
            Itimerspec { it_interval: Timespec::default(), it_value: time.try_into().map_err(io::Error::other)? };
        timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        // How often it has expired: once.
        self.0.async_io(Interest::READABLE, |timer| Ok(rustix::io::read(timer, &mut [0; 8])?)).await.map(drop)
    }
}
