//! What a frontend does to its own sessions when other servers ask.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;

use crate::rpc::Identity;
use crate::rpc::proto::pitaya as protos;
use crate::session::{Entry, KickReason, Pool, SessionId};
use crate::topology::Topology;
use crate::wire::{Error, Text, codes};

/// The user routes that every frontend has.
pub(super) const BIND: &str = "sys.bindsession";
pub(super) const PUSH: &str = "sys.pushsession";
pub(super) const KICK: &str = "sys.kick";

/// The message of the error when there is no such session.
pub(super) const GONE: &str = "session not found";

/// What is answered when there is nothing to say.
pub(super) const ACK: Bytes = Bytes::from_static(b"ack");

/// The sessions of this frontend, as other servers change them.
pub(super) struct BuiltIn {
    pub(super) pool: Arc<Pool>,
    pub(super) identity: Arc<Identity>,
    pub(super) topology: Topology,
}

impl BuiltIn {
    /// Runs the built-in user route `route`; `None` when it is none.
    pub(super) async fn call(&self, route: &str, argument: &Bytes) -> Option<Result<Bytes, Error>> {
        Some(match route {
            BIND => self.bind(argument).await.map(|()| acknowledged()),
            PUSH => self.replace(argument).map(|()| acknowledged()),
            KICK => decode::<protos::KickMsg>(argument)
                .and_then(|kick| self.kick(&kick.user_id))
                .map(|()| protos::KickAnswer { kicked: true }.encode_to_vec().into()),
            _ => return None,
        })
    }

    async fn bind(&self, argument: &Bytes) -> Result<(), Error> {
        let session: protos::Session = decode(argument)?;
        let (id, entry) = self.by_id(session.id)?;
        entry.entity.bind(id, Text::from(session.uid)).await.map(drop)
    }

    fn replace(&self, argument: &Bytes) -> Result<(), Error> {
        let session: protos::Session = decode(argument)?;
        self.by_id(session.id)?.1.record.replace(&session.data).map(drop)
    }

    /// Gives the client of the user `uid` a message.
    pub(super) fn push(&self, push: &protos::Push) -> Result<(), Error> {
        let entry = self.by_uid(&push.uid)?;
        Ok(entry.entity.try_push(entry.record.id(), &push.route, &push.data)?)
    }

    /// Sends the client of the user `uid` away.
    pub(super) fn kick(&self, uid: &str) -> Result<(), Error> {
        let entry = self.by_uid(uid)?;
        entry.entity.kick(entry.record.id(), KickReason::Application);
        Ok(())
    }

    /// A user was bound to a session of another frontend: on frontends of its type an older session ends.
    pub(super) fn bound_elsewhere(&self, bound: &protos::BindMsg) {
        let there = self.topology.current().server(&bound.fid).map(|server| server.server_type.clone());
        let is_of_this_type = there.is_none_or(|there| there == self.identity.server_type);
        if *bound.fid == *self.identity.server_id || !is_of_this_type {
            return;
        }
        if let Some(entry) = self.pool.by_uid(&bound.uid) {
            entry.entity.kick(entry.record.id(), KickReason::Replaced);
        }
    }

    fn by_id(&self, id: i64) -> Result<(SessionId, Arc<Entry>), Error> {
        let id = SessionId::try_from(id).map_err(|_| gone())?;
        Ok((id, self.pool.get(id).ok_or_else(gone)?))
    }

    fn by_uid(&self, uid: &str) -> Result<Arc<Entry>, Error> {
        self.pool.by_uid(uid).ok_or_else(gone)
    }
}

fn gone() -> Error {
    Error::new(codes::UNKNOWN, GONE)
}

/// The answer of a remote handler that has nothing to say, as the reply of a call.
fn acknowledged() -> Bytes {
    protos::Response { data: ACK, error: None }.encode_to_vec().into()
}

fn decode<M: Message + Default>(argument: &Bytes) -> Result<M, Error> {
    M::decode(argument.clone()).map_err(|error| {
        Error::new(codes::BAD_REQUEST, "the argument is not the message that it has to be").caused_by(error)
    })
}
