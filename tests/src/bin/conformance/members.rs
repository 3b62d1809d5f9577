//! The users of this server, and its group `g1`, which is a channel.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use cereus::{App, Error, Session};
use parking_lot::Mutex;
use tokio::time::Instant;

/// How long a push to a user may wait for room.
const PATIENCE: Duration = Duration::from_secs(5);

/// The channel for the members that joined here: each server has a group of its own.
fn channel(app: &App) -> String {
    format!("g1@{}", app.server_id())
}

/// Sessions that were bound here, by uid.
#[derive(Default)]
pub(crate) struct Members {
    by_uid: Mutex<HashMap<String, User>>,
}

impl Members {
    /// Binds `session` and makes it a member.
    pub(crate) async fn join(&self, app: &App, session: &Session, uid: &str) -> Result<(), Error> {
        session
            .bind(uid.to_owned())
            .await
            .map_err(|error| Error::new("PIT-444", error.message().to_owned()).caused_by(error))?;
        let in_channel = match session.subscribe(&channel(app)).await {
            Ok(()) => true,
            // A frontend that makes unary calls has none: its users are pushed to one by one.
            Err(error) if error.code() == "PIT-500" => false,
            Err(error) => return Err(Error::new("PIT-441", error.message().to_owned()).caused_by(error)),
        };
        let forever = Instant::now() + Duration::from_hours(365 * 24);
        self.by_uid.lock().insert(uid.to_owned(), User { session: session.until(forever), in_channel });
        Ok(())
    }

    /// Forgets the session, unless its user has another one by now.
    pub(crate) fn leave(&self, session: &Session) {
        let Some(uid) = session.uid() else { return };
        let mut by_uid = self.by_uid.lock();
        if by_uid.get(uid.as_str()).is_some_and(|user| user.session.id() == session.id()) {
            by_uid.remove(uid.as_str());
        }
    }

    /// The session of a user.
    pub(crate) fn get(&self, uid: &str) -> Option<Session> {
        self.by_uid.lock().get(uid).map(|user| user.session.clone())
    }

    /// Pushes `body` to every member.
    pub(crate) async fn broadcast(&self, app: &App, route: &str, body: &Bytes) -> Result<(), Error> {
        app.publish_bytes(&channel(app), route, body.clone())?;
        let others: Vec<Session> = {
            let users = self.by_uid.lock();
            users.values().filter(|user| !user.in_channel).map(|user| user.session.clone()).collect()
        };
        for session in others {
            // A member that is gone is no failure of the broadcast.
            let _ = session.until(Instant::now() + PATIENCE).push_bytes(route, body.clone()).await;
        }
        Ok(())
    }

    /// Pushes `body` to some users.
    pub(crate) async fn send(&self, uids: &[String], route: &str, body: &Bytes) {
        for member in uids.iter().filter_map(|uid| self.get(uid)) {
            // A user that is gone is no failure of the others.
            let _ = member.until(Instant::now() + PATIENCE).push_bytes(route, body.clone()).await;
        }
    }
}

/// A session that was bound here.
struct User {
    session: Session,
    in_channel: bool,
}

/// A shared handle, as handlers take it.
pub(crate) type Group = cereus::State<Members>;
