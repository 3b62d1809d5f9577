//! Members and interest against the plainest model there is: what was subscribed and not unsubscribed, and that nothing
//! which is published after a subscription is held back.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use proptest::prelude::*;
use tokio::time::Instant;

use crate::group::filter::Filter;
use crate::group::interest::{Interest, Peer, State};
use crate::group::shard::Shard;
use crate::rpc::proto;
use crate::session::{Entry, Record, SessionId, Subscription};
use crate::wire::Text;

const CHANNELS: usize = 6;
const PEERS: usize = 3;
/// Two fewer than there are, so that there are too many at times.
const MOST: usize = 4;
const LINGER: Duration = Duration::from_mins(1);

/// One connection to a server that publishes: what is on its way there, and what arrived.
struct Wire {
    id: usize,
    sent: Mutex<VecDeque<proto::Interest>>,
    filter: Mutex<Filter>,
    /// Announcements that arrived and whose answers are on their way back.
    answers: Mutex<usize>,
}

#[derive(Clone)]
struct End(Arc<Wire>);

impl Peer for End {
    fn is(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }

    fn announce(&self, interest: proto::Interest) {
        assert!(self.0.sent.lock().len() + *self.0.answers.lock() < 2, "one announcement, and one that voids it");
        self.0.sent.lock().push_back(interest);
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A session subscribes to, or leaves, a channel.
    Join(usize, usize),
    Leave(usize, usize),
    /// It ends.
    End(usize),
    /// Connections are made, lost, bring announcements there and answers back.
    Up(usize),
    Down(usize),
    Arrive(usize),
    Answer(usize),
    /// So many seconds pass.
    Wait(u64),
    /// Somebody has waited long enough for all that is not followed.
    GiveUp,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (0..4usize, 0..CHANNELS).prop_map(|(session, channel)| Step::Join(session, channel)),
        4 => (0..4usize, 0..CHANNELS).prop_map(|(session, channel)| Step::Leave(session, channel)),
        1 => (0..4usize).prop_map(Step::End),
        1 => (0..PEERS).prop_map(Step::Up),
        1 => (0..PEERS).prop_map(Step::Down),
        6 => (0..PEERS).prop_map(Step::Arrive),
        6 => (0..PEERS).prop_map(Step::Answer),
        2 => (1..90u64).prop_map(Step::Wait),
        1 => Just(Step::GiveUp),
    ];
    proptest::collection::vec(step, 1..120)
}

fn name(channel: usize) -> Text {
    Text::from(format!("room/{channel}"))
}

/// Everything, and the model beside it.
struct World {
    now: Instant,
    shard: Shard,
    entries: Vec<Arc<Entry>>,
    interest: Interest<End>,
    wires: Vec<Option<Arc<Wire>>>,
    connections: usize,
    /// Connections that did not answer for long.
    given_up: BTreeSet<usize>,
    /// Who is in what.
    members: BTreeSet<(usize, usize)>,
    /// When the last member left, by channel.
    left: [Option<Instant>; CHANNELS],
}

impl World {
    fn new() -> Self {
        let entry = |number: i64| {
            let record = Arc::new(Record::new(SessionId::try_from(256 + number).unwrap()));
            Arc::new(Entry { record, entity: Arc::new(Nowhere) })
        };
        Self {
            now: Instant::now(),
            shard: Shard::default(),
            entries: (0..4).map(entry).collect(),
            interest: Interest::new(MOST, LINGER),
            wires: vec![None; PEERS],
            connections: 0,
            given_up: BTreeSet::new(),
            members: BTreeSet::new(),
            left: [None; CHANNELS],
        }
    }

