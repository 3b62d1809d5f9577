//! The other end of a session on a backend: the link to the frontend that holds it.

use std::future::ready;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use parking_lot::Mutex;

use super::answer::result_of;
use super::incoming::LaneKey;
use super::pins::Pins;
use crate::rpc::{Link, Outcome, Question, Standing, Waiter, proto};
use crate::session::{
    BoxFuture, Changes, Conflict, Entity, Farewell, Frontend, KickReason, PushError, Representation, SaveError,
    SessionId, Subscription,
};
use crate::wire::{Error, Text, codes};

/// A session's other end, across a link. The link is replaced when the frontend has reconnected.
pub(super) struct RemoteAgent {
    link: Mutex<Arc<Link>>,
    pins: Arc<Pins>,
    key: LaneKey,
}

impl RemoteAgent {
    pub(super) fn new(link: Arc<Link>, key: LaneKey, pins: Arc<Pins>) -> Self {
        Self { link: Mutex::new(link), pins, key }
    }

    /// Uses `link` from now on: the one on which the session's newest message came.
    pub(super) fn follow(&self, link: &Arc<Link>) {
        let mut current = self.link.lock();
        if !Arc::ptr_eq(&current, link) {
            *current = link.clone();
        }
    }

    fn link(&self) -> Arc<Link> {
        self.link.lock().clone()
    }

    /// Tells the frontend something that it does not answer. While the link is down nobody hears of it.
    fn tell(&self, session: SessionId, what: &str, frame: proto::Frame) {
        let link = self.link();
        if !link.is_taking() {
            tracing::debug!(%session, frontend = %link.server(), what, "lost: there is no link to the session's frontend");
        }
        link.send(frame);
    }

    /// Asks the frontend; the answer comes with the link's next frames, or with its loss.
    fn ask(&self, question: Question) -> impl Future<Output = Outcome> + Send + 'static {
        let (waiter, answer) = Waiter::new();
        self.link().ask(question, waiter, 0);
        async move { answer.await.unwrap_or(Outcome::Lost) }
    }
}

fn link_lost() -> Error {
    Error::new(codes::LINK_LOST, "the link to the session's frontend was lost")
}

/// What a frontend answers to a change of a session.
enum Answer {
    Done(u64),
    Conflict(Representation),
    Failed(Error),
}

fn answer_of(outcome: Outcome) -> Answer {
    match outcome {
        Outcome::Answered(Some(proto::response::Outcome::State(state))) => match state.session {
            Some(session) if state.conflict => match representation_of(session) {
                Ok(current) => Answer::Conflict(current),
                Err(error) => Answer::Failed(error),
            },
            _ => Answer::Done(state.version),
        },
        Outcome::Answered(Some(proto::response::Outcome::Error(error))) => Answer::Failed(error.into()),
        Outcome::Answered(_) => Answer::Failed(Error::new(codes::INTERNAL, "the frontend's answer names no version")),
        Outcome::NotExecuted(_) | Outcome::Lost => Answer::Failed(link_lost()),
    }
}

/// The session that a frame carries.
pub(super) fn representation_of(session: proto::Session) -> Result<Representation, Error> {
    let uid = Text::try_from(session.uid)
        .map_err(|error| Error::new(codes::BAD_REQUEST, "the session's uid is not UTF-8").caused_by(error))?;
    let id = SessionId::try_from(session.id)
        .map_err(|error| Error::new(codes::BAD_REQUEST, error.to_string()).caused_by(error))?;
    Ok(Representation { id, uid, data: session.data, version: session.version })
}

impl Entity for RemoteAgent {
    fn try_push(&self, session: SessionId, route: &str, body: &Bytes) -> Result<(), PushError> {
        let link = self.link();
        if link.standing() == Standing::Down {
            return Err(PushError::Closed);
        }
        let route = Bytes::copy_from_slice(route.as_bytes());
        let push = proto::Push { session: session.get(), route, body: body.clone() };
        link.try_send(push.into()).map_err(|unsent| {
            // Whoever is told that it is full waits for room and tries again.
            if unsent.kind.is_some_and(|kind| link.is_too_large(&kind)) {
                PushError::TooLarge
            } else if link.is_taking() {
                PushError::Full
            } else {
                PushError::Closed
            }
        })
    }

