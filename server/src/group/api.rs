//! Channels as user code sees them.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use super::channels::Channels;
use super::publish::Message;
use crate::request::App;
use crate::session::{Frontend, Session, SessionId};
use crate::topology::ServerId;
use crate::wire::{Error, Text, codes};

/// What became of a published message, as far as the server that published it knows.
///
/// It does not say that clients got it: a client that does not keep up is closed, and what was queued for a frontend is
/// lost when the link to it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Frontends that it was queued for, among them this server when it holds members.
    pub queued: usize,
    /// Frontends that have said that they hold no members.
    pub not_interested: usize,
    /// Frontends that it could not be queued for, because the link to them is full or lost. Nothing tries again: whether
    /// that is worth it is for the game to say.
    pub not_queued: Vec<ServerId>,
}

/// A session in a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The session, at its frontend.
    pub session: SessionId,
    /// The user that it is bound to.
    pub uid: Option<Text>,
    /// What it [subscribed with](crate::Subscription::info); empty when that is nothing.
    pub info: Bytes,
    /// The frontend that holds it.
    pub frontend: Frontend,
}

/// Who is in a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// The sessions, in no particular order.
    pub members: Vec<Member>,
    /// Frontends that may hold more, and did not answer.
    pub unreached: Vec<ServerId>,
}

/// What channels need of the worker they are used on; [`App`] finds it among its extensions.
pub(crate) struct Home {
    channels: Arc<Channels>,
    worker: usize,
}

impl Home {
    /// For user code on `worker`.
    pub(crate) fn new(channels: Arc<Channels>, worker: usize) -> Self {
        Self { channels, worker }
    }
}

impl App {
    /// Sends a message to all sessions that are [subscribed](crate::Session::subscribe) to a channel, whichever frontends
    /// hold them. The payload is written in the server's serializer; clients get a push on `route`.
    ///
    /// Returns at once, with what was queued. Messages that handlers of one session publish, one after the other, reach
    /// each member in that order; so do those that are published by hand from one place without a session.
    ///
    /// ```
    /// # fn example(app: cereus::App) -> Result<(), cereus::Error> {
    /// let published = app.publish("room/lobby", "onMessage", &serde_json::json!({ "content": "hi" }))?;
    /// if !published.not_queued.is_empty() {
    ///     // Some frontends get nothing until they keep up again.
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// PIT-400 for a channel whose name is empty or longer than 255 bytes; PIT-000 when the route is longer than 255
    /// bytes or the message larger than a packet; PIT-500 when the payload cannot be written, or for a handle that no
    /// handler got. On a protobuf server use [`App::publish_payload`].
    pub fn publish<T: Serialize + ?Sized>(&self, channel: &str, route: &str, payload: &T) -> Result<Published, Error> {
        self.publish_bytes(channel, route, self.serializer().encode(payload)?)
    }

    /// As [`App::publish`], for a type that both serde and prost know, in whichever form the server speaks.
    ///
    /// # Errors
    /// As [`App::publish`].
    pub fn publish_payload<T: Serialize + prost::Message>(
        &self,
        channel: &str,
        route: &str,
        payload: &T,
    ) -> Result<Published, Error> {
        self.publish_bytes(channel, route, self.serializer().encode_payload(payload)?)
    }

    /// As [`App::publish`], with the bytes as they are.
    ///
    /// # Errors
    /// As [`App::publish`].
    pub fn publish_bytes(&self, channel: &str, route: &str, body: impl Into<Bytes>) -> Result<Published, Error> {
        let home = self.home()?;
        let message = Message { channel, route, body: body.into(), except: None };
        home.channels.publish(self.worker(&home), message)
    }

    /// As [`App::publish`], to all members but `session`: what is told of somebody to the others.
    ///
    /// # Errors
    /// As [`App::publish`].
    pub fn publish_to_others<T: Serialize + ?Sized>(
        &self,
        session: &Session,
        channel: &str,
        route: &str,
        payload: &T,
    ) -> Result<Published, Error> {
        self.publish_to_others_bytes(session, channel, route, self.serializer().encode(payload)?)
    }

