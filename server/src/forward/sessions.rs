//! What backends ask of the sessions that this frontend holds: pushes, kicks, and changes.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;

use super::answer::session_frame;
use crate::router::Router;
use crate::rpc::{self, Link, proto};
use crate::session::{Change, Changes, Entry, KickReason, Pool, PushError, Representation, SaveError, SessionId};
use crate::wire::{Error, Text, codes};

/// The frontend's half of the session frames.
#[derive(Debug)]
pub(crate) struct Sessions {
    pool: Arc<Pool>,
    router: Arc<Router>,
}

impl Sessions {
    /// For the sessions in `pool`, over the links of `router`.
    pub(crate) fn new(pool: Arc<Pool>, router: Arc<Router>) -> Self {
        Self { pool, router }
    }

    fn find(&self, session: i64) -> Option<(SessionId, Arc<Entry>)> {
        let session = SessionId::try_from(session).ok()?;
        Some((session, self.pool.get(session)?))
    }
}

fn state(id: u64, version: u64, conflict: Option<Representation>) -> proto::Frame {
    let state = proto::SessionState { conflict: conflict.is_some(), version, session: conflict.map(session_frame) };
    proto::Response::state(id, state).into()
}

fn failed(id: u64, error: &Error) -> proto::Frame {
    proto::Response::error(id, error).into()
}

fn gone() -> Error {
    Error::new(codes::UNKNOWN, "session not found")
}

fn text(bytes: Bytes, what: &str) -> Result<Text, Error> {
    Text::try_from(bytes)
        .map_err(|error| Error::new(codes::BAD_REQUEST, format!("{what} is not UTF-8")).caused_by(error))
}

fn changes_of(save: Vec<proto::Change>) -> Result<Changes, Error> {
    let entries = save.into_iter().map(|change| {
        Ok(Change {
            key: text(change.key, "a session key")?,
            value: (!change.removed).then_some(change.value),
            read_version: change.read_version,
        })
    });
    Ok(Changes { entries: entries.collect::<Result<_, Error>>()? })
}

impl rpc::Sessions for Sessions {
    fn push(&self, link: &Arc<Link>, push: proto::Push) {
        let Some((session, entry)) = self.find(push.session) else { return };
        let Ok(route) = std::str::from_utf8(&push.route) else {
            tracing::warn!(peer = %link.server(), "push with a route that is not UTF-8 dropped");
            return;
        };
        match entry.entity.try_push(session, route, &push.body) {
            // A full or closed client ends by its own rule.
            Ok(()) | Err(PushError::Full | PushError::Closed) => {}
            Err(error) => tracing::warn!(peer = %link.server(), route, %error, "push dropped"),
        }
    }

    fn kick(&self, _link: &Arc<Link>, kick: proto::Kick) {
        if let Some((session, entry)) = self.find(kick.session) {
            entry.entity.kick(session, KickReason::from_name(&kick.code).unwrap_or(KickReason::Application));
        }
    }

    fn bind(&self, link: &Arc<Link>, bind: proto::Bind) {
        let result = text(bind.uid, "the uid").and_then(|uid| {
            let (session, entry) = self.find(bind.session).ok_or_else(gone)?;
            Ok(entry.entity.bind(session, uid))
        });
        // A local end answers at once.
        let result = result.and_then(|bound| bound.now_or_never().unwrap_or_else(|| Err(gone())));
        link.send(match result {
            Ok(version) => state(bind.id, version, None),
            Err(error) => failed(bind.id, &error),
        });
    }

    fn save(&self, link: &Arc<Link>, save: proto::SessionSave) {
        let result = changes_of(save.changes).map_err(SaveError::Failed).and_then(|changes| {
            let (_, entry) = self.find(save.session).ok_or(SaveError::Gone)?;
            entry.record.apply(&changes)
        });
        link.send(match result {
            Ok(version) => state(save.id, version, None),
            Err(SaveError::Conflict(conflict)) => {
                let version = conflict.current.version;
                state(save.id, version, Some(conflict.current))
            }
            Err(SaveError::Gone) => failed(save.id, &gone()),
            Err(SaveError::Failed(error)) => failed(save.id, &error),
        });
    }

    fn pin(&self, link: &Arc<Link>, pin: proto::Pin) {
        link.send(match (self.find(pin.session), link.peer()) {
            (Some((_, entry)), Some(peer)) => {
                link.hold();
                if let Some((other, pins)) = entry.record.pin(&peer.server_type, &peer.server_id) {
                    self.router.release(&other, pins);
                }
                state(pin.id, 0, None)
            }
            _ => failed(pin.id, &gone()),
        });
    }

    fn unpin(&self, link: &Arc<Link>, unpin: proto::Unpin) {
        if let (Some((_, entry)), Some(peer)) = (self.find(unpin.session), link.peer())
            && entry.record.unpin(&peer.server_type, &peer.server_id)
        {
            link.release();
        }
    }
}
