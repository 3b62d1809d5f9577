//! One handler under supervision: panics, deadline, grace, and how long its polls take.

use std::{
    any::Any,
    future::ready,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
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

/// How a handler ended, and when: whoever runs the next one need not read the clock for it.
#[derive(Debug)]
pub struct Ended {
    /// The answer.
    pub result: Result<Bytes, Error>,
    /// The moment in which the handler ended.
    pub at: Instant,
}

/// A handler with its hooks, on the way to its end or to the end of its grace.
///
/// Small, since it is part of each lane's task: what is only needed by handlers that wait is made when they do.
pub(super) struct Supervised {
    /// The handler, or why it was not called.
    run: Result<Run, Error>,
    deadline: Instant,
    config: Config,
    place: Place,
    phase: Phase,
    /// When the next poll began, when that is known already.
    poll_began: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Supervised {
    /// Calls the handler; `now` is the present.
    pub(super) fn begin(entry: Arc<Entry>, context: Context, config: Config, place: Place, now: Instant) -> Self {
        let deadline = context.deadline;
        let run = if now >= deadline {
            entry.counters.expired.add_one();
            Err(deadline_passed())
        } else {
            Run::begin(entry, context).ok_or_else(internal)
        };
        Self { run, deadline, config, place, phase: Phase::Running, poll_began: Some(now), timer: None }
    }

    /// Waits for the deadline, and then for the end of the grace; ready when the handler has to be given up.
    fn poll_timer(&mut self, task: &mut task::Context<'_>) -> Poll<()> {
        let (Ok(run), false) = (&self.run, matches!(self.phase, Phase::Detached)) else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(self.deadline)));
        loop {
            task::ready!(timer.as_mut().poll(task));
            match self.phase {
                Phase::Running if run.entry.marks().detached => {
                    run.cancel();
                    self.phase = Phase::Detached;
                    self.timer = None;
                    return Poll::Pending;
                }
                Phase::Running => {
                    run.cancel();
                    timer.as_mut().reset(self.deadline + self.config.grace);
                    self.phase = Phase::Grace;
                }
                Phase::Grace | Phase::Detached => return Poll::Ready(()),
            }
        }
    }
}

impl Future for Supervised {
    type Output = Ended;

    fn poll(self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<Ended> {
        let this = self.get_mut();
        let began = this.poll_began.take().unwrap_or_else(Instant::now);
        let run = match &mut this.run {
            Ok(run) => run,
            Err(error) => return Poll::Ready(Ended { result: Err(error.clone()), at: began }),
        };
        let outcome = run.poll(task);
        let now = Instant::now();
        let took = now.saturating_duration_since(began);
        if took >= this.config.slow_poll && this.place == Place::Worker {
            run.entry.slow_poll(run.request_id, took, now);
        }
        if let Poll::Ready(reply) = outcome {
            return Poll::Ready(Ended { result: run.conclude(reply, now >= this.deadline), at: now });
        }
        task::ready!(this.poll_timer(task));
        let result = this.run.as_mut().map_or_else(|error| Err(error.clone()), Run::give_up);
        Poll::Ready(Ended { result, at: Instant::now() })
    }
}

/// A handler that has been called.
struct Run {
    entry: Arc<Entry>,
    request_id: u64,
    kind: Kind,
    work: Option<BoxFuture<'static, Reply>>,
    cancellation: Option<CancellationToken>,
}

impl Run {
    /// Takes the arguments and calls the handler, within its hooks when it has some. None: it panicked.
    fn begin(entry: Arc<Entry>, mut context: Context) -> Option<Self> {
        let (request_id, kind) = (context.request_id, context.kind);
        if !entry.hooks().is_empty() {
            // Hooks may ask for the token at any time, and they hold the context then.
            let cancellation = Some(context.cancellation().clone());
            let work = Box::pin(with_hooks(Arc::clone(&entry), context));
            return Some(Self { entry, request_id, kind, work: Some(work), cancellation });
        }
        let called = isolated(&entry, request_id, || entry.call(&mut context))?;
        let work = called.unwrap_or_else(|error| Box::pin(ready(Err(error))));
        let cancellation = context.requested_cancellation().cloned();
        Some(Self { entry, request_id, kind, work: Some(work), cancellation })
    }

    /// Polls the work; ready with nothing when it panicked.
    fn poll(&mut self, task: &mut task::Context<'_>) -> Poll<Option<Reply>> {
        let Some(work) = self.work.as_mut() else { return Poll::Ready(None) };
        let reply = match isolated(&self.entry, self.request_id, || work.as_mut().poll(task)) {
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
            // The texts of user code's errors are user code.
            let _ = isolated(&self.entry, self.request_id, || self.log_failure(error));
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
            let _ = isolated(&self.entry, self.request_id, || drop(work));
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.discard();
    }
}

/// The handler between its hooks; after-hooks see refused messages too.
async fn with_hooks(entry: Arc<Entry>, mut context: Context) -> Reply {
    let mut result = refusable(&entry, &mut context).await;
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
