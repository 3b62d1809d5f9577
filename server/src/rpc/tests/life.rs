//! How links are lost, come back, drain and end.

use std::{sync::Arc, time::Duration};

use tokio::{io::AsyncReadExt as _, sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tower::Service as _;

use super::support::{Network, Node, Seen, identity, pair, server, settle};
use crate::{
    rpc::{
        Config, Families, Links, Question, Standing, bench_support::Deaf, bind, config::CLOSE_TIMEOUT, proto, serve,
    },
    topology::{Server, Snapshot},
};

#[tokio::test(start_paused = true)]
async fn what_was_sent_is_lost_and_what_was_not_is_handed_back_in_order() {
    let network = Network::default();
    let (front, back, link) = pair(&network).await;
    for token in 0..100 {
        front.call(&link, "hold", "", token);
    }
    back.stub.until(|seen| seen.iter().filter(|seen| matches!(seen, Seen::Request(_))).count() == 100).await;
    network.cut();
    for token in 100..200 {
        // Queued, but no task has run since: none of them leaves.
        front.call(&link, "hold", "", token);
    }
    front.stub.until_seen(Seen::Down("back".into())).await;
    let ends = front.stub.ends();
    assert_eq!(ends.len(), 200);
    assert!(ends.iter().enumerate().all(|(at, (token, _))| at as u64 == *token), "in the order of their issue");
    assert!(ends[..100].iter().all(|(_, how)| how == "lost"));
    assert!(ends[100..].iter().all(|(_, how)| how == "not executed hold"));
    let down = front.stub.seen().iter().position(|seen| *seen == Seen::Down("back".into()));
    assert_eq!(down, Some(201), "the link is down after all calls were completed");
    back.stub.until_seen(Seen::Down("front".into())).await;
    assert_eq!(link.pending(), 0);
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_for_the_first_connection_are_handed_back_when_it_fails() {
    let network = Network::default();
    let front = Node::start(&network, "front", 2);
    let link = front.links.open(&server("back", 1));
    for token in 0..3 {
        front.call(&link, "echo", "", token);
    }
    front.stub.until_ended(3).await;
    assert!(front.stub.ends().iter().all(|(_, how)| how == "not executed echo"));
}

#[tokio::test(start_paused = true)]
async fn a_lost_link_comes_back_as_the_same_link() {
    let network = Network::default();
    let (front, back, link) = pair(&network).await;
    let first = link.peer().unwrap().incarnation;
    network.cut();
    front.stub.until_seen(Seen::Down("back".into())).await;
    assert_eq!(link.standing(), Standing::Down);
    drop(back);
    let back = Node::start_with(&network, identity("back", "json"), 1, &Config::default());
    back.stub.until_seen(Seen::Up("front".into())).await;
    front.stub.until(|seen| seen.iter().filter(|seen| matches!(seen, Seen::Up(_))).count() == 2).await;
    assert!(std::sync::Arc::ptr_eq(&link, &front.links.open(&back.server)));
    assert_ne!(link.peer().unwrap().incarnation, first);
    front.call(&link, "echo", "again", 1);
    front.stub.until_ended(1).await;
    assert_eq!(front.stub.ends(), [(1, "5 bytes".into())]);
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_noticed_within_five_seconds() {
    let network = Network::default();
    let (front, back, link) = pair(&network).await;
    let start = tokio::time::Instant::now();
    network.silence();
    front.stub.until_seen(Seen::Down("back".into())).await;
    back.stub.until_seen(Seen::Down("front".into())).await;
    assert!(start.elapsed() <= Duration::from_millis(5_100), "{:?}", start.elapsed());
    assert_eq!(link.standing(), Standing::Down);
}

#[tokio::test(start_paused = true)]
async fn an_idle_link_stays() {
    let network = Network::default();
    let (front, back, _link) = pair(&network).await;
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!((front.stub.seen().len(), back.stub.seen().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_draining_server_is_told_that_it_drained_behind_what_was_queued() {
    let network = Network::default();
    let (front, back, link) = pair(&network).await;
    back.links.drain(Duration::from_secs(9));
    front.stub.until_seen(Seen::Draining).await;
    assert!(link.is_draining());
    back.stub.until_seen(Seen::Drained).await;
    // A link that is opened later learns it from the greeting.
    let late = Node::start(&network, "late", 3);
    let link = late.links.open(&back.server);
    late.stub.until_seen(Seen::Draining).await;
    assert!(link.is_draining());
    back.stub.until(|seen| seen.iter().filter(|seen| **seen == Seen::Drained).count() == 2).await;
    assert!(front.links.list()[0].draining);
}

/// Whoever waits for the end of a drain is told that the peer sends no more, and looks then whether work is left.
#[tokio::test(start_paused = true)]
async fn the_work_of_a_batch_begins_before_its_link_counts_as_drained() {
    let network = Network::default();
    let (front, back, link) = pair(&network).await;
    front.call(&link, "hold", "", 1);
    link.send(proto::Drained {}.into());
    back.stub
        .until(|seen| {
            let Some(drained) = seen.iter().position(|seen| *seen == Seen::Drained) else { return false };
            let begun = seen[..drained].iter().rposition(|seen| *seen == Seen::Batch);
            let request = seen.iter().position(|seen| matches!(seen, Seen::Request(_)));
            assert!(request.is_some() && begun > request, "{seen:?}");
            true
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_server_that_drains_is_handed_back() {
    let network = Network::default();
    let (_front, back, _link) = pair(&network).await;
    back.links.drain(Duration::from_secs(9));
    let late = Node::start(&network, "late", 3);
    let link = late.links.open(&back.server);
    for token in 0..3 {
        late.call(&link, "echo", "", token);
    }
    late.stub.until_ended(3).await;
    let handed_back = [0, 1, 2].map(|token| (token, "not executed echo".to_owned()));
    assert_eq!(late.stub.ends(), handed_back);
    assert_eq!((link.pending(), link.queued()), (0, 0));
    back.stub.until_seen(Seen::Drained).await;
    assert!(link.is_draining());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_left_the_topology_loses_its_link_when_nothing_is_in_flight() {
    let network = Network::default();
    let (front, back, link) = pair(&network).await;
    front.call(&link, "hold", "", 1);
    link.hold();
    front.links.retain(&Snapshot::default());
    back.stub.until(|seen| seen.contains(&Seen::Request(bytes::Bytes::new()))).await;
    back.stub.release();
    front.stub.until_ended(1).await;
    settle().await;
    assert_eq!(link.standing(), Standing::Live, "it is held");
    link.release();
    front.stub.until_seen(Seen::Down("back".into())).await;
    assert_eq!(front.stub.ends(), [(1, "done".into())]);
    back.stub.until_seen(Seen::Down("front".into())).await;
    settle().await;
    assert!(front.links.get("back").is_none());
    let again = front.links.open(&back.server);
    front.call(&again, "echo", "", 2);
    front.stub.until_ended(2).await;
    assert_eq!(front.stub.ends()[1], (2, "0 bytes".into()));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_moved_is_followed() {
    let network = Network::default();
    let front = Node::start(&network, "front", 2);
    let link = front.links.open(&server("back", 1));
    let moved = Node::start(&network, "back", 3);
    front.links.retain(&Snapshot::new([(*moved.server).clone()], []));
    moved.stub.until_seen(Seen::Up("front".into())).await;
    front.stub.until_seen(Seen::Up("back".into())).await;
    assert_eq!(link.standing(), Standing::Live);
}

#[tokio::test(start_paused = true)]
async fn a_question_ends_with_the_link() {
    let network = Network::default();
    let (_front, back, _link) = pair(&network).await;
    network.silence();
    back.stub.accepted().ask(Question::Pin(proto::Pin::default()), back.stub.clone(), 1);
    back.stub.until_seen(Seen::Down("front".into())).await;
    assert_eq!(back.stub.ends(), [(1, "lost".into())]);
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the test ends what it starts")]
async fn links_run_over_dealt_tcp_sockets() {
    let listener = bind(&Config { listen: ([127, 0, 0, 1], 0).into(), ..Config::default() }).unwrap();
    let address = listener.local_addr().unwrap();
    let back = Node::start(&Network::default(), "back", 1);
    let (deal, sockets) = mpsc::channel(1);
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(sockets, back.links.clone(), Routes::default(), stop.clone().cancelled_owned()));
    let stub = back.stub.clone();
    let links = Links::new(identity("front", "json"), 0, &Config::default());
    links.attach(Families {
        requests: stub.clone(),
        sessions: stub.clone(),
        links: stub.clone(),
        channels: Arc::new(Deaf),
    });
    let link = links.open(&Server { address, ..(*back.server).clone() });
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    deal.send(listener.accept().await.unwrap().0.into_std().unwrap()).await.unwrap();
    assert!(back.call(&link, "echo", "hello", 1).is_some());
    stub.until_ended(1).await;
    assert_eq!(stub.ends(), [(1, "5 bytes".into())]);
    stop.cancel();
    serving.await.unwrap();
    assert_eq!(link.standing(), Standing::Down);
}

#[tokio::test(start_paused = true)]
async fn a_connection_on_which_nobody_speaks_does_not_hold_up_the_end() {
    let network = Network::default();
    let (_front, back, _link) = pair(&network).await;
    let mut silent = network.clone().call("http://127.0.0.1:1".parse().unwrap()).await.unwrap().into_inner();
    settle().await;
    let start = Instant::now();
    back.stop.cancel();
    back.serving.await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    silent.read_to_end(&mut Vec::new()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_closes_nothing_holds_up_the_end_for_a_second() {
    let network = Network::default();
    let (_front, back, _link) = pair(&network).await;
    network.silence();
    let start = Instant::now();
    back.stop.cancel();
    back.serving.await.unwrap();
    assert!(start.elapsed() <= CLOSE_TIMEOUT + Duration::from_millis(1), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "the test ends what it starts")]
async fn who_serves_links_is_told_to_stop_although_no_more_connections_come() {
    let network = Network::default();
    let (front, back, link) = pair(&network).await;
    let (deal, sockets) = mpsc::channel(1);
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(sockets, front.links.clone(), Routes::default(), stop.clone().cancelled_owned()));
    drop(deal);
    settle().await;
    assert!(!serving.is_finished(), "it still has to be told");
    stop.cancel();
    serving.await.unwrap();
    assert_eq!((link.standing(), back.links.list().len()), (Standing::Down, 0));
}

#[tokio::test(start_paused = true)]
async fn closing_sends_what_is_queued_and_ends_everything() {
    let network = Network::default();
    let (front, back, link) = pair(&network).await;
    link.send(proto::Closed { session: Some(proto::Session { id: 3, ..Default::default() }), reason: 0 }.into());
    front.call(&link, "hold", "", 1);
    front.links.close();
    front.links.closed().await;
    assert!(back.stub.seen().contains(&Seen::Closed(3)));
    assert_eq!(front.stub.ends(), [(1, "lost".into())]);
    assert!(front.call(&link, "echo", "", 2).is_none());
    link.ask(Question::Pin(proto::Pin::default()), front.stub.clone(), 3);
    front.stub.until_ended(2).await;
    assert_eq!(front.stub.ends()[1], (3, "lost".into()));
    assert_eq!(front.links.open(&back.server).standing(), Standing::Down);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_serving_ends_its_links_and_its_task() {
    let network = Network::default();
    let (front, back, link) = pair(&network).await;
    front.call(&link, "hold", "", 1);
    settle().await;
    back.stub.release();
    back.stop.cancel();
    back.serving.await.unwrap();
    front.stub.until_seen(Seen::Down("back".into())).await;
    assert_eq!(front.stub.ends(), [(1, "done".into())]);
}
