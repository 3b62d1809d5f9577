use std::{collections::BTreeMap, fmt, sync::Arc, sync::OnceLock};

use bytes::Bytes;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::App;
use crate::{
    session::{CloseReason, Session},
    wire::Text,
};

/// What a caller sends beside the argument, such as `peer.id` or the trace it belongs to.
pub type Metadata = BTreeMap<String, serde_json::Value>;

/// How a handler is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A client that waits for the answer.
    Request,
    /// A client that waits for nothing.
    Notify,
    /// Another server.
    Remote,
    /// The end of a session.
    Disconnect,
}

impl Kind {
    /// The name of the kind in logs and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Notify => "notify",
            Self::Remote => "remote",
            Self::Disconnect => "disconnect",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// One message on its way through hooks and handler.
///
/// A handler takes it as an argument when it needs more than the single extractors give; a hook gets it by reference.
pub struct Context {
    /// The server, as this worker sees it.
    pub app: App,
    /// How the handler was called.
    pub kind: Kind,
    /// The whole route as it was sent.
    pub route: Text,
    /// Identifies the request in the logs of this server.
    pub request_id: u64,
    /// When the caller stops waiting.
    pub deadline: Instant,
    /// Who sent it; none in a call from another server.
    pub session: Option<Session>,
    body: Bytes,
    close_reason: Option<CloseReason>,
    metadata: Option<Arc<Metadata>>,
    cancellation: OnceLock<CancellationToken>,
}

impl Context {
    /// A message with an empty body, from nobody.
    pub fn new(app: &App, kind: Kind, route: Text, request_id: u64, deadline: Instant) -> Self {
        Self {
            app: app.until(deadline),
            kind,
            route,
            request_id,
            deadline,
            session: None,
            body: Bytes::new(),
            close_reason: None,
            metadata: None,
            cancellation: OnceLock::new(),
        }
    }

    /// The same message, sent by `session`.
    #[must_use]
    pub fn with_session(mut self, session: Session) -> Self {
        self.app = self.app.in_lane(session.id());
        self.session = Some(session);
        self
    }

    /// The same message with the argument `body`.
    #[must_use]
    pub fn with_body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }

    /// The same message with what its caller sent beside the argument.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = Some(Arc::new(metadata));
        self
    }

    /// The end of the same session, as one handler for it sees it, which has until `deadline`.
    #[must_use]
    pub fn closed(&self, reason: CloseReason, deadline: Instant) -> Self {
        Self {
            app: self.app.clone(),
            kind: Kind::Disconnect,
            route: self.route.clone(),
            request_id: self.request_id,
            deadline,
            session: self.session.as_ref().map(|session| session.until(deadline)),
            body: Bytes::new(),
            close_reason: Some(reason),
            metadata: self.metadata.clone(),
            cancellation: OnceLock::new(),
        }
    }

    /// The route without its server type: `service.method`.
    pub fn service_method(&self) -> &str {
        let route: &str = &self.route;
        let start = route.rmatch_indices('.').nth(1).map_or(0, |(dot, _)| dot + 1);
        route.get(start..).unwrap_or(route)
    }

    /// The service that the route names.
    pub fn service(&self) -> &str {
        self.service_method().split_once('.').map_or("", |(service, _)| service)
    }

    /// The method that the route names.
    pub fn method(&self) -> &str {
        self.service_method().rsplit_once('.').map_or_else(|| self.service_method(), |(_, method)| method)
    }

    /// The argument as it was sent, or as a hook replaced it.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Replace the argument: what a before-hook sets here is what the handler decodes.
    pub fn set_body(&mut self, body: impl Into<Bytes>) {
        self.body = body.into();
    }

    /// Why the session ended; only in `on_disconnect`.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.close_reason
    }

    /// What the caller sent beside the argument under `key`.
    pub fn metadata(&self, key: &str) -> Option<&serde_json::Value> {
        self.metadata.as_ref()?.get(key)
    }

    /// Everything the caller sent beside the argument.
    pub fn all_metadata(&self) -> Option<&Metadata> {
        self.metadata.as_deref()
    }

    /// A token that fires when the deadline has passed. What has not ended a grace period later (2 s, unless configured) is
    /// dropped, unless its handler is registered as detached.
    pub fn cancellation(&self) -> &CancellationToken {
        self.cancellation.get_or_init(CancellationToken::new)
    }

    /// The token, when somebody has asked for it.
    pub fn requested_cancellation(&self) -> Option<&CancellationToken> {
        self.cancellation.get()
    }
}

impl Clone for Context {
    /// The clone is about the same message and shares its cancellation.
    fn clone(&self) -> Self {
        Self {
            app: self.app.clone(),
            kind: self.kind,
            route: self.route.clone(),
            request_id: self.request_id,
            deadline: self.deadline,
            session: self.session.clone(),
            body: self.body.clone(),
            close_reason: self.close_reason,
            metadata: self.metadata.clone(),
            // Made here if need be: a clone whose token nobody fires would never be cancelled.
            cancellation: OnceLock::from(self.cancellation().clone()),
        }
    }
}

impl fmt::Debug for Context {
    /// Says nothing of the payload: a context may end up in a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Context")
            .field("kind", &self.kind)
            .field("route", &&*self.route)
            .field("request_id", &self.request_id)
            .field("body_len", &self.body.len())
            .finish_non_exhaustive()
    }
}
