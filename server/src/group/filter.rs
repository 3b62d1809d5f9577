//! What a server that publishes knows of the interest of one that holds sessions: the far half of [`super::interest`].

use std::collections::HashSet;

use crate::rpc::proto::{self, interest::Extent};
use crate::wire::Text;

/// More names than this are kept of no peer: it would have stopped to announce long before.
const MOST: usize = 1_000_000;

/// What was announced on one connection.
#[derive(Debug, Default)]
pub(super) struct Filter {
    /// Hashed with a secret: names may be chosen by clients.
    channels: HashSet<Text>,
    /// The peer said that this is all.
    is_complete: bool,
}

impl Filter {
    /// Whether what is published to the channel has to be sent.
    pub(super) fn passes(&self, channel: &str) -> bool {
        !self.is_complete || self.channels.contains(channel)
    }

    /// Takes an announcement.
    pub(super) fn apply(&mut self, interest: &proto::Interest) {
        for name in &interest.removed {
            if let Ok(name) = std::str::from_utf8(name) {
                self.channels.remove(name);
            }
        }
        for name in &interest.added {
            // A copy: it must not keep the frame alive that it came in.
            if let Ok(name) = std::str::from_utf8(name)
                && self.channels.len() < MOST
            {
                self.channels.insert(Text::copied(name));
            }
        }
        match interest.extent() {
            Extent::Unchanged => {}
            Extent::Complete => self.is_complete = true,
            Extent::Everything => *self = Self::default(),
        }
        if self.channels.len() >= MOST {
            self.is_complete = false;
        }
    }

    /// How many channels were announced; none while everything is to be sent.
    pub(super) fn len(&self) -> Option<usize> {
        self.is_complete.then_some(self.channels.len())
    }
}
