//! Who must hear of a session's end.

use std::sync::Arc;

use super::answer::session_frame;
use crate::rpc::{Link, proto};
use crate::session::{CloseReason, Representation};
use crate::topology::ServerType;

/// The servers that have handled messages of one session, and have not been told of its end.
#[derive(Debug, Default)]
pub(crate) struct Visits(Vec<Visit>);

/// One process that has handled messages of a session.
#[derive(Debug)]
pub(crate) struct Visit {
    server_type: ServerType,
    link: Arc<Link>,
    /// Links survive the process that they lead to; one that takes its place knows nothing of the session.
    incarnation: u64,
}

impl Visits {
    /// The process that `link` leads to has handled a message, or may have. Told before the link leads to another.
    pub(super) fn note(&mut self, server_type: &ServerType, link: &Arc<Link>) {
        let incarnation = link.incarnation();
        if let Some(visit) = self.0.iter_mut().find(|visit| Arc::ptr_eq(&visit.link, link)) {
            visit.incarnation = incarnation;
        } else {
            // Rollouts leave links behind that nobody will be told on.
            self.0.retain(|visit| !visit.link.is_over());
            self.0.push(Visit { server_type: server_type.clone(), link: link.clone(), incarnation });
        }
    }

    /// Takes those of the types for which `is_over` holds.
    pub(crate) fn take(&mut self, is_over: impl Fn(&str) -> bool) -> Vec<Visit> {
        self.0.extract_if(.., |visit| is_over(&visit.server_type)).collect()
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Tells those servers that a session has ended, unless another process has taken the place of the one that was visited.
pub(crate) fn say_closed(visits: &[Visit], session: &Representation, reason: CloseReason) {
    for visit in visits {
        let session = Some(session_frame(session.clone()));
        visit.link.send_closed(proto::Closed { session, reason: reason.number() }, visit.incarnation);
    }
}
