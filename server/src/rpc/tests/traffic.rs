//! What goes over a link that is up.

use bytes::Bytes;

use super::support::{Network, Seen, pair, pair_with, request};
use crate::rpc::{Config, Question, proto};

#[tokio::test(start_paused = true)]
async fn calls_arrive_and_are_answered_in_order_and_in_batches() {
    let network = Network::default();
    let (front, back, link) = pair(&network).await;
    let before = back.stub.batches();
    for token in 0..10_000 {
        assert!(front.call(&link, "echo", token.to_string(), token).is_some());
    }
    assert_eq!(link.pending(), 10_000);
    front.stub.until_ended(10_000).await;
    let asked: Vec<Seen> = (0..10_000).map(|token: u64| Seen::Request(token.to_string().into())).collect();
    assert!(back.stub.seen()[1..] == asked);
    let ends: Vec<_> = front.stub.ends().iter().map(|(token, _)| *token).collect();
    assert_eq!(ends, (0..10_000).collect::<Vec<_>>());
    assert_eq!(back.stub.batches() - before, 10_000_usize.div_ceil(64));
    assert_eq!((link.pending(), link.queued()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn pushes_arrive_before_the_response_of_the_request_that_made_them() {
    let network = Network::default();
    let (front, _back, link) = pair(&network).await;
    front.call(&link, "push", "hello", 1);
    front.stub.until_ended(1).await;
    assert_eq!(front.stub.seen()[1..], [Seen::Push(5, "hello".into()), Seen::Ended(1, "done".into())]);
}

#[tokio::test(start_paused = true)]
async fn what_the_acceptor_asks_is_answered() {
    let network = Network::default();
    let (front, back, _link) = pair(&network).await;
    let link = back.stub.accepted();
    let changes = vec![proto::Change::default(), proto::Change::default()];
    link.ask(Question::Bind(proto::Bind { id: 0, session: 5, uid: "u".into() }), back.stub.clone(), 1);
    link.ask(Question::SessionSave(proto::SessionSave { id: 0, session: 5, changes }), back.stub.clone(), 2);
    link.ask(Question::Pin(proto::Pin { id: 0, session: 5 }), back.stub.clone(), 3);
    link.send(proto::Unpin { session: 5 }.into());
    link.send(proto::Kick { session: 5, code: "bye".into(), msg: String::new() }.into());
    front.stub.until_seen(Seen::Kick("bye".into())).await;
    back.stub.until_ended(3).await;
    assert_eq!(
        front.stub.seen()[1..],
        [Seen::Bind(5, "u".into()), Seen::Save(2), Seen::Unpin(5), Seen::Kick("bye".into())]
    );
    let ends = ["conflict false version 7", "conflict true version 0", "done"];
    assert_eq!(back.stub.ends(), [(1, ends[0].into()), (2, ends[1].into()), (3, ends[2].into())]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_was_not_executed() {
    let network = Network::default();
    let (front, _back, link) = pair(&network).await;
    front.call(&link, "refuse", "", 1);
    front.stub.until_ended(1).await;
    assert_eq!(front.stub.ends(), [(1, "not executed refuse".into())]);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_completes_with_its_answer_and_a_finished_one_is_not_cancelled() {
    let network = Network::default();
    let (front, back, link) = pair(&network).await;
    let first = front.call(&link, "echo", "", 1).unwrap();
    front.stub.until_ended(1).await;
    let second = front.call(&link, "hold", "", 2).unwrap();
    link.cancel(first);
    link.cancel(second);
    back.stub.until_seen(Seen::Cancel(second)).await;
    assert!(!back.stub.seen().contains(&Seen::Cancel(first)));
    back.stub.release();
    front.stub.until_ended(2).await;
    assert_eq!(front.stub.ends()[1], (2, "done".into()));
}

#[tokio::test(start_paused = true)]
async fn a_full_link_hands_back_requests_and_pushes_and_says_when_there_is_room() {
    let network = Network::default();
    let (front, back, link) = pair_with(&network, &Config { outbound: 100_000, ..Config::default() }).await;
    let taken = (0..100).filter(|token| front.call(&link, "echo", vec![0; 10_000], *token).is_some()).count();
    assert_eq!(taken, 10, "the frame that passes the bound is still taken");
    assert!(link.try_send(proto::Push::default().into()).is_err());
    link.send(proto::Closed { session: Some(proto::Session { id: 9, ..Default::default() }), reason: 0 }.into());
    assert_eq!(front.links.counts().full.load(std::sync::atomic::Ordering::Relaxed), 91);
    link.writable().await;
    assert!(front.call(&link, "echo", "", 100).is_some());
    front.stub.until_ended(11).await;
    assert!(back.stub.seen().contains(&Seen::Closed(9)), "what is bounded by what is in flight is always taken");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_too_large_fails_alone() {
    let network = Network::default();
    let (front, back, link) = pair_with(&network, &Config { max_frame: 1_000, ..Config::default() }).await;
    front.call(&link, "hold", "", 1);
    front.call(&link, "echo", vec![0; 2_000], 2);
    front.call(&link, "echo", vec![0; 500], 3);
    front.stub.until_ended(2).await;
    let accepted = back.stub.accepted();
    assert!(accepted.try_send(proto::Push { body: vec![0; 2_000].into(), ..Default::default() }.into()).is_err());
    let Seen::Request(_) = &back.stub.seen()[1] else { panic!("no request") };
    back.stub.release();
    front.stub.until_ended(3).await;
    let mut ends = front.stub.ends();
    ends.sort();
    assert_eq!(ends, [(1, "done".into()), (2, "PIT-500".into()), (3, "500 bytes".into())]);
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_too_large_is_an_error() {
    let network = Network::default();
    let back = super::support::Node::start_with(
        &network,
        super::support::identity("back", "json"),
        1,
        &Config { max_frame: 1_000, ..Config::default() },
    );
    let front = super::support::Node::start(&network, "front", 2);
    let link = front.links.open(&back.server);
    front.call(&link, "echo", vec![0; 2_000], 1);
    front.call(&link, "echo", "ok", 2);
    front.stub.until_ended(2).await;
    assert_eq!(front.stub.ends(), [(1, "PIT-500".into()), (2, "2 bytes".into())]);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_too_large_fails_alone() {
    let network = Network::default();
    let (_front, back, _link) = pair_with(&network, &Config { max_frame: 1_000, ..Config::default() }).await;
    let changes = vec![proto::Change { value: vec![0; 2_000].into(), ..Default::default() }];
    let link = back.stub.accepted();
    link.ask(Question::SessionSave(proto::SessionSave { id: 0, session: 5, changes }), back.stub.clone(), 1);
    link.ask(Question::Pin(proto::Pin::default()), back.stub.clone(), 2);
    back.stub.until_ended(2).await;
    let mut ends = back.stub.ends();
    ends.sort();
    assert_eq!(ends, [(1, "PIT-500".into()), (2, "done".into())]);
}

#[tokio::test(start_paused = true)]
async fn the_largest_payload_passes_in_both_directions() {
    let network = Network::default();
    // However much is configured, what no peer takes is not sent.
    let (front, _back, link) = pair_with(&network, &Config { max_frame: usize::MAX, ..Config::default() }).await;
    front.call(&link, "echo", vec![7; 0x0110_0000], 0);
    front.stub.until_ended(1).await;
    assert_eq!(front.stub.ends(), [(0, "PIT-500".into())]);
    front.call(&link, "echo", vec![7; 0xFF_FFFF], 1);
    link.writable().await;
    front.call(&link, "echo", "small", 2);
    front.stub.until_ended(3).await;
    assert_eq!(front.stub.ends()[1..], [(1, format!("{} bytes", 0xFF_FFFF)), (2, "5 bytes".into())]);
}

#[tokio::test(start_paused = true)]
async fn two_hundred_large_calls_are_in_flight_at_once() {
    let network = Network::default();
    let (front, back, link) = pair(&network).await;
    let body = Bytes::from(vec![1; 64 << 10]);
    for token in 0..200 {
        link.writable().await;
        assert!(link.call(request("hold", body.clone()), front.stub.clone(), token).is_ok());
    }
    back.stub.until(|seen| seen.iter().filter(|seen| matches!(seen, Seen::Request(_))).count() == 200).await;
    assert_eq!(link.pending(), 200);
    for token in 200..400 {
        link.writable().await;
        assert!(link.call(request("echo", body.clone()), front.stub.clone(), token).is_ok());
    }
    back.stub.release();
    front.stub.until_ended(400).await;
    assert!(front.stub.ends().iter().all(|(token, how)| *token < 200 || how == "65536 bytes"));
}
