//! The memory group `g1`, and the users of this server.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use cereus::{Error, Session};
use parking_lot::Mutex;
use tokio::time::Instant;

/// How long a push to a member may wait for room.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sessions that were bound here, by uid.
#[derive(Default)]
pub(crate) struct Members {
    by_uid: Mutex<HashMap<String, Session>>,
}

impl Members {
    /// Binds `session` and makes it a member.
    pub(crate) async fn join(&self, session: &Session, uid: &str) -> Result<(), Error> {
        session
            .bind(uid.to_owned())
            .await
            .map_err(|error| Error::new("PIT-444", error.message().to_owned()).caused_by(error))?;
        let forever = Instant::now() + Duration::from_hours(365 * 24);
        self.by_uid.lock().insert(uid.to_owned(), session.until(forever));
        Ok(())
    }

    /// Forgets the session, unless its user has another one by now.
    pub(crate) fn leave(&self, session: &Session) {
        let Some(uid) = session.uid() else { return };
        let mut by_uid = self.by_uid.lock();
        if by_uid.get(uid.as_str()).is_some_and(|member| member.id() == session.id()) {
            by_uid.remove(uid.as_str());
        }
    }

    /// The session of a user.
    pub(crate) fn get(&self, uid: &str) -> Option<Session> {
        self.by_uid.lock().get(uid).cloned()
    }

    /// Pushes `body` to every member.
    pub(crate) async fn broadcast(&self, route: &str, body: &Bytes) {
        let members: Vec<Session> = self.by_uid.lock().values().cloned().collect();
        for member in members {
            // A member that is gone is no failure of the broadcast.
            let _ = member.until(Instant::now() + PATIENCE).push_bytes(route, body.clone()).await;
        }
    }

    /// Pushes `body` to some users.
    pub(crate) async fn send(&self, uids: &[String], route: &str, body: &Bytes) {
        for member in uids.iter().filter_map(|uid| self.get(uid)) {
            // As above.
            let _ = member.until(Instant::now() + PATIENCE).push_bytes(route, body.clone()).await;
        }
    }
}

/// A shared handle, as handlers take it.
pub(crate) type Group = cereus::State<Members>;
