//! What waits to be sent on one link. Pure: the link keeps it behind its one lock.
//!
//! Frames are encoded when the stream is polled, straight into the stream's buffer, requests from where they are kept
//! until they are answered. So a request that nobody has sent yet can be handed back, and none is copied.

use std::{
    collections::VecDeque,
    task::{Context, Poll, Waker},
};

use bytes::BufMut;
use prost::{Message, encoding::encode_varint, length_delimiter_len};

use super::{
    pending::{Call, Pending},
    proto::{self, frame::Kind},
};

/// A batch holds at most this many frames,
pub(super) const BATCH_FRAMES: usize = 64;
/// and at most this many bytes, unless a single frame is larger.
pub(super) const BATCH_BYTES: usize = 64 << 10;

/// A frame and how long it is. The frequent kinds are kept in place, the others on the heap.
struct Queued {
    /// Of the message inside the frame; of the whole frame for `Other`.
    length: usize,
    item: Item,
}

enum Item {
    /// A request of the pending table.
    Call(u64),
    Response(proto::Response),
    Push(proto::Push),
    Other(Box<Kind>),
}

impl Queued {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Response(response) => Self { length: response.encoded_len(), item: Item::Response(response) },
            Kind::Push(push) => Self { length: push.encoded_len(), item: Item::Push(push) },
            other => Self { length: other.encoded_len(), item: Item::Other(Box::new(other)) },
        }
    }

    fn is_closed(&self) -> bool {
        matches!(&self.item, Item::Other(kind) if matches!(**kind, Kind::Closed(_)))
    }

    /// Bytes that the frame takes of a batch, at most.
    fn cost(&self) -> usize {
        self.length + OVERHEAD
    }

    /// Appends the frame to a batch.
    fn put(&self, pending: &mut Pending, buffer: &mut impl BufMut) {
        match &self.item {
            Item::Call(id) => {
                if let Some(request) = pending.send(*id) {
                    put_message(REQUEST, self.length, request, buffer);
                }
            }
            Item::Response(response) => put_message(RESPONSE, self.length, response, buffer),
            Item::Push(push) => put_message(PUSH, self.length, push, buffer),
            Item::Other(kind) => put_frame(self.length, kind, buffer),
        }
    }
}

/// Keys and lengths around a message in a batch: two of each.
pub(super) const OVERHEAD: usize = 2 * (1 + 5);

// Keys of length-delimited fields, all below 16 and so one byte each.
const FRAMES: u8 = 1 << 3 | 2;
const REQUEST: u8 = 2 << 3 | 2;
const RESPONSE: u8 = 3 << 3 | 2;
const PUSH: u8 = 5 << 3 | 2;

/// Appends `frames { <key>: message }`, with the length known.
fn put_message(key: u8, length: usize, message: &impl Message, buffer: &mut impl BufMut) {
    buffer.put_u8(FRAMES);
    encode_varint((1 + length_delimiter_len(length) + length) as u64, buffer);
    buffer.put_u8(key);
    encode_varint(length as u64, buffer);
    message.encode_raw(buffer);
}

/// Appends `frames { kind }`, with the length of the frame known.
fn put_frame(length: usize, kind: &Kind, buffer: &mut impl BufMut) {
    buffer.put_u8(FRAMES);
    encode_varint(length as u64, buffer);
    kind.encode(buffer);
}

/// Where a connection stands, as far as sending goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    /// Nothing but the greeting goes out: there is no connection, or the peer has not said who it is.
    Shut,
    Open,
    /// What is queued goes out, then the stream ends.
    Finishing,
}

/// What waits to be sent on one link, and what was sent and waits for an answer.
pub(super) struct Outbound {
    queue: VecDeque<Queued>,
    bytes: usize,
    pub(super) pending: Pending,
    gate: Gate,
    greeting: Option<proto::Hello>,
    /// Ends of sessions that the process behind the lost connection has not been told. One at most for each session that it
    /// had when the connection was lost: it gets no others before it is back.
    undelivered: Vec<Queued>,
    /// Of the connection that may take frames; a stream of an earlier one gets none.
    epoch: u64,
    /// Frames are taken: there is a connection, or the first attempt to make one.
    taking: bool,
    /// The link is being closed: it takes nothing more, also not on a connection that is made just now.
    finishing: bool,
    /// Somebody was told that there is no room.
    blocked: bool,
    waker: Option<Waker>,
}

/// What the stream's turn led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) frames: usize,
    /// Who waited for room may go on.
    pub(super) unblocked: bool,
}

