//! The calls of one link that wait for their answer.

use std::sync::Arc;

use slab::Slab;

use super::{Caller, Outcome, proto};

/// The lower bits of a call's id are its place in the table, the upper ones the number of its issue, so that an id which
/// outlived its call names no other. 4 194 304 calls wait at most.
const PLACE_BITS: u32 = 22;
const PLACE_MASK: u64 = (1 << PLACE_BITS) - 1;

/// One call.
pub(super) struct Call {
    issue: u64,
    /// The stream has taken it: the peer may have executed it.
    sent: bool,
    /// What was asked, kept so that it can be encoded in its turn and handed back; `None` for a question.
    request: Option<proto::Request>,
    caller: Arc<dyn Caller>,
    token: u64,
}

impl Call {
    fn id(&self, place: usize) -> u64 {
        (self.issue << PLACE_BITS) | place as u64
    }

    /// Tells the caller what the peer answered.
    pub(super) fn answer(self, outcome: Option<proto::response::Outcome>) {
        let outcome = match (outcome, self.request) {
            (Some(proto::response::Outcome::Refusal(_)), Some(request)) => Outcome::NotExecuted(Box::new(request)),
            (Some(proto::response::Outcome::Refusal(_)), None) => Outcome::Lost,
            (outcome, _) => Outcome::Answered(outcome),
        };
        self.caller.complete(self.token, outcome);
    }

    /// Tells the caller that the link is gone.
    pub(super) fn lose(self) {
        let outcome = match self.request {
            Some(request) if !self.sent => Outcome::NotExecuted(Box::new(request)),
            _ => Outcome::Lost,
        };
        self.caller.complete(self.token, outcome);
    }
}

/// All calls of one link.
#[derive(Default)]
pub(super) struct Pending {
    calls: Slab<Call>,
    issued: u64,
}

impl Pending {
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    /// No further call fits.
    pub(super) fn is_full(&self) -> bool {
        self.calls.len() as u64 > PLACE_MASK
    }

    /// Keeps a request until it is answered and gives it its id.
    pub(super) fn request(&mut self, mut request: proto::Request, caller: Arc<dyn Caller>, token: u64) -> u64 {
        self.issued += 1;
        let place = self.calls.vacant_entry();
        let mut call = Call { issue: self.issued, sent: false, request: None, caller, token };
        let id = call.id(place.key());
        request.id = id;
        call.request = Some(request);
        place.insert(call);
        id
    }

    /// The id of a question. It counts as sent from the start: there is nothing to hand back.
    pub(super) fn question(&mut self, caller: Arc<dyn Caller>, token: u64) -> u64 {
        self.issued += 1;
        let place = self.calls.vacant_entry();
        let call = Call { issue: self.issued, sent: true, request: None, caller, token };
        let id = call.id(place.key());
        place.insert(call);
        id
    }

    /// The id of a call that is not kept.
    pub(super) fn none(&mut self) -> u64 {
        self.issued += 1;
        (self.issued << PLACE_BITS) | PLACE_MASK
    }

    fn get_mut(&mut self, id: u64) -> Option<&mut Call> {
        let place = (id & PLACE_MASK) as usize;
        self.calls.get_mut(place).filter(|call| call.id(place) == id)
    }

    /// The request of a call that is sent now.
    pub(super) fn send(&mut self, id: u64) -> Option<&proto::Request> {
        let call = self.get_mut(id)?;
        call.sent = true;
        call.request.as_ref()
    }

    /// Whether this call still waits for its answer.
    pub(super) fn contains(&mut self, id: u64) -> bool {
        self.get_mut(id).is_some()
    }

    /// Takes out a call that was sent.
    pub(super) fn take(&mut self, id: u64) -> Option<Call> {
        let sent = self.get_mut(id)?.sent;
        sent.then(|| self.calls.remove((id & PLACE_MASK) as usize))
    }

    /// Takes out the requests that no stream has taken, in the order in which they were issued.
    pub(super) fn unsent(&mut self) -> Vec<Call> {
        let places = self.calls.iter().filter(|(_, call)| call.request.is_some() && !call.sent).map(|(place, _)| place);
        let places: Vec<usize> = places.collect();
        let mut calls: Vec<Call> = places.into_iter().map(|place| self.calls.remove(place)).collect();
        calls.sort_unstable_by_key(|call| call.issue);
        calls
    }

    /// Takes out all calls, in the order in which they were issued.
    pub(super) fn drain(&mut self) -> Vec<Call> {
        let mut calls: Vec<Call> = std::mem::take(&mut self.calls).into_iter().map(|(_, call)| call).collect();
        calls.sort_unstable_by_key(|call| call.issue);
        calls
    }
}
