//! One session's messages to servers that answer as the test says.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cereus_crds::Policy;
use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::forward::testing::{Far, Near, quiet};
use crate::forward::{Dispatch, Flow, Parcel, Visits};
use crate::router::RoutingFunctions;
use crate::rpc::tests::support::Network;
use crate::rpc::{Caller, Outcome, proto};
use crate::session::{Record, SessionId};
use crate::wire::Text;

const DEADLINE: Duration = Duration::from_secs(10);

/// Keeps how calls ended, for the test to pass it on.
#[derive(Default)]
struct Ends(Mutex<Vec<(u64, Outcome)>>);

impl Caller for Ends {
    fn complete(self: Arc<Self>, token: u64, outcome: Outcome) {
        self.0.lock().push((token, outcome));
    }
}

/// One session at the server that forwards. Slots and numbers of its messages are the same.
struct Sender {
    near: Near,
    record: Record,
    flow: Flow,
    ends: Arc<Ends>,
    visited: Visits,
    failed: Vec<(usize, String)>,
    next: usize,
    start: Instant,
}

impl Sender {
    fn new(near: Near) -> Self {
        near.router.server_type("room").unwrap();
        Self {
            near,
            record: Record::new(SessionId::try_from(256).unwrap()),
            flow: Flow::new("room".into(), Instant::now()),
            ends: Arc::default(),
            visited: Visits::default(),
            failed: Vec::new(),
            next: 1,
            start: Instant::now(),
        }
    }

