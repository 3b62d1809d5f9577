//! Where the agent and dispatch meet: the client's end of a conversation, and the conversation itself.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use crate::{
    session::{CloseReason, Entity, Record},
    wire::{Error, Message},
};

/// The client's end of a conversation, as dispatch sees it. The agent's connection handle implements it.
pub(crate) trait Client: Send + Sync + 'static {
    /// Queue the answer to the request `id`; the agent's task writes it. Never blocks; a slow client is closed. An answer
    /// that comes after the end of the connection is dropped.
    fn respond(&self, id: u64, answer: Result<Bytes, Error>);

    /// Reading may go on, or an earlier deadline was set: poll the agent's task again. Never lost, whenever it comes.
    fn wake(&self);
}

/// Where a connection's messages go. One per connection; all calls are synchronous and come from the agent's task.
pub(crate) trait Conversation: Send + Sync + 'static {
    /// Handle a message that came at `now`: a request, a notify, a push (as a notify) or a response (an error to that
    /// id). Whether there is room for another.
    fn message(&self, message: Message, now: Instant) -> bool;

    /// The session's bound is reached: stop reading until [`Client::wake`]. Asked before each message.
    fn is_full(&self) -> bool;

    /// Take no more messages: [`is_full`](Self::is_full) from now on. Whether an answer is still owed; each comes by
    /// [`Client::respond`]. Asked again after that.
    fn finish(&self) -> bool;

    /// When [`expire`](Self::expire) has to be called next. Cheap: asked whenever something may have changed.
    fn next_deadline(&self) -> Option<Instant>;

    /// Answer the requests whose time is over. Afterwards [`next_deadline`](Self::next_deadline) is later than `now`.
    fn expire(&self, now: Instant);

    /// The connection ended: called exactly once, after the last message.
    fn close(&self, reason: CloseReason);
}

/// Makes the conversations of new connections on one worker.
pub(crate) trait Conversations: Send + Sync + 'static {
    /// A client completed its handshake. `entity` and `client` are its connection; `record` is its session, which is in
    /// the pool already.
    fn open(&self, record: Arc<Record>, entity: Arc<dyn Entity>, client: Arc<dyn Client>) -> Arc<dyn Conversation>;
}
