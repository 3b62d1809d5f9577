//! The lane of a session that another server holds: its messages one at a time, each answered once on the link it came by.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::incoming::{IncomingParts, Origin, RemoteRun, RemoteSession, Work};
use crate::handler::{Entry, LaneJobs, Turn, execute};
use crate::lanes::{Busy, Spawner};
use crate::request::{App, Context, Kind};
use crate::rpc::proto;
use crate::session::{CloseReason, Session};
use crate::wire::{Error, Route, Text, codes};

/// What `on_disconnect` may take.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The route that handlers for the end of a session see.
pub(crate) const ON_DISCONNECT: Text = Text::from_static("on_disconnect");

/// A lane's jobs, on the worker that does them.
pub(super) struct RemoteJobs {
    parts: Arc<IncomingParts>,
    app: App,
    spawner: Spawner,
    run: RemoteRun,
    _busy: Busy,
}

impl RemoteJobs {
    pub(super) fn new(parts: Arc<IncomingParts>, app: App, spawner: Spawner, run: RemoteRun, busy: Busy) -> Self {
        Self { parts, app, spawner, run, _busy: busy }
    }

    fn remote(&self) -> &RemoteSession {
        self.run.state()
    }

    fn entry(&self, route: &Text, kind: Kind) -> Result<Arc<Entry>, Error> {
        let parsed = Route::parse(route).map_err(|error| Error::new(codes::BAD_REQUEST, error.to_string()))?;
        self.parts.registry.find(kind, &self.parts.server_type, parsed.service_method()).cloned()
    }

    fn session(&self, deadline: Instant) -> Session {
        Session::new(self.remote().copy.clone(), deadline)
    }

    fn handle(&self, origin: Origin, entry: Arc<Entry>, context: Context, now: Instant) -> Turn<Origin> {
        let is_concurrent = entry.marks().concurrent;
        let execution = execute(entry, context, &self.parts.handlers, now);
        if !is_concurrent {
            return Turn::Handler(execution, origin);
        }
        // It starts in its turn; the lane goes on, and keeps the session while it runs.
        let hold = self.run.hold();
        Turn::Work(self.spawner.begin(async move {
            origin.answer(execution.await.result);
            drop(hold);
        }))
    }

    fn disconnect(&self, reason: CloseReason, now: Instant) -> Turn<Origin> {
        let deadline = now + DISCONNECT_TIMEOUT;
        let session = self.session(deadline);
        let context = Context::new(&self.app, Kind::Disconnect, ON_DISCONNECT, 0, deadline).with_session(session);
        let parts = self.parts.clone();
        Turn::Work(Box::pin(async move { parts.registry.disconnected(context, reason, &parts.handlers).await }))
    }
}

impl LaneJobs for RemoteJobs {
    type Caller = Origin;

    fn begin_next(&mut self, now: Instant) -> Option<Turn<Origin>> {
        while let Some(mut job) = self.run.next() {
            let remote = self.remote();
            remote.agent.follow(&mut job.work);
            remote.copy.refresh(job.session);
            match job.work {
                Work::Message { mut origin, kind, route, body, message_id, deadline } => {
                    let kind = if kind == proto::RequestKind::Notify { Kind::Notify } else { Kind::Request };
                    let entry = match self.entry(&route, kind) {
                        Ok(entry) => entry,
                        Err(error) => {
                            self.parts.refused.fetch_add(1, Ordering::Relaxed);
                            if kind == Kind::Notify {
                                // Nobody is answered.
                                tracing::debug!(%route, code = %error.code(), error = %error.message(), "notify refused");
                            }
                            origin.answer(Err(error));
                            continue;
                        }
                    };
                    let mut context = Context::new(&self.app, kind, route, message_id, deadline)
                        .with_session(self.session(deadline))
                        .with_body(body);
                    if let Origin::Unary(unary) = &mut origin {
                        context = context.with_metadata(unary.take_metadata());
                    }
                    return Some(self.handle(origin, entry, context, now));
                }
                Work::Disconnect { reason, .. } => return Some(self.disconnect(reason, now)),
            }
        }
        None
    }

    fn answer(&mut self, origin: Origin, result: Result<Bytes, Error>) {
        origin.answer(result);
    }
}
