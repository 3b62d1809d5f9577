use std::{borrow::Cow, fmt};

use futures_util::FutureExt;

use super::{
    entry::{Call, Draft, Schemas},
    function::Handler,
    hooks::{AfterHook, BeforeHook, Hooks},
    reply::IntoReply,
};
use crate::{
    request::{FromContext, Kind},
    wire::Serializer,
};

/// The handlers that a game registers under one name, with the hooks around them.
///
/// ```
/// use bytes::Bytes;
/// use cereus::{CloseReason, Service, Session, concurrent};
///
/// async fn echo(body: Bytes) -> Bytes {
///     body
/// }
///
/// async fn wave() {}
///
/// async fn left(session: Session, reason: CloseReason) {
///     tracing::info!(session = ?session.id(), reason = reason.as_str(), "a player left");
/// }
///
/// let room = Service::new()
///     .request("echo", concurrent(echo)) // answers `room.echo`
///     .notify("wave", wave)
///     .on_disconnect(left);
/// ```
#[derive(Default)]
#[must_use]
pub struct Service {
    pub(super) drafts: Vec<Draft>,
    pub(super) hooks: Hooks,
}

impl Service {
    /// A service without handlers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answer requests for `name`. A notify for it runs the handler and drops the answer.
    pub fn request<A, H>(self, name: impl Into<Cow<'static, str>>, handler: H) -> Self
    where
        A: FromContext,
        H: Handler<A, Future: Future<Output: IntoReply> + Send + 'static>,
    {
        self.push(Kind::Request, name.into(), handler)
    }

    /// Take notifies for `name`; a request for it is refused.
    pub fn notify<A, H>(self, name: impl Into<Cow<'static, str>>, handler: H) -> Self
    where
        A: FromContext,
        H: Handler<A, Future: Future<Output: IntoReply> + Send + 'static>,
    {
        self.push(Kind::Notify, name.into(), handler)
    }

    /// Answer calls of other servers for `name`; clients cannot reach it.
    pub fn remote<A, H>(self, name: impl Into<Cow<'static, str>>, handler: H) -> Self
    where
        A: FromContext,
        H: Handler<A, Future: Future<Output: IntoReply> + Send + 'static>,
    {
        self.push(Kind::Remote, name.into(), handler)
    }

    /// Run `handler` when a session that this server handled has ended, after its last message. Hooks are not run for it.
    ///
    /// The frontend that holds the session tells of its end. When that frontend dies it tells nobody: the handler is not run
    /// for its sessions. A frontend that lives tells a server that it has lost the link to when the link is back, if it is
    /// still the same process there; only what was on its way when the link was lost may be lost. State of sessions that has
    /// to go in any case needs a time limit of its own.
    pub fn on_disconnect<A, H>(self, handler: H) -> Self
    where
        A: FromContext,
        H: Handler<A, Future: Future<Output: IntoReply> + Send + 'static>,
    {
        self.push(Kind::Disconnect, "on_disconnect".into(), handler)
    }

    /// Run `hook` before each handler of the service, calls of other servers included; the first one added runs first.
    pub fn before<F>(mut self, hook: F) -> Self
    where
        F: for<'a> BeforeHook<'a> + 'static,
    {
        self.hooks.push_before(hook);
        self
    }

    /// Run `hook` after each handler of the service, calls of other servers included; the first one added runs first.
    pub fn after<F>(mut self, hook: F) -> Self
    where
        F: for<'a> AfterHook<'a> + 'static,
    {
        self.hooks.push_after(hook);
        self
    }

    fn push<A, H>(mut self, kind: Kind, name: Cow<'static, str>, handler: H) -> Self
    where
        A: FromContext,
        H: Handler<A, Future: Future<Output: IntoReply> + Send + 'static>,
    {
        let schemas = || Schemas {
            argument: A::argument_schema(),
            reply: <<H::Future as Future>::Output as IntoReply>::reply_schema(),
        };
        let (marks, path) = (handler.marks(), handler.path());
        let call: Call = Box::new(move |context| {
            let arguments = A::from_context(context)?;
            let serializer = Serializer::clone(context.app.serializer());
            // `map` keeps the function's future once; an async block around it would hold it twice.
            Ok(Box::pin(handler.begin(arguments).map(move |output| output.into_reply(&serializer))))
        });
        self.drafts.push(Draft { kind, name, marks, path, call, schemas });
        self
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.drafts.iter().map(|draft| (draft.kind, &draft.name))).finish()
    }
}
