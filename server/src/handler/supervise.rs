//! One handler under supervision: panics, deadline, grace, and how long its polls take.

use std::{
    any::Any,
    future::{poll_fn, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::{self, Poll},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    entry::Entry,
    failure,
    reply::{self, Reply},
    runtime::Config,
};
use crate::{
    request::{Context, Kind},
    wire::{Error, codes},
};

/// Where a handler runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Between other messages: long polls are watched.
    Worker,
    /// On a thread of its own.
    Pool,
}

/// How far a handler is that was not ready at once.
enum Phase {
    /// Before its deadline.
    Running,
    /// Between the deadline and its end by force.
    Grace,
    /// Past the deadline, and nothing ends it.
    Detached,
}

/// Runs a handler with its hooks to its end, or to the end of its grace.
pub(super) async fn supervise(entry: &Entry, context: Context, config: Config, place: Place) -> Result<Bytes, Error> {
    let deadline = context.deadline;
    // One reading of the clock checks the deadline and starts the watch over the first poll.
    let start = Instant::now();
    if start >= deadline {
        entry.counters.expired.add_one();
        return Err(deadline_passed());
    }
    let Some(mut run) = Run::begin(entry, context) else { return Err(internal()) };
    let mut next_poll_began = Some(start);
    let mut timer = pin!(None::<Sleep>);
    let mut phase = Phase::Running;
    poll_fn(|task| {
        let began = next_poll_began.take().unwrap_or_else(Instant::now);
        let outcome = run.poll(task);
        let now = Instant::now();
        let took = now.saturating_duration_since(began);
        if took >= config.slow_poll && place == Place::Worker {
            entry.slow_poll(run.request_id, took, now);
        }
        if let Poll::Ready(reply) = outcome {
            return Poll::Ready(run.conclude(reply, now >= deadline));
        }
        if timer.is_none() && !matches!(phase, Phase::Detached) {
            timer.set(Some(sleep_until(deadline)));
        }
        while let Some(sleep) = timer.as_mut().as_pin_mut() {
            task::ready!(sleep.poll(task));
            match phase {
                Phase::Running if entry.marks().detached => {
                    run.cancel();
                    timer.set(None);
                    phase = Phase::Detached;
                }
                Phase::Running => {
                    run.cancel();
                    timer.set(Some(sleep_until(deadline + config.grace)));
                    phase = Phase::Grace;
                }
                Phase::Grace | Phase::Detached => return Poll::Ready(run.give_up()),
            }
        }
        Poll::Pending
    })
    .await
}

/// A handler that has been called.
struct Run<'a> {
    entry: &'a Entry,
    request_id: u64,
    kind: Kind,
    work: Option<BoxFuture<'a, Reply>>,
    cancellation: Option<CancellationToken>,
}

impl<'a> Run<'a> {
    /// Takes the arguments and calls the handler, within its hooks when it has some. None: it panicked.
    fn begin(entry: &'a Entry, mut context: Context) -> Option<Self> {
        let (request_id, kind) = (context.request_id, context.kind);
        if !entry.hooks().is_empty() {
            // Hooks may ask for the token at any time, and they hold the context then.
            let cancellation = Some(context.cancellation().clone());
            return Some(Self {
                entry,
                request_id,
                kind,
                work: Some(Box::pin(with_hooks(entry, context))),
                cancellation,
            });
        }
        let called = isolated(entry, request_id, || entry.call(&mut context))?;
        let work = called.unwrap_or_else(|error| Box::pin(ready(Err(error))));
        let cancellation = context.requested_cancellation().cloned();
        Some(Self { entry, request_id, kind, work: Some(work), cancellation })
    }

    /// Polls the work; ready with nothing when it panicked.
    fn poll(&mut self, task: &mut task::Context<'_>) -> Poll<Option<Reply>> {
        let Some(work) = self.work.as_mut() else { return Poll::Ready(None) };
        let reply = match isolated(self.entry, self.request_id, || work.as_mut().poll(task)) {
            Some(Poll::Pending) => return Poll::Pending,
            Some(Poll::Ready(reply)) => Some(reply),
            None => None,
        };
        self.discard();
        Poll::Ready(reply)
    }