impl Outbound {
    pub(super) fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            bytes: 0,
            pending: Pending::default(),
            gate: Gate::Shut,
            greeting: None,
            undelivered: Vec::new(),
            epoch: 0,
            taking: true,
            finishing: false,
            blocked: false,
            waker: None,
        }
    }

    /// Frames are taken at all.
    pub(super) fn is_taking(&self) -> bool {
        self.taking
    }

    /// Bytes that wait to be sent.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a bounded frame may be queued; if not, the next turn that makes room says so.
    pub(super) fn has_room(&mut self, bound: usize) -> bool {
        self.blocked |= self.bytes >= bound;
        self.bytes < bound
    }

    /// Queues a request, `length` bytes long without its id, that was put into the pending table.
    pub(super) fn push_call(&mut self, id: u64, length: usize) -> Option<Waker> {
        self.push_queued(Queued { length, item: Item::Call(id) })
    }

    /// Queues a frame. The caller wakes who is returned, outside the lock.
    pub(super) fn push(&mut self, kind: Kind) -> Option<Waker> {
        self.push_queued(Queued::new(kind))
    }

    /// Queues the end of a session. Without a connection it is kept for the next one.
    pub(super) fn push_closed(&mut self, closed: proto::Closed) -> Option<Waker> {
        if self.taking {
            return self.push(Kind::Closed(closed));
        }
        if !self.finishing {
            self.undelivered.push(Queued::new(Kind::Closed(closed)));
        }
        None
    }

    /// A connection follows one that was lost. What is undelivered goes out before anything else, or is void when it leads
    /// to another process.
    pub(super) fn redeliver(&mut self, is_same_process: bool) {
        for queued in std::mem::take(&mut self.undelivered).into_iter().filter(|_| is_same_process) {
            self.bytes += queued.cost();
            self.queue.push_back(queued);
        }
    }

    fn push_queued(&mut self, queued: Queued) -> Option<Waker> {
        self.bytes += queued.cost();
        self.queue.push_back(queued);
        self.waker.take()
    }

    /// A connection begins with `greeting`; returns its epoch.
    pub(super) fn begin(&mut self, greeting: proto::Hello) -> u64 {
        self.epoch += 1;
        self.gate = Gate::Shut;
        self.greeting = Some(greeting);
        self.waker = None;
        self.epoch
    }

    /// A connection begins on which nobody introduces himself; returns its epoch.
    pub(super) fn begin_calls(&mut self) -> u64 {
        self.epoch += 1;
        self.gate = Gate::Shut;
        self.waker = None;
        self.epoch
    }

    /// Takes the next frame as it is, for a connection without batches; says too whether there is room again.
    pub(super) fn take(&mut self, epoch: u64, bound: usize) -> Option<(Kind, bool)> {
        if epoch != self.epoch || self.gate == Gate::Shut {
            return None;
        }
        let queued = self.queue.pop_front()?;
        self.bytes -= queued.cost();
        let unblocked = self.blocked && self.bytes < bound;
        self.blocked &= !unblocked;
        let kind = match queued.item {
            Item::Call(id) => Kind::Request(self.pending.send(id)?.clone()),
            Item::Response(response) => Kind::Response(response),
            Item::Push(push) => Kind::Push(push),
            Item::Other(kind) => *kind,
        };
        Some((kind, unblocked))
    }

    /// The peer has said who it is: all that is queued may go out.
    pub(super) fn open(&mut self) -> Option<Waker> {
        self.gate = if self.finishing { Gate::Finishing } else { Gate::Open };
        self.taking = !self.finishing;
        self.waker.take()
    }

    /// Takes back the requests that were not sent, to be sent to somebody else.
    pub(super) fn give_back(&mut self) -> Vec<Call> {
        self.queue.retain(|queued| !matches!(queued.item, Item::Call(_)));
        self.bytes = self.queue.iter().map(Queued::cost).sum();
        self.pending.unsent()
    }

    /// Nothing more is taken; the stream ends after what is queued.
    pub(super) fn finish(&mut self) -> Option<Waker> {
        self.finishing = true;
        self.taking = false;
        if self.gate == Gate::Open {
            self.gate = Gate::Finishing;
        }
        self.waker.take()
    }

    /// The connection is gone: its stream gets no more frames. Returns the calls that nobody will answer.
    pub(super) fn lose(&mut self) -> (Vec<Call>, Option<Waker>) {
        self.epoch += 1;
        self.gate = Gate::Shut;
        self.greeting = None;
        self.taking = false;
        let unsent = std::mem::take(&mut self.queue);
        if self.finishing {
            self.undelivered = Vec::new();
        } else {
            self.undelivered.extend(unsent.into_iter().filter(Queued::is_closed));
        }
        self.bytes = 0;
        self.blocked = false;
        (self.pending.drain(), self.waker.take())
    }

    /// Whether the stream of `epoch` has something to send; `None` when it has ended.
    pub(super) fn poll(&mut self, epoch: u64, context: &Context<'_>) -> Poll<Option<()>> {
        if epoch != self.epoch {
            return Poll::Ready(None);
        }
        if self.greeting.is_some() || (self.gate != Gate::Shut && !self.queue.is_empty()) {
            return Poll::Ready(Some(()));
        }
        if self.gate == Gate::Finishing {
            return Poll::Ready(None);
        }
        self.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// Appends the next batch to `buffer`, as the fields of a `Batch`, and forgets it.
    pub(super) fn encode(&mut self, epoch: u64, bound: usize, buffer: &mut impl BufMut) -> Taken {
        let mut taken = Taken::default();
        if epoch != self.epoch {
            return taken;
        }
        if let Some(hello) = self.greeting.take() {
            let hello = Kind::Hello(hello);
            put_frame(hello.encoded_len(), &hello, buffer);
            taken.frames += 1;
            // Alone: what follows waits until the peer has said who it is.
            return taken;
        }
        let mut bytes = 0;
        while self.gate != Gate::Shut && taken.frames < BATCH_FRAMES {
            let Some(queued) = self.queue.pop_front_if(|next| taken.frames == 0 || bytes + next.cost() <= BATCH_BYTES)
            else {
                break;
            };
            queued.put(&mut self.pending, buffer);
            bytes += queued.cost();
            taken.frames += 1;
        }
        self.bytes -= bytes;
        if self.blocked && self.bytes < bound {
            self.blocked = false;
            taken.unblocked = true;
        }
        taken
    }
}
