//! The outbound queue and the pending table by themselves.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use proptest::prelude::*;
use prost::{Message, length_delimiter_len};

use super::support::request;
use crate::rpc::{
    Caller, Outcome,
    outbound::{BATCH_BYTES, BATCH_FRAMES, Outbound},
    proto::{self, frame::Kind},
};

const ROOM: usize = 4 << 20;

/// Notes how calls end.
#[derive(Default)]
struct Ends(Mutex<Vec<(u64, &'static str)>>);

impl Caller for Ends {
    fn complete(self: Arc<Self>, token: u64, outcome: Outcome) {
        let how = match outcome {
            Outcome::Answered(_) => "answered",
            Outcome::NotExecuted(request) => {
                assert_eq!(request.message_id, token, "the request itself comes back");
                "not executed"
            }
            Outcome::Lost => "lost",
        };
        self.0.lock().push((token, how));
    }
}

fn call(outbound: &mut Outbound, ends: &Arc<Ends>, token: u64, body: usize) -> u64 {
    let request = proto::Request { message_id: token, ..request("echo", vec![0; body]) };
    let length = request.encoded_len();
    let id = outbound.pending.request(request, ends.clone(), token);
    outbound.push_call(id, length + 1 + length_delimiter_len(id as usize));
    id
}

/// The next batch, if it is the queue's turn.
fn batch(outbound: &mut Outbound, epoch: u64) -> Option<Vec<proto::Frame>> {
    let Poll::Ready(Some(())) = outbound.poll(epoch, &Context::from_waker(Waker::noop())) else { return None };
    let mut buffer = BytesMut::new();
    let taken = outbound.encode(epoch, ROOM, &mut buffer);
    let frames = proto::Batch::decode(buffer.freeze()).unwrap().frames;
    assert_eq!(frames.len(), taken.frames);
    Some(frames)
}

fn open() -> (Outbound, u64) {
    let mut outbound = Outbound::new();
    let epoch = outbound.begin(proto::Hello::default());
    outbound.open();
    assert!(matches!(batch(&mut outbound, epoch).unwrap()[0].kind, Some(Kind::Hello(_))));
    (outbound, epoch)
}

#[test]
fn every_kind_of_frame_is_encoded_as_the_schema_says() {
    let (mut outbound, epoch) = open();
    let kinds = [
        Kind::Response(proto::Response::body(1, Bytes::from_static(b"x"))),
        Kind::Response(proto::Response::done(u64::MAX)),
        Kind::Cancel(proto::Cancel { id: 1 << 40 }),
        Kind::Push(proto::Push { session: -1, route: "r".into(), body: vec![0; 300].into() }),
        Kind::Kick(proto::Kick { session: 1, code: "c".into(), msg: "m".into() }),
        Kind::Bind(proto::Bind { id: 1, session: 2, uid: "u".into() }),
        Kind::SessionSave(proto::SessionSave { id: 1, session: 2, changes: vec![proto::Change::default(); 200] }),
        Kind::Closed(proto::Closed {
            session: Some(proto::Session { id: 1, uid: "u".into(), ..Default::default() }),
            reason: 2,
        }),
        Kind::Pin(proto::Pin { id: 1, session: 2 }),
        Kind::Unpin(proto::Unpin { session: 2 }),
        Kind::Draining(proto::Draining { deadline_millis: 5 }),
        Kind::Drained(proto::Drained {}),
        Kind::Hello(proto::Hello { server_id: "s".into(), ..Default::default() }),
    ];
    for kind in kinds.clone() {
        outbound.push(kind);
    }
    let id = call(&mut outbound, &Arc::default(), 1, 500);
    let frames = batch(&mut outbound, epoch).unwrap();
    assert!(frames[..kinds.len()] == kinds.map(proto::Frame::from));
    let asked = proto::Request { id, message_id: 1, ..request("echo", vec![0; 500]) };
    assert_eq!(frames.last().unwrap().kind, Some(Kind::Request(asked)));
    assert_eq!(outbound.bytes(), 0);
}

#[test]
fn a_batch_has_a_limited_number_of_frames_and_of_bytes() {
    let sizes = |bodies: &[usize]| {
        let (mut outbound, epoch) = open();
        for body in bodies {
            call(&mut outbound, &Arc::default(), 0, *body);
        }
        let mut sizes = Vec::new();
        while let Some(frames) = batch(&mut outbound, epoch) {
            sizes.push(frames.len());
        }
        assert_eq!(outbound.bytes(), 0);
        sizes
    };
    assert_eq!(sizes(&[0; 150]), [BATCH_FRAMES, BATCH_FRAMES, 22]);
    assert_eq!(sizes(&[20_000; 7]), [3, 3, 1]);
    assert_eq!(sizes(&[10, BATCH_BYTES * 3, 10, 10]), [1, 1, 2], "a large frame goes alone");
}

#[test]
fn nothing_but_the_greeting_leaves_before_the_peer_is_known() {
    let mut outbound = Outbound::new();
    call(&mut outbound, &Arc::default(), 0, 0);
    let epoch = outbound.begin(proto::Hello::default());
    assert_eq!(batch(&mut outbound, epoch).unwrap().len(), 1);
    assert!(batch(&mut outbound, epoch).is_none());
    outbound.open();
    assert_eq!(batch(&mut outbound, epoch).unwrap().len(), 1);
}

#[test]
fn a_stream_of_an_earlier_connection_gets_nothing() {
    let (mut outbound, old) = open();
    outbound.lose();
    let epoch = outbound.begin(proto::Hello::default());
    outbound.open();
    call(&mut outbound, &Arc::default(), 0, 0);
    assert!(matches!(outbound.poll(old, &Context::from_waker(Waker::noop())), Poll::Ready(None)));
    assert_eq!(outbound.encode(old, ROOM, &mut BytesMut::new()).frames, 0);
    assert!(batch(&mut outbound, epoch).is_some());
}

#[test]
fn an_answer_finds_only_the_call_it_is_for() {
    let (mut outbound, epoch) = open();
    let ends = Arc::<Ends>::default();
    let first = call(&mut outbound, &ends, 1, 0);
    assert!(outbound.pending.take(first).is_none(), "not sent yet");
    batch(&mut outbound, epoch);
    assert!(outbound.pending.take(first).is_some());
    let second = call(&mut outbound, &ends, 2, 0);
    batch(&mut outbound, epoch);
    assert!(outbound.pending.take(first).is_none(), "the second has its place, not its id");
    assert!(outbound.pending.contains(second) && !outbound.pending.contains(first));
    assert!(outbound.pending.take(0).is_none() && outbound.pending.take(u64::MAX).is_none());
    assert!(outbound.pending.take(second).is_some());
}

#[derive(Default)]
struct Count(AtomicUsize);

impl std::task::Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn one_wake_for_all_that_is_queued() {
    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    let (mut outbound, epoch) = open();
    assert!(outbound.poll(epoch, &Context::from_waker(&waker)).is_pending());
    for _ in 0..10 {
        if let Some(waker) = outbound.push(Kind::Drained(proto::Drained {})) {
            waker.wake();
        }
    }
    assert_eq!(count.0.load(Relaxed), 1);
}

#[derive(Clone, Debug)]
enum Step {
    Call,
    Take,
    Answer(usize),
    Refuse(usize),
    Cancel(usize),
    Lose,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Call),
        3 => Just(Step::Take),
        4 => (0..100_usize).prop_map(Step::Answer),
        2 => (0..100_usize).prop_map(Step::Refuse),
        1 => (0..100_usize).prop_map(Step::Cancel),
        1 => Just(Step::Lose),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_each_call_ends_once_and_as_it_must(steps in prop::collection::vec(step(), 0..200)) {
        let (mut outbound, mut epoch) = open();
        let ends = Arc::<Ends>::default();
        let mut ids = Vec::new();
        let mut sent = HashSet::new();
        let mut expected = HashMap::new();
        let lose = |outbound: &mut Outbound| outbound.lose().0.into_iter().for_each(crate::rpc::pending::Call::lose);
        for step in steps {
            match step {
                Step::Call => {
                    let token = ids.len() as u64;
                    ids.push(call(&mut outbound, &ends, token, 0));
                }
                Step::Take => for frame in batch(&mut outbound, epoch).unwrap_or_default() {
                    if let Some(Kind::Request(request)) = frame.kind {
                        prop_assert!(sent.insert(request.id), "sent once");
                    }
                },
                Step::Answer(at) | Step::Refuse(at) if !ids.is_empty() => {
                    let token = at % ids.len();
                    let refused = matches!(step, Step::Refuse(_));
                    let outcome = refused.then(|| proto::response::Outcome::Refusal(proto::Refusal::default()));
                    let found = outbound.pending.take(ids[token]);
                    prop_assert_eq!(found.is_some(), sent.contains(&ids[token]) && !expected.contains_key(&(token as u64)));
                    if let Some(call) = found {
                        call.answer(outcome);
                        expected.insert(token as u64, if refused { "not executed" } else { "answered" });
                    }
                }
                Step::Cancel(at) if !ids.is_empty() && outbound.pending.contains(ids[at % ids.len()]) => {
                    outbound.push(Kind::Cancel(proto::Cancel { id: ids[at % ids.len()] }));
                }
                Step::Lose => {
                    lose(&mut outbound);
                    for (token, id) in ids.iter().enumerate() {
                        expected.entry(token as u64).or_insert(if sent.contains(id) { "lost" } else { "not executed" });
                    }
                    epoch = outbound.begin(proto::Hello::default());
                    outbound.open();
                }
                _ => {}
            }
        }
        lose(&mut outbound);
        for (token, id) in ids.iter().enumerate() {
            expected.entry(token as u64).or_insert(if sent.contains(id) { "lost" } else { "not executed" });
        }
        let ends = ends.0.lock();
        prop_assert_eq!(ends.len(), ids.len(), "each exactly once");
        prop_assert_eq!(ends.iter().copied().collect::<HashMap<_, _>>(), expected);
        prop_assert_eq!((outbound.bytes(), outbound.pending.len()), (0, 0));
    }
}

#[test]
fn the_end_of_a_session_outlives_a_connection_that_did_not_send_it_and_no_process() {
    let closed = |id| proto::Closed { session: Some(proto::Session { id, ..Default::default() }), reason: 1 };
    let kick = || Kind::Kick(proto::Kick::default());
    for (is_same, ends) in [(true, vec![2, 3]), (false, vec![])] {
        let (mut outbound, epoch) = open();
        outbound.push_closed(closed(1));
        batch(&mut outbound, epoch).unwrap();
        outbound.push_closed(closed(2));
        outbound.push(kick());
        outbound.lose();
        outbound.push_closed(closed(3));
        outbound.lose();
        assert_eq!(outbound.bytes(), 0);
        let epoch = outbound.begin(proto::Hello::default());
        batch(&mut outbound, epoch).unwrap();
        outbound.redeliver(is_same);
        outbound.open();
        outbound.push(kick());
        let expected = ends.into_iter().map(|id| Kind::Closed(closed(id))).chain([kick()]);
        assert_eq!(batch(&mut outbound, epoch).unwrap(), expected.map(proto::Frame::from).collect::<Vec<_>>());
        assert_eq!(outbound.bytes(), 0);
        // A link that ends keeps nothing.
        outbound.finish();
        outbound.push_closed(closed(4));
        outbound.lose();
        outbound.redeliver(true);
        assert_eq!(outbound.bytes(), 0);
    }
}