    /// Tells the handler that its time is over, if it has asked for that.
    fn cancel(&self) {
        if let Some(cancellation) = &self.cancellation {
            cancellation.cancel();
        }
    }

    /// The answer of a handler that ended by itself.
    fn conclude(&self, reply: Option<Reply>, late: bool) -> Result<Bytes, Error> {
        let Some(reply) = reply else { return Err(internal()) };
        let result = if late { Err(deadline_passed()) } else { reply.and_then(|reply| answer(self.kind, reply)) };
        self.entry.counters.handled.add_one();
        if let Err(error) = &result {
            self.entry.counters.failed.add_one();
            self.log_failure(error);
        }
        result
    }

    /// An error that the application gave a code is meant for the caller, and the text of a refused argument may quote the
    /// payload: only the code is logged. What has no code of its own is a failure that somebody has to look at.
    fn log_failure(&self, error: &Error) {
        let (route, request_id, kind) = (self.entry.name(), self.request_id, self.kind.as_str());
        if matches!(error.code(), codes::UNKNOWN | codes::INTERNAL) && self.entry.failure_log.allows(Instant::now()) {
            tracing::warn!(route, request_id, kind, error = failure::chain(error), "a handler failed");
        } else {
            tracing::debug!(route, request_id, kind, code = error.code(), "a handler answered with an error");
        }
    }

    /// Drops a handler that has not ended within its grace.
    fn give_up(&mut self) -> Result<Bytes, Error> {
        self.discard();
        self.entry.counters.dropped.add_one();
        let (route, request_id) = (self.entry.name(), self.request_id);
        tracing::warn!(route, request_id, "a handler was dropped, it had not ended some time after its deadline");
        Err(deadline_passed())
    }

    /// Destructors in the handler are user code as well.
    fn discard(&mut self) {
        if let Some(work) = self.work.take() {
            let _ = isolated(self.entry, self.request_id, || drop(work));
        }
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.discard();
    }
}

/// The handler between its hooks; after-hooks see refused messages too.
async fn with_hooks(entry: &Entry, mut context: Context) -> Reply {
    let mut result = refusable(entry, &mut context).await;
    entry.hooks().run_after(&context, &mut result).await;
    result.map(Some)
}

async fn refusable(entry: &Entry, context: &mut Context) -> Result<Bytes, Error> {
    entry.hooks().run_before(context).await?;
    let reply = entry.call(context)?.await?;
    answer(context.kind, reply)
}

/// What a handler that returned nothing is answered with: only a client that asked must get something.
fn answer(kind: Kind, reply: Option<Bytes>) -> Result<Bytes, Error> {
    match (reply, kind) {
        (Some(body), _) => Ok(body),
        (None, Kind::Request) => Err(reply::null()),
        (None, Kind::Notify | Kind::Remote | Kind::Disconnect) => Ok(Bytes::new()),
    }
}

/// Runs user code; a panic ends here, counted and logged.
fn isolated<T>(entry: &Entry, request_id: u64, user_code: impl FnOnce() -> T) -> Option<T> {
    // What the panic left behind is dropped and never looked at again.
    let panic = match catch_unwind(AssertUnwindSafe(user_code)) {
        Ok(value) => return Some(value),
        Err(panic) => panic,
    };
    entry.counters.panicked.add_one();
    tracing::error!(route = entry.name(), request_id, panic = text_of(&*panic), "a handler panicked");
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        // A panic whose own destructor panics: leaking it ends the matter.
        std::mem::forget(second);
    }
    None
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&'static str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("not a text")
}

/// The answer when the handler panicked.
pub(super) fn internal() -> Error {
    Error::new(codes::INTERNAL, "internal error")
}

/// The answer when the time is over.
pub(super) fn deadline_passed() -> Error {
    Error::new(codes::DEADLINE, "the deadline passed before an answer")
}
