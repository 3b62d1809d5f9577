//! Running one remote session's lane: its messages one at a time, each answered once on the link it came by.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::incoming::{IncomingParts, Origin, RemoteRun, RemoteSession, Work};
use crate::handler::{Entry, execute};
use crate::lanes::Busy;
use crate::request::{App, Context, Kind};
use crate::rpc::proto;
use crate::session::{CloseReason, Session};
use crate::wire::{Error, Route, Text, codes};

/// What `on_disconnect` may take.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The route that handlers for the end of a session see.
pub(crate) const ON_DISCONNECT: Text = Text::from_static("on_disconnect");

/// A lane on the worker that runs it.
pub(super) struct LaneTask {
    parts: Arc<IncomingParts>,
    worker: usize,
    run: RemoteRun,
    remote: Arc<RemoteSession>,
    _busy: Busy,
}

impl LaneTask {
    pub(super) fn new(parts: Arc<IncomingParts>, worker: usize, run: RemoteRun, busy: Busy) -> Self {
        let remote = run.state().clone();
        Self { parts, worker, run, remote, _busy: busy }
    }

    /// Does the lane's work until there is none.
    pub(super) async fn run(mut self) {
        let parts = self.parts.clone();
        let Some(app) = parts.apps.get(self.worker) else { return };
        while let Some(mut job) = self.run.next() {
            self.remote.agent.follow(&mut job.work);
            self.remote.copy.refresh(job.session);
            match job.work {
                Work::Message { mut origin, kind, route, body, message_id, deadline } => {
                    let kind = if kind == proto::RequestKind::Notify { Kind::Notify } else { Kind::Request };
                    match self.entry(&route, kind) {
                        Ok(entry) => {
                            let mut context = self.context(app, kind, route, message_id, deadline).with_body(body);
                            if let Origin::Unary(unary) = &mut origin {
                                context = context.with_metadata(unary.take_metadata());
                            }
                            self.handle(origin, entry, context).await;
                        }
                        Err(error) => origin.answer(Err(error)),
                    }
                }
                Work::Disconnect { reason, .. } => self.disconnect(app, reason).await,
            }
        }
    }

    fn entry(&self, route: &Text, kind: Kind) -> Result<Arc<Entry>, Error> {
        let parsed = Route::parse(route).map_err(|error| Error::new(codes::BAD_REQUEST, error.to_string()))?;
        self.parts.registry.find(kind, &self.parts.server_type, parsed.service_method()).cloned()
    }

    fn context(&self, app: &App, kind: Kind, route: Text, message_id: u64, deadline: Instant) -> Context {
        let session = Session::new(self.remote.copy.clone(), app.serializer().clone(), deadline);
        Context::new(app, kind, route, message_id, deadline).with_session(session)
    }

    async fn handle(&self, origin: Origin, entry: Arc<Entry>, context: Context) {
        if !entry.marks().concurrent {
            return origin.answer(execute(entry, context, &self.parts.handlers).await);
        }
        // It started in its turn; the lane goes on, and keeps the session while it runs.
        let hold = self.run.hold();
        let parts = self.parts.clone();
        if let Some(spawner) = self.parts.spawners.get(self.worker) {
            let work = async move {
                origin.answer(execute(entry, context, &parts.handlers).await);
                drop(hold);
            };
            spawner.begin(work).await;
        }
    }

    async fn disconnect(&self, app: &App, reason: CloseReason) {
        let deadline = Instant::now() + DISCONNECT_TIMEOUT;
        let session = Session::new(self.remote.copy.clone(), app.serializer().clone(), deadline);
        let context = Context::new(app, Kind::Disconnect, ON_DISCONNECT, 0, deadline).with_session(session);
        self.parts.registry.disconnected(context, reason, &self.parts.handlers).await;
    }
}
