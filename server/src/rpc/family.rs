//! What a link tells the modules above it: one trait for each family of frames, and one for those who wait for an answer.
//!
//! All of it is called synchronously from the task that reads the link, so nothing here may wait.

use std::{fmt, sync::Arc};

use tokio::time::Instant;

use super::{Link, proto};
use crate::topology::{ServerId, ServerType};

/// Who a server is towards its peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The id under which the topology knows it.
    pub(crate) server_id: ServerId,
    /// A random number for each process: a new one voids all that was known of the server.
    pub(crate) incarnation: u64,
    /// Its type.
    pub(crate) server_type: ServerType,
    /// Name of its serializer; both ends of a link must use the same.
    pub(crate) serializer: Arc<str>,
}

/// Who gets the frames that links receive.
#[derive(Clone)]
pub(crate) struct Families {
    /// Frames from openers.
    pub(crate) requests: Arc<dyn Requests>,
    /// Frames from acceptors.
    pub(crate) sessions: Arc<dyn Sessions>,
    /// The life of links.
    pub(crate) links: Arc<dyn LinkEvents>,
    /// Frames about channels, of either direction.
    pub(crate) channels: Arc<dyn Channels>,
}

impl Families {
    /// The peer of `link` said who it is.
    pub(super) fn up(&self, link: &Arc<Link>) {
        self.links.up(link);
        self.channels.up(link);
    }

    /// The connection of `link` was lost or closed.
    pub(super) fn down(&self, link: &Arc<Link>) {
        self.channels.down(link);
        self.links.down(link);
    }
}

impl fmt::Debug for Families {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Families").finish_non_exhaustive()
    }
}

/// Work that comes over accepted links.
pub(crate) trait Requests: Send + Sync + 'static {
    /// Work that came in at about `now`; it is answered with exactly one `Response` of its id on the same link.
    fn request(&self, link: &Arc<Link>, request: proto::Request, now: Instant);
    /// The answer to a request is no longer wanted; it is answered all the same.
    fn cancel(&self, link: &Arc<Link>, id: u64);
    /// A session of the opener has ended.
    fn closed(&self, link: &Arc<Link>, closed: proto::Closed);
    /// All frames of one batch were handed over, on links of either direction.
    fn batch_done(&self, link: &Arc<Link>);
}

/// What servers that were called do with the sessions of the caller: frames that come over opened links.
pub(crate) trait Sessions: Send + Sync + 'static {
    /// A message for a client.
    fn push(&self, link: &Arc<Link>, push: proto::Push);
    /// A client must go.
    fn kick(&self, link: &Arc<Link>, kick: proto::Kick);
    /// A session gets its uid; answered with one `Response`.
    fn bind(&self, link: &Arc<Link>, bind: proto::Bind);
    /// Values of a session change; answered with one `Response`.
    fn save(&self, link: &Arc<Link>, save: proto::SessionSave);
    /// A session's messages stay with the peer; answered with one `Response`.
    fn pin(&self, link: &Arc<Link>, pin: proto::Pin);
    /// Ends a pin.
    fn unpin(&self, link: &Arc<Link>, unpin: proto::Unpin);
}

/// The life of links, of either direction.
pub(crate) trait LinkEvents: Send + Sync + 'static {
    /// The peer said who it is; frames may follow. An opened link comes up again after each reconnect.
    fn up(&self, link: &Arc<Link>);
    /// The connection was lost, or closed, and all its calls were completed. Told once for each `up`.
    fn down(&self, link: &Arc<Link>);
    /// The peer is going away.
    fn draining(&self, link: &Arc<Link>);
    /// The peer knows that this server is going away and sends nothing but pinned messages from now on.
    fn drained(&self, link: &Arc<Link>);
}

/// Channels: which sessions are in them, who has members, and what is published.
pub(crate) trait Channels: Send + Sync + 'static {
    /// A link is up; told before any of its frames.
    fn up(&self, link: &Arc<Link>);
    /// It was lost or closed. Told once for each `up`.
    fn down(&self, link: &Arc<Link>);
    /// A session of this server joins a channel; answered with one `Response`. From the acceptor.
    fn subscribe(&self, link: &Arc<Link>, subscribe: proto::Subscribe);
    /// It leaves the channel. From the acceptor.
    fn unsubscribe(&self, link: &Arc<Link>, unsubscribe: proto::Unsubscribe);
    /// What the acceptor has members of; answered with one `Response`.
    fn interest(&self, link: &Arc<Link>, interest: proto::Interest);
    /// A message for the members of a channel that this server holds; answered with one `Response` if it has an id.
    fn publish(&self, link: &Arc<Link>, publish: proto::Publish);
    /// The peer wants to know the members of a channel that this server holds; answered with one `Response`.
    fn members(&self, link: &Arc<Link>, members: proto::Members);
}

/// Who waits for the answer to a call or a question.
pub(crate) trait Caller: Send + Sync + 'static {
    /// Called exactly once for each call that was taken, never from within `call`, `ask` or `cancel`.
    /// `token` is what was passed along.
    fn complete(self: Arc<Self>, token: u64, outcome: Outcome);
}

/// How a call ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The peer's answer; `None` is an empty one (an acknowledged notify or pin). Never a refusal.
    Answered(Option<proto::response::Outcome>),
    /// Certainly not executed: the peer refused it, or the link was lost before it was sent. It may be routed again.
    NotExecuted(Box<proto::Request>),
    /// The link was lost after sending: what became of it is unknown. Also a question that could not be asked.
    Lost,
}

/// What one end of a link asks the other beside requests. The `id` inside is set by the link.
#[derive(Debug)]
pub(crate) enum Question {
    /// Give a session its uid.
    Bind(proto::Bind),
    /// Change values of a session.
    SessionSave(proto::SessionSave),
    /// Keep a session's messages here.
    Pin(proto::Pin),
    /// A session of the opener joins a channel.
    Subscribe(proto::Subscribe),
    /// Publish according to this from now on.
    Interest(proto::Interest),
    /// Who is in a channel, of the acceptor's sessions?
    Members(proto::Members),
    /// A message for the members of a channel; answered when nothing that comes later can overtake it.
    Publish(proto::Publish),
}
