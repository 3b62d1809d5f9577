//! What one end of a link asks the other beside requests, and how it is sent.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use parking_lot::MutexGuard;

use super::{Caller, Link, Outcome, Question, link::wake, outbound::Outbound, proto::frame::Kind};

impl Question {
    fn kind(self) -> Kind {
        match self {
            Self::Bind(bind) => Kind::Bind(bind),
            Self::SessionSave(save) => Kind::SessionSave(save),
            Self::Pin(pin) => Kind::Pin(pin),
            Self::Subscribe(subscribe) => Kind::Subscribe(subscribe),
            Self::Interest(interest) => Kind::Interest(interest),
            Self::Members(members) => Kind::Members(members),
            Self::Publish(publish) => Kind::Publish(publish),
        }
    }
}

/// A question that was certainly not sent: the link has no room for it, is down, or takes nothing as large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAsked;

impl Link {
    /// Asks the peer something. Always taken; when the link is down the outcome is `Lost`, when the
    /// question is too large it is PIT-500.
    pub(crate) fn ask(&self, question: Question, caller: Arc<dyn Caller>, token: u64) {
        let kind = question.kind();
        if self.is_too_large(&kind) {
            let error = self.too_large(kind.encoded_len());
            self.complete_later(caller, token, Outcome::Answered(Some(error)));
            return;
        }
        let outbound = self.outbound().lock();
        if !outbound.is_taking() || outbound.pending.is_full() {
            drop(outbound);
            self.complete_later(caller, token, Outcome::Lost);
            return;
        }
        self.queue_question(outbound, kind, caller, token);
    }

    /// Asks the peer something if there is room for it, such as to confirm what is published.
    ///
    /// # Errors
    /// When nothing was sent; `caller` is told nothing then.
    pub(crate) fn try_ask(&self, question: Question, caller: Arc<dyn Caller>, token: u64) -> Result<(), NotAsked> {
        let kind = question.kind();
        if self.is_too_large(&kind) {
            return Err(NotAsked);
        }
        let mut outbound = self.outbound().lock();
        if !outbound.is_taking() {
            return Err(NotAsked);
        }
        if !outbound.has_room(self.common().config.outbound) || outbound.pending.is_full() {
            drop(outbound);
            self.common().counts.full.fetch_add(1, Relaxed);
            return Err(NotAsked);
        }
        self.queue_question(outbound, kind, caller, token);
        Ok(())
    }

    fn queue_question(
        &self,
        mut outbound: MutexGuard<'_, Outbound>,
        mut kind: Kind,
        caller: Arc<dyn Caller>,
        token: u64,
    ) {
        let id = outbound.pending.question(caller, token);
        match &mut kind {
            Kind::Bind(bind) => bind.id = id,
            Kind::SessionSave(save) => save.id = id,
            Kind::Pin(pin) => pin.id = id,
            Kind::Subscribe(subscribe) => subscribe.id = id,
            Kind::Interest(interest) => interest.id = id,
            Kind::Members(members) => members.id = id,
            Kind::Publish(publish) => publish.id = id,
            _ => {}
        }
        let waker = outbound.push(kind);
        self.pending.store(outbound.pending.len(), Relaxed);
        drop(outbound);
        wake(waker);
    }
}
