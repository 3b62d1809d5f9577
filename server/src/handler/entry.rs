use std::{
    borrow::Cow,
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures_util::future::BoxFuture;
use schemars::Schema;
use tokio::time::Instant;

use super::{
    counters::{Counters, Counts},
    hooks::Hooks,
    log_limit::LogLimit,
    marks::Marks,
    reply::Reply,
};
use crate::{
    request::{Context, Kind},
    wire::{Error, codes},
};

/// A handler without its types: takes the arguments and begins the work.
pub(super) type Call = Box<dyn Fn(&mut Context) -> Result<BoxFuture<'static, Reply>, Error> + Send + Sync>;

/// A registered handler whose service has no name yet.
pub(super) struct Draft {
    pub(super) kind: Kind,
    pub(super) name: Cow<'static, str>,
    pub(super) marks: Marks,
    pub(super) path: &'static str,
    pub(super) call: Call,
    pub(super) schemas: fn() -> Schemas,
}

/// One registered handler: how it is run, and what became of its calls.
pub struct Entry {
    name: Box<str>,
    kind: Kind,
    marks: Marks,
    path: &'static str,
    call: Call,
    schemas: fn() -> Schemas,
    hooks: Hooks,
    pub(super) counters: Counters,
    warned: AtomicBool,
    slow_log: LogLimit,
    pub(super) failure_log: LogLimit,
}

/// What a caller sends and gets, as JSON Schemas; none where the handler takes or gives plain bytes or nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Schemas {
    /// Of the argument.
    pub argument: Option<Schema>,
    /// Of the answer.
    pub reply: Option<Schema>,
}

impl Entry {
    pub(super) fn new(name: String, draft: Draft, hooks: Hooks) -> Self {
        Self {
            name: name.into(),
            kind: draft.kind,
            marks: draft.marks,
            path: draft.path,
            call: draft.call,
            schemas: draft.schemas,
            hooks,
            counters: Counters::default(),
            warned: AtomicBool::new(false),
            slow_log: LogLimit::new(),
            failure_log: LogLimit::new(),
        }
    }

    /// The route without a server type: `service.method`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the handler was registered for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How the handler wants to be run; `concurrent` is for the lane to obey.
    pub fn marks(&self) -> Marks {
        self.marks
    }

    /// Where the handler stands in the source.
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// The schemas of argument and answer, made anew.
    pub fn schemas(&self) -> Schemas {
        (self.schemas)()
    }

    /// What became of the calls so far.
    pub fn counts(&self) -> Counts {
        self.counters.counts()
    }

    /// Whether a client's message of `kind` may run this handler.
    ///
    /// A notify for a request handler may, its answer is dropped; a warning says so once per handler.
    ///
    /// # Errors
    /// A request for a handler of notifies, to be answered as PIT-400.
    pub fn admit(&self, kind: Kind) -> Result<(), Error> {
        match (kind, self.kind) {
            (Kind::Request, Kind::Notify) => Err(Error::new(codes::BAD_REQUEST, "tried to request a notify route")),
            (Kind::Notify, Kind::Request) => {
                if !self.warned.swap(true, Ordering::Relaxed) {
                    tracing::warn!(route = self.name(), "a client notifies a request route, the answers are dropped");
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    pub(super) fn call(&self, context: &mut Context) -> Result<BoxFuture<'static, Reply>, Error> {
        (self.call)(context)
    }

    /// Counts a poll that held up its worker, and logs it unless that was done lately.
    pub(super) fn slow_poll(&self, request_id: u64, took: Duration, now: Instant) {
        self.counters.slow_polls.add_one();
        if self.slow_log.allows(now) {
            let milliseconds = took.as_millis() as u64;
            tracing::warn!(route = self.name(), request_id, milliseconds, "a handler held up its worker");
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Entry")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("marks", &self.marks)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