    fn with<T>(&mut self, work: impl FnOnce(&mut Flow, &mut Dispatch<'_>) -> T) -> T {
        let caller: Arc<dyn Caller> = self.ends.clone();
        let mut dispatch = Dispatch {
            router: &self.near.router,
            record: &self.record,
            caller: &caller,
            now: Some(Instant::now()),
            visited: &mut self.visited,
            failed: SmallVec::new(),
        };
        let result = work(&mut self.flow, &mut dispatch);
        let failed = dispatch.failed;
        self.failed.extend(failed.into_iter().map(|(slot, error)| (slot, error.code().to_owned())));
        result
    }

    /// A message expires a second after the one before it.
    fn deadline(&self, number: u64) -> Instant {
        self.start + DEADLINE + Duration::from_secs(number)
    }

    fn parcel(&self, number: u64) -> Parcel {
        Parcel {
            slot: number as usize,
            number,
            kind: proto::RequestKind::Request,
            message_id: number,
            route: Text::from_static("room.test.echo"),
            body: Bytes::from(number.to_string()),
            deadline: self.deadline(number),
        }
    }

    /// Offers one message, whose body is its number.
    fn offer(&mut self) {
        let parcel = self.parcel(self.next as u64);
        self.next += 1;
        self.with(|flow, dispatch| flow.offer(parcel, dispatch));
    }

    /// Offers as many, and waits until they have come as far as they come.
    async fn send(&mut self, count: usize) {
        (0..count).for_each(|_| self.offer());
        quiet().await;
    }

    /// Passes on what has ended; what was not executed is sent again.
    async fn settle(&mut self) -> Vec<String> {
        quiet().await;
        let ends = std::mem::take(&mut *self.ends.0.lock());
        let mut seen = Vec::new();
        for (number, outcome) in ends {
            let how = match outcome {
                Outcome::NotExecuted(_) => {
                    let again = self.parcel(number);
                    self.with(|flow, dispatch| flow.returned(Some(again), dispatch));
                    "not executed"
                }
                Outcome::Answered(_) => "answered",
                Outcome::Lost => "lost",
            };
            if how != "not executed" {
                self.with(|flow, dispatch| flow.handled(number, dispatch));
            }
            seen.push(format!("{number} {how}"));
        }
        quiet().await;
        seen
    }
}

/// Two servers, a session that sends to both in turn, and the network between them.
async fn start(policy: Policy) -> (Network, [Far; 2], Sender) {
    let network = Network::default();
    let fars = [Far::start(&network, "a", 1), Far::start(&network, "b", 2)];
    let near = Near::start_with(&network, &[&fars[0], &fars[1]], policy, RoutingFunctions::default());
    let sender = Sender::new(near);
    quiet().await;
    (network, fars, sender)
}

/// The server that has messages and the one that has none.
fn busy(fars: &[Far; 2]) -> (&Far, &Far) {
    match (fars[0].taken().is_empty(), fars[1].taken().is_empty()) {
        (false, true) => (&fars[0], &fars[1]),
        (true, false) => (&fars[1], &fars[0]),
        _ => panic!("one server has messages: {:?} {:?}", fars[0].taken(), fars[1].taken()),
    }
}

#[tokio::test(start_paused = true)]
async fn messages_in_flight_keep_their_server_and_idle_ones_choose_anew() {
    let (_network, fars, mut sender) = start(Policy::RoundRobin).await;
    sender.send(3).await;
    let (first, second) = busy(&fars);
    assert_eq!(first.taken(), ["1", "2", "3"]);
    while first.answer() {}
    assert_eq!(sender.settle().await, ["1 answered", "2 answered", "3 answered"]);
    assert!(sender.flow.is_idle());
    sender.send(1).await;
    assert_eq!((first.taken(), second.taken()), (vec![], vec!["4".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_new_choice_waits_until_nothing_is_in_flight() {
    let (_network, fars, mut sender) = start(Policy::RoundRobin).await;
    sender.send(2).await;
    let (first, second) = busy(&fars);
    tokio::time::advance(sender.near.router.reconsider()).await;
    sender.send(2).await;
    assert_eq!((first.taken().len(), second.taken().len()), (2, 0), "the policy prefers the other, two wait");
    assert!(first.answer());
    sender.settle().await;
    assert!(second.taken().is_empty(), "one is in flight still");
    assert!(first.answer());
    sender.settle().await;
    // The policy that takes turns is asked once to find out, and once more to choose.
    let taken = [first.taken(), second.taken()].concat();
    assert_eq!(taken, ["3", "4"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_drains_gets_nothing_more() {
    let (_network, fars, mut sender) = start(Policy::RoundRobin).await;
    sender.send(2).await;
    let (first, second) = busy(&fars);
    first.drain();
    quiet().await;
    sender.send(2).await;
    assert_eq!((first.taken(), second.taken()), (vec!["1".to_owned(), "2".to_owned()], vec![]));
    while first.answer() {}
    sender.settle().await;
    assert_eq!((first.taken(), second.taken()), (vec![], vec!["3".to_owned(), "4".to_owned()]));
    assert!(first.accepted().is_drained());
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_goes_elsewhere_in_its_order_before_what_waits() {
    let (_network, fars, mut sender) = start(Policy::RoundRobin).await;
    sender.send(4).await;
    let (first, second) = busy(&fars);
    first.drain();
    quiet().await;
    sender.send(1).await;
    assert!(first.answer());
    while first.refuse() {}
    assert_eq!(sender.settle().await, ["1 answered", "2 not executed", "3 not executed", "4 not executed"]);
    assert_eq!(second.taken(), ["2", "3", "4", "5"]);
    assert_eq!(sender.failed, []);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_expires_while_it_waits_leaves_the_others_in_order() {
    let (_network, fars, mut sender) = start(Policy::RoundRobin).await;
    sender.send(3).await;
    let (first, second) = busy(&fars);
    first.drain();
    quiet().await;
    sender.send(2).await;
    // 1 comes back and expires before 2 and 3 come back too.
    assert!(first.refuse());
    sender.settle().await;
    let (now, mut expired) = (sender.deadline(1), Vec::new());
    sender.with(|flow, _| flow.expire(now, |slot| expired.push(slot)));
    assert_eq!(expired, [1]);
    while first.refuse() {}
    sender.settle().await;
    assert_eq!(second.taken(), ["2", "3", "4", "5"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_was_refused_is_not_sent_behind_later_ones() {
    let (_network, fars, mut sender) = start(Policy::RoundRobin).await;
    sender.send(3).await;
    let (first, second) = busy(&fars);
    // A full server refuses the first, and has room for the two behind it.
    assert!(first.refuse());
    while first.answer() {}
    assert_eq!(sender.settle().await, ["1 not executed", "2 answered", "3 answered"]);
    assert_eq!(sender.failed, [(1, "PIT-503".to_owned())]);
    assert_eq!((first.taken(), second.taken()), (vec![], vec![]));
    assert!(sender.flow.is_idle());
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_on_a_lost_link_is_lost_and_the_rest_goes_elsewhere() {
    let (network, fars, mut sender) = start(Policy::RoundRobin).await;
    sender.send(2).await;
    let (first, second) = busy(&fars);
    network.cut();
    sender.offer();
    quiet().await;
    let seen = sender.settle().await;
    assert_eq!(seen, ["1 lost", "2 lost", "3 not executed"]);
    // Both links were cut; the type has a server again once one is back.
    assert!(first.taken().len() == 2 && second.taken().len() <= 1);
}

#[tokio::test(start_paused = true)]
async fn a_sticky_choice_outlives_idle_times_and_ends_with_its_server() {
    let (_network, fars, mut sender) = start(Policy::Sticky).await;
    sender.send(1).await;
    let (first, second) = busy(&fars);
    let links = [first, second].map(|far| sender.near.router.link(&far.server.id).unwrap());
    let kept = || links.each_ref().map(|link| link.sessions());
    for number in 2..20 {
        assert!(first.answer());
        sender.settle().await;
        sender.send(1).await;
        assert_eq!(first.taken(), [number.to_string()]);
        assert_eq!(kept(), [1, 0]);
    }
    // Always one in flight, and never a moment to choose in: it leaves all the same.
    sender.near.publish(&[second]);
    quiet().await;
    tokio::time::advance(sender.near.router.reconsider()).await;
    sender.send(1).await;
    assert!(first.answer());
    sender.settle().await;
    assert_eq!((first.taken(), second.taken()), (vec![], vec!["20".to_owned()]));
    assert_eq!(kept(), [0, 1]);
    drop(sender);
    assert_eq!(kept(), [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_pinned_session_returns_to_its_server_whatever_the_topology_and_drains_say() {
    let (_network, fars, mut sender) = start(Policy::RoundRobin).await;
    sender.send(1).await;
    let (first, second) = busy(&fars);
    let link = sender.near.router.link(&first.server.id).unwrap();
    sender.record.pin(&"room".into(), &first.server.id);
    link.hold();
    assert!(first.answer());
    sender.settle().await;
    assert!(sender.flow.is_idle());
    // As dispatch does with an idle flow.
    sender.flow = Flow::new("room".into(), Instant::now());
    first.drain();
    sender.near.publish(&[second]);
    quiet().await;
    for number in ["2", "3", "4"] {
        sender.send(1).await;
        assert_eq!((first.taken(), second.taken()), (vec![number.to_owned()], vec![]));
        assert!(first.first().pinned);
        assert!(first.answer());
        sender.settle().await;
    }
    assert!(sender.record.unpin("room", &first.server.id));
    link.release();
    sender.send(1).await;
    assert_eq!((first.taken(), second.taken()), (vec![], vec!["5".to_owned()]));
    assert!(!second.first().pinned);
}

#[tokio::test(start_paused = true)]
async fn a_session_pinned_elsewhere_moves_there_when_nothing_is_in_flight() {
    let (_network, fars, mut sender) = start(Policy::RoundRobin).await;
    sender.send(1).await;
    let (first, second) = busy(&fars);
    sender.record.pin(&"room".into(), &second.server.id);
    sender.send(1).await;
    assert_eq!((first.taken(), second.taken()), (vec!["1".to_owned()], vec![]));
    assert!(first.answer());
    sender.settle().await;
    assert_eq!((first.taken(), second.taken()), (vec![], vec!["2".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn without_a_server_each_message_fails_with_the_reason() {
    let (_network, _fars, mut sender) = start(Policy::RoundRobin).await;
    sender.near.publish(&[]);
    quiet().await;
    sender.send(2).await;
    assert_eq!(sender.failed, [(1, "PIT-500".to_owned()), (2, "PIT-500".to_owned())]);
    assert!(sender.flow.is_idle());
}

#[tokio::test(start_paused = true)]
async fn each_server_is_noted_once_among_those_that_hear_of_the_end() {
    let (_network, fars, mut sender) = start(Policy::RoundRobin).await;
    for _ in 0..6 {
        sender.send(1).await;
        assert!(busy(&fars).0.answer());
        sender.settle().await;
    }
    assert_eq!(sender.visited.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn servers_that_are_gone_for_good_are_not_kept_among_those_that_hear_of_the_end() {
    let (network, _fars, mut sender) = start(Policy::RoundRobin).await;
    for port in 3..9 {
        let far = Far::start(&network, &format!("far-{port}"), port);
        sender.near.publish(&[&far]);
        quiet().await;
        sender.send(1).await;
        assert!(far.answer());
        sender.settle().await;
    }
    assert_eq!(sender.visited.len(), 1);
}