    /// As [`App::publish_to_others`], for a type that both serde and prost know, in whichever form the server speaks.
    ///
    /// # Errors
    /// As [`App::publish`].
    pub fn publish_to_others_payload<T: Serialize + prost::Message>(
        &self,
        session: &Session,
        channel: &str,
        route: &str,
        payload: &T,
    ) -> Result<Published, Error> {
        self.publish_to_others_bytes(session, channel, route, self.serializer().encode_payload(payload)?)
    }

    /// As [`App::publish_to_others`], with the bytes as they are.
    ///
    /// # Errors
    /// As [`App::publish`].
    pub fn publish_to_others_bytes(
        &self,
        session: &Session,
        channel: &str,
        route: &str,
        body: impl Into<Bytes>,
    ) -> Result<Published, Error> {
        let home = self.home()?;
        let message = Message { channel, route, body: body.into(), except: Some(session) };
        home.channels.publish(self.worker(&home), message)
    }

    /// As [`App::publish`], and returns when every frontend that the message was sent to has confirmed that nothing which
    /// is published later, by whichever server, can overtake it on the way to a member: with the number of frontends, this
    /// server among them when it holds members. These are a message broker's *publisher confirms*: a request that is
    /// answered after this keeps its place among the next ones of its client, also when another server handles those.
    ///
    /// ```
    /// # async fn example(app: cereus::App) -> Result<(), cereus::Error> {
    /// let frontends = app.publish_confirmed("room/lobby", "onMessage", &serde_json::json!({ "content": "hi" })).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`App::publish`], and nothing is sent twice:
    ///
    /// * PIT-503 when it certainly reached no frontend: the link to each that may have members is full or lost. To publish
    ///   it again is safe.
    /// * PIT-502 when some confirmed it, or may have got it, and others did not: a link is full or was lost, or a frontend
    ///   did not confirm by the request's deadline or within 5 s.
    ///
    /// The metadata names the servers: `unconfirmed` those that may have it, `not_queued` those that certainly have not.
    ///
    /// # Cancel safety
    /// When the future is dropped the message is on its way, unless it was never polled.
    pub async fn publish_confirmed<T>(&self, channel: &str, route: &str, payload: &T) -> Result<usize, Error>
    where
        T: Serialize + Sync + ?Sized,
    {
        self.publish_confirmed_bytes(channel, route, self.serializer().encode(payload)?).await
    }

    /// As [`App::publish_confirmed`], for a type that both serde and prost know, in whichever form the server speaks.
    ///
    /// # Errors
    /// As [`App::publish_confirmed`].
    pub async fn publish_confirmed_payload<T>(&self, channel: &str, route: &str, payload: &T) -> Result<usize, Error>
    where
        T: Serialize + prost::Message,
    {
        self.publish_confirmed_bytes(channel, route, self.serializer().encode_payload(payload)?).await
    }

    /// As [`App::publish_confirmed`], with the bytes as they are.
    ///
    /// # Errors
    /// As [`App::publish_confirmed`].
    pub async fn publish_confirmed_bytes(
        &self,
        channel: &str,
        route: &str,
        body: impl Into<Bytes>,
    ) -> Result<usize, Error> {
        let home = self.home()?;
        let worker = self.worker(&home);
        let message = Message { channel, route, body: body.into(), except: None };
        home.channels.publish_confirmed(worker, message, self.deadline()).await
    }

    /// Who is in a channel now. Every frontend that may hold members is asked; a list of many sessions is as large as that.
    ///
    /// # Errors
    /// PIT-400 for what is no name of a channel; PIT-500 for a handle that no handler got. Frontends that do not answer,
    /// by the request's deadline or for 5 s, are no error: see [`Members::unreached`].
    ///
    /// Cancel safety: dropping the future changes nothing.
    pub async fn members(&self, channel: &str) -> Result<Members, Error> {
        let home = self.home()?;
        home.channels.members(self.worker(&home), channel, self.deadline()).await
    }

    fn home(&self) -> Result<Arc<Home>, Error> {
        self.get::<Home>().ok_or_else(|| {
            Error::new(codes::INTERNAL, "this handle knows no channels: use the one that a handler gets")
        })
    }

    /// The worker whose links are used. A lane may run on one worker now and on another later, and must publish over the
    /// same links all the time.
    fn worker(&self, home: &Home) -> usize {
        let workers = home.channels.workers.len().max(1);
        self.lane().map_or(home.worker, |session| usize::from(session.worker()) % workers)
    }
}
