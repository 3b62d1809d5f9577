//! Whose messages a link has.

use std::{
    ops::Deref,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use super::Link;

/// A link that the messages of one session keep to, because some are in flight or the choice is sticky. The link counts
/// the session for as long as this lives: of a peer that cannot say what it holds, this is what is known.
#[derive(Debug)]
pub(crate) struct Kept(Arc<Link>);

impl Kept {
    /// One more session keeps to `link`.
    pub(crate) fn new(link: Arc<Link>) -> Self {
        link.sessions.fetch_add(1, Relaxed);
        Self(link)
    }
}

impl Deref for Kept {
    type Target = Arc<Link>;

    fn deref(&self) -> &Arc<Link> {
        &self.0
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, Relaxed);
    }
}