    fn has_members(&self, channel: usize) -> bool {
        self.members.iter().any(|(_, other)| *other == channel)
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Join(session, channel) => {
                let joined =
                    self.shard.join(&self.entries[session], &name(channel), Subscription::new(), CHANNELS).unwrap();
                assert_eq!(joined.is_first_here, !self.has_members(channel));
                if joined.is_first_here {
                    self.interest.add(&name(channel));
                }
                self.members.insert((session, channel));
            }
            Step::Leave(session, channel) => {
                let was_member = self.members.remove(&(session, channel));
                let left = self.shard.leave(self.entries[session].record.id(), &name(channel));
                assert_eq!(left.is_some(), was_member);
                let deserted = left.is_some_and(|left| left.is_last_here);
                assert_eq!(deserted, was_member && !self.has_members(channel));
                if deserted {
                    self.desert(channel);
                }
            }
            Step::End(session) => {
                let before = self.members.clone();
                self.members.retain(|(other, _)| *other != session);
                let left = self.shard.end(self.entries[session].record.id()).into_iter();
                let mut deserted: Vec<_> = left.filter(|left| left.is_last_here).map(|left| left.channel).collect();
                deserted.sort();
                let expected: Vec<usize> =
                    before.iter().filter(|(other, _)| *other == session).map(|(_, channel)| *channel).collect();
                let expected: Vec<usize> = expected.into_iter().filter(|channel| !self.has_members(*channel)).collect();
                assert_eq!(deserted, expected.iter().map(|channel| name(*channel)).collect::<Vec<_>>());
                for channel in expected {
                    self.desert(channel);
                }
            }
            Step::Up(peer) => {
                self.step(Step::Down(peer));
                self.connections += 1;
                let wire = Arc::new(Wire {
                    id: self.connections,
                    sent: Mutex::default(),
                    filter: Mutex::default(),
                    answers: Mutex::default(),
                });
                self.wires[peer] = Some(wire.clone());
                self.interest.up(End(wire));
            }
            Step::Down(peer) => {
                if let Some(wire) = self.wires[peer].take() {
                    self.interest.down(&End(wire));
                }
            }
            Step::Arrive(peer) => {
                let Some(wire) = &self.wires[peer] else { return };
                if let Some(interest) = wire.sent.lock().pop_front() {
                    wire.filter.lock().apply(&interest);
                    *wire.answers.lock() += 1;
                }
            }
            Step::Answer(peer) => {
                let Some(wire) = &self.wires[peer] else { return };
                let answered = wire.answers.lock().checked_sub(1);
                if let Some(left) = answered {
                    *wire.answers.lock() = left;
                    self.interest.answered(&End(wire.clone()));
                    if left == 0 && wire.sent.lock().is_empty() {
                        self.given_up.remove(&wire.id);
                    }
                }
            }
            Step::Wait(seconds) => {
                self.now += Duration::from_secs(seconds);
                self.interest.withdraw(self.now);
            }
            Step::GiveUp => {
                let silent = self.wires.iter().flatten();
                let silent = silent.filter(|wire| !wire.sent.lock().is_empty() || *wire.answers.lock() > 0);
                self.given_up.extend(silent.map(|wire| wire.id));
                let since = (0..CHANNELS).map(|channel| self.interest.since(&name(channel))).max().unwrap_or(0);
                self.interest.give_up(since);
            }
        }
    }

    fn desert(&mut self, channel: usize) {
        self.left[channel] = Some(self.now);
        self.interest.remove(&name(channel), self.now);
    }

    /// What a subscription promises: a channel with members whose change everybody follows is held back by nobody.
    fn check(&self) {
        for channel in (0..CHANNELS).filter(|channel| self.has_members(*channel)) {
            if self.interest.followed() >= self.interest.since(&name(channel)) {
                // Who was given up is not waited for: that is the one exception.
                for wire in self.wires.iter().flatten().filter(|wire| !self.given_up.contains(&wire.id)) {
                    assert!(wire.filter.lock().passes(&name(channel)), "room/{channel} is held back");
                }
            }
        }
        assert_eq!(self.shard.len(), self.members.len());
        for channel in 0..CHANNELS {
            let members = self.shard.members(&name(channel)).map_or(0, std::collections::HashMap::len);
            assert_eq!(members, self.members.iter().filter(|(_, other)| *other == channel).count());
        }
    }

    /// Everything arrives.
    fn settle(&mut self) {
        for _ in 0..100 {
            for peer in 0..PEERS {
                self.step(Step::Arrive(peer));
                self.step(Step::Answer(peer));
            }
        }
    }

    /// When nothing is on its way, all know all: no more and no less than the rules say.
    fn check_settled(&self) {
        let is_recent = |channel: usize| self.left[channel].is_some_and(|left| left + LINGER > self.now);
        let states: Vec<State> = self
            .interest
            .peers()
            .map(|(_, state, pending)| {
                assert_eq!(pending, 0);
                state
            })
            .collect();
        let has = (0..CHANNELS).filter(|channel| self.has_members(*channel)).count();
        if has > MOST {
            assert!(states.iter().all(|state| *state == State::Everything), "{states:?}");
        }
        for wire in self.wires.iter().flatten() {
            for channel in 0..CHANNELS {
                let passes = wire.filter.lock().passes(&name(channel));
                let is_known = wire.filter.lock().len().is_some();
                assert!(passes || !self.has_members(channel));
                assert!(
                    !passes || !is_known || self.has_members(channel) || is_recent(channel),
                    "room/{channel} was not withdrawn"
                );
            }
        }
        // Clearly fewer than too many, and nobody in the last minute: then it is complete.
        if has <= MOST - MOST / 10 && (0..CHANNELS).all(|channel| !is_recent(channel)) {
            assert!(states.iter().all(|state| *state == State::Complete), "{states:?} with {has}");
        }
    }
}

proptest! {
    #[test]
    fn nothing_is_held_back_from_a_member(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            world.check();
        }
        world.settle();
        world.check_settled();
        world.step(Step::Wait(100));
        world.settle();
        world.check_settled();
    }
}

/// An end that nobody uses.
struct Nowhere;

mod nowhere {
    use std::future::ready;

    use bytes::Bytes;

    use super::Nowhere;
    use crate::session::{BoxFuture, Changes, Entity, Frontend, KickReason, PushError, SaveError, SessionId};
    use crate::wire::{Error, Text};

    fn closed() -> Error {
        PushError::Closed.into()
    }

    impl Entity for Nowhere {
        fn try_push(&self, _: SessionId, _: &str, _: &Bytes) -> Result<(), PushError> {
            Ok(())
        }

        fn writable(&self) -> BoxFuture<'static, ()> {
            Box::pin(ready(()))
        }

        fn kick(&self, _: SessionId, _: KickReason) {}

        fn bind(&self, _: SessionId, _: Text) -> BoxFuture<'static, Result<u64, Error>> {
            Box::pin(ready(Err(closed())))
        }

        fn save(&self, _: SessionId, _: Changes) -> BoxFuture<'static, Result<u64, SaveError>> {
            Box::pin(ready(Err(SaveError::Gone)))
        }

        fn pin(&self, _: SessionId) -> BoxFuture<'static, Result<(), Error>> {
            Box::pin(ready(Err(closed())))
        }

        fn unpin(&self, _: SessionId) {}

        fn address(&self) -> Frontend {
            Frontend { id: "nowhere".into(), server_type: "room".into() }
        }
    }
}
