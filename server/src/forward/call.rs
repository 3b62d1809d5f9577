//! A request that was taken from a link: counted, and answered, once.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::answer::response;
use crate::rpc::{Link, proto};
use crate::wire::{Error, codes};

/// The right to answer one request, and its place in the link's count of requests. When it is dropped unanswered, because
/// the task or the lane that had it was, the request is answered with an error.
pub(super) struct Call {
    link: Arc<Link>,
    id: u64,
    kind: proto::RequestKind,
    answered: bool,
}

impl Call {
    /// Takes a request.
    pub(super) fn admit(link: &Arc<Link>, request: &proto::Request) -> Self {
        link.admitted().fetch_add(1, Ordering::Relaxed);
        Self { link: link.clone(), id: request.id, kind: request.kind(), answered: false }
    }

    /// The link that it came by.
    pub(super) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// How the request was meant.
    pub(super) fn kind(&self) -> proto::RequestKind {
        self.kind
    }

    /// Answers it.
    pub(super) fn answer(mut self, result: Result<Bytes, Error>) {
        self.finish(result);
    }

    fn finish(&mut self, result: Result<Bytes, Error>) {
        self.answered = true;
        // What a notify's handler gives is nobody's; the empty response says that its turn is over.
        let result = if self.kind == proto::RequestKind::Notify { Ok(Bytes::new()) } else { result };
        self.link.admitted().fetch_sub(1, Ordering::Relaxed);
        self.link.send(response(self.id, result));
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.answered {
            self.finish(Err(Error::new(codes::INTERNAL, "the server gave the request up")));
        }
    }
}