    fn writable(&self) -> BoxFuture<'static, ()> {
        self.link().writable()
    }

    fn kick(&self, session: SessionId, reason: KickReason) {
        let kick =
            proto::Kick { session: session.get(), code: reason.as_str().to_owned(), msg: reason.message().to_owned() };
        self.tell(session, "kick", kick.into());
    }

    fn bind(&self, session: SessionId, uid: Text) -> BoxFuture<'static, Result<u64, Error>> {
        let answer = self.ask(Question::Bind(proto::Bind { id: 0, session: session.get(), uid: uid.into_bytes() }));
        async move {
            match answer_of(answer.await) {
                Answer::Done(version) => Ok(version),
                Answer::Conflict(_) => Err(Error::new(codes::INTERNAL, "the frontend answered a bind with a conflict")),
                Answer::Failed(error) => Err(error),
            }
        }
        .boxed()
    }

    fn save(&self, session: SessionId, changes: Changes) -> BoxFuture<'static, Result<u64, SaveError>> {
        let changes = changes
            .entries
            .into_iter()
            .map(|change| proto::Change {
                key: change.key.into_bytes(),
                removed: change.value.is_none(),
                value: change.value.unwrap_or_default(),
                read_version: change.read_version,
            })
            .collect();
        let answer = self.ask(Question::SessionSave(proto::SessionSave { id: 0, session: session.get(), changes }));
        async move {
            match answer_of(answer.await) {
                Answer::Done(version) => Ok(version),
                Answer::Conflict(current) => Err(SaveError::Conflict(Conflict { current })),
                Answer::Failed(error) => Err(SaveError::Failed(error)),
            }
        }
        .boxed()
    }

    fn pin(&self, session: SessionId) -> BoxFuture<'static, Result<(), Error>> {
        let (link, key, pins) = (self.link(), self.key, self.pins.clone());
        // Before the frontend is asked: its answer may come together with the end of the session, which ends all pins.
        pins.add(key, &link);
        let answer = self.ask(Question::Pin(proto::Pin { id: 0, session: session.get() }));
        async move {
            match answer_of(answer.await) {
                Answer::Failed(error) => {
                    pins.remove(key, Some(&link));
                    Err(error)
                }
                Answer::Done(_) | Answer::Conflict(_) => Ok(()),
            }
        }
        .boxed()
    }

    fn unpin(&self, session: SessionId) {
        if let Some(link) = self.pins.remove(self.key, None) {
            link.send(proto::Unpin { session: session.get() }.into());
        }
    }

    fn subscribe(
        &self,
        session: SessionId,
        channel: Text,
        subscription: Subscription,
    ) -> BoxFuture<'static, Result<(), Error>> {
        if self.link().lacks_channels() {
            let error = Error::new(codes::INTERNAL, "the session's frontend knows no channels");
            return Box::pin(ready(Err(error)));
        }
        let farewell = subscription.farewell;
        let subscribe = proto::Subscribe {
            id: 0,
            session: session.get(),
            channel: channel.into_bytes(),
            info: subscription.info,
            farewell: farewell.map(|Farewell { route, body }| proto::Farewell { route: route.into_bytes(), body }),
        };
        let answer = self.ask(Question::Subscribe(subscribe));
        async move {
            match answer.await {
                Outcome::Answered(answer) => result_of(answer).map(drop),
                Outcome::NotExecuted(_) | Outcome::Lost => Err(link_lost()),
            }
        }
        .boxed()
    }

    fn unsubscribe(&self, session: SessionId, channel: &str) {
        let channel = Bytes::copy_from_slice(channel.as_bytes());
        self.tell(session, "unsubscribe", proto::Unsubscribe { session: session.get(), channel }.into());
    }

    fn address(&self) -> Frontend {
        let link = self.link();
        match link.peer() {
            Some(peer) => Frontend { id: peer.server_id.clone(), server_type: peer.server_type.clone() },
            None => Frontend { id: link.server().clone(), server_type: "".into() },
        }
    }
}
