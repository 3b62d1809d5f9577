//! A connection's times: heartbeats, silence, slow writes, and the deadlines of its requests, all on one timer.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep};

use super::{
    config::Config,
    connection::{Connection, Ending},
};
use crate::{dispatch::Conversation, session::CloseReason};

/// Intervals of silence after which a client is gone. The JavaScript client sends only in answer to the server and not
/// while its own timer runs, so its gaps reach two intervals and a round trip.
const SILENT_INTERVALS: u32 = 3;

/// When something is due. Nothing here touches the timer for each packet: it is set for the earliest time that was known,
/// and when it fires, what is due is looked up again.
#[derive(Debug)]
pub(super) struct Clock {
    next_heartbeat: Instant,
    /// The last complete packet from the client.
    heard: Instant,
    /// Reading waits for room since then: time that does not count against the client.
    paused: Option<Instant>,
    /// The socket takes nothing; it must until then.
    write_by: Option<Instant>,
    /// The conversation's next deadline, as last asked.
    next_deadline: Option<Instant>,
    ask_again: bool,
    /// The timer knows the task.
    armed: bool,
}

impl Clock {
    /// Begins with the client's Ack.
    pub(super) fn new(config: &Config) -> Self {
        let now = Instant::now();
        Self {
            next_heartbeat: now + config.heartbeat,
            heard: now,
            paused: None,
            write_by: None,
            next_deadline: None,
            ask_again: true,
            armed: false,
        }
    }

    /// When the timer has to fire first.
    pub(super) fn first(&self) -> Instant {
        self.next_heartbeat
    }

    /// A complete packet came.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
        // The pause, if there is one, began before it.
        self.paused = self.paused.map(|_| now);
    }

    /// Reading waits for room, or does not.
    pub(super) fn pause(&mut self, paused: bool) {
        if paused {
            self.paused.get_or_insert_with(Instant::now);
        } else if let Some(since) = self.paused.take() {
            self.heard += since.elapsed();
        }
    }

    /// The socket took something.
    pub(super) fn write_done(&mut self) {
        self.write_by = None;
    }

    /// The socket takes nothing.
    pub(super) fn write_blocked(&mut self, config: &Config) {
        self.write_by.get_or_insert_with(|| Instant::now() + config.write_timeout);
    }

    /// The conversation may have another deadline.
    pub(super) fn ask_again(&mut self) {
        self.ask_again = true;
    }

    /// The timer must be told which task to wake.
    pub(super) fn forget_task(&mut self) {
        self.armed = false;
    }

    /// Do what is due and set the timer. Ready when the time of the connection is over. Call it after reading, so that
    /// what has arrived counts.
    pub(super) fn poll(
        &mut self,
        connection: &Connection,
        conversation: &dyn Conversation,
        cx: &mut Context<'_>,
        mut sleep: Pin<&mut Sleep>,
    ) -> Poll<Ending> {
        let interval = connection.worker().settings().config.heartbeat;
        if std::mem::take(&mut self.ask_again) {
            self.next_deadline = conversation.next_deadline();
        }
        let next = self.next(interval);
        if next < sleep.deadline() {
            sleep.as_mut().reset(next);
        } else if self.armed && !sleep.is_elapsed() {
            return Poll::Pending;
        }
        self.armed = true;
        while sleep.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if let Some(reason) = self.too_late(now, interval) {
                return Poll::Ready(Ending::Abruptly(reason));
            }
            if self.next_heartbeat <= now {
                connection.heartbeat();
                while self.next_heartbeat <= now {
                    self.next_heartbeat += interval;
                }
            }
            if self.next_deadline.is_some_and(|deadline| deadline <= now) {
                conversation.expire(now);
            }
            self.next_deadline = conversation.next_deadline();
            // A deadline that has not moved must not keep this loop running.
            sleep.as_mut().reset(self.next(interval).max(now + Duration::from_millis(1)));
        }
        Poll::Pending
    }

    fn too_late(&self, now: Instant, interval: Duration) -> Option<CloseReason> {
        if self.silent_until(interval).is_some_and(|end| end <= now) {
            return Some(CloseReason::HeartbeatTimeout);
        }
        self.write_by.filter(|end| *end <= now).map(|_| CloseReason::WriteTimeout)
    }

    fn silent_until(&self, interval: Duration) -> Option<Instant> {
        self.paused.is_none().then(|| self.heard + interval * SILENT_INTERVALS)
    }

    fn next(&self, interval: Duration) -> Instant {
        [self.silent_until(interval), self.write_by, self.next_deadline]
            .into_iter()
            .flatten()
            .fold(self.next_heartbeat, Instant::min)
    }
}
