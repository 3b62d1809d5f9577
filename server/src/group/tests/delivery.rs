//! What reaches members: each message once, in its publisher's order, on all workers.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::support::{Client, Game, quiet};
use crate::group::Config;
use crate::group::delivery::{Delivery, Queue};
use crate::rpc;
use crate::session::SessionId;
use crate::wire::{SharedPush, Text};

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn each_message_arrives_once_and_in_order_on_every_worker() {
    let game = Game::new();
    let (config, link) = (Config::default(), rpc::Config::default());
    let (one, two) = (game.start_with("one", 1, 3, config, &link), game.start_with("two", 2, 2, config, &link));
    let back = game.start("back", 3);
    let clients: Vec<Arc<Client>> =
        [256, 257, 258, 512].map(|id| one.client(id)).into_iter().chain([256, 257].map(|id| two.client(id))).collect();
    for client in &clients {
        client.subscribe("lobby").await.unwrap();
    }
    for number in numbers(500) {
        assert_eq!(back.publish("lobby", &number).2, 0);
    }
    quiet().await;
    for client in &clients {
        assert_eq!(client.got(), numbers(500), "{}", client.record.id());
    }
}

#[tokio::test(start_paused = true)]
async fn a_lane_publishes_over_the_same_link_wherever_it_runs() {
    let game = Game::new();
    let front = game.start("front", 1);
    let back = game.start_with("back", 2, 3, Config::default(), &rpc::Config::default());
    let client = front.client(256);
    client.subscribe("lobby").await.unwrap();
    // The lane of a session that worker 1 of its frontend holds.
    let session = SessionId::try_from(257).unwrap();
    for (turn, number) in numbers(60).into_iter().enumerate() {
        let app = back.apps[turn % 3].clone().in_lane(session);
        app.publish_bytes("lobby", "news", number).unwrap();
    }
    quiet().await;
    assert_eq!(client.got(), numbers(60));
    let linked: Vec<bool> = back.links.iter().map(|links| links.get("front").is_some()).collect();
    assert_eq!(linked, [false, true, false]);
    // Without a session it is the worker's own.
    back.apps[2].publish_bytes("lobby", "news", "").unwrap();
    assert!(back.links[2].get("front").is_some());
}

#[tokio::test(start_paused = true)]
async fn what_a_full_link_does_not_take_is_told() {
    let game = Game::new();
    let small = rpc::Config { outbound: 1_000, ..rpc::Config::default() };
    let (front, back) = (game.start("front", 1), game.start_with("back", 2, 1, Config::default(), &small));
    let client = front.client(256);
    client.subscribe("lobby").await.unwrap();
    let body = "x".repeat(400);
    let published: Vec<_> =
        (0..5).map(|_| back.apps[0].publish_bytes("lobby", "news", body.clone()).unwrap()).collect();
    let queued: Vec<_> = published.iter().map(|published| published.queued).collect();
    assert_eq!(queued, [1, 1, 1, 0, 0]);
    assert_eq!(published[4].not_queued, ["front".into()]);
    quiet().await;
    assert_eq!(client.got().len(), 3);
    assert_eq!(back.publish("lobby", "again"), (1, 0, 0));
    quiet().await;
    assert_eq!(client.got(), ["again"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_for_the_others_reaches_all_but_one() {
    let game = Game::new();
    let (front, other, back) = (game.start("front", 1), game.start("other", 2), game.start("back", 3));
    // Two frontends may give the same id.
    let (ada, bob, twin) = (front.client(256), front.client(512), other.client(256));
    for client in [&ada, &bob, &twin] {
        client.subscribe("lobby").await.unwrap();
    }
    for host in [&front, &other, &back] {
        let session = ada.session();
        host.apps[0].publish_to_others_bytes(&session, "lobby", "news", "new").unwrap();
    }
    quiet().await;
    assert_eq!(
        (ada.got(), bob.got().concat(), twin.got().concat()),
        (vec![], "newnewnew".into(), "newnewnew".to_owned())
    );
}

#[test]
fn a_full_queue_is_handed_out_by_who_brings_more() {
    let queue = Queue::new(4);
    let out = Mutex::new(Vec::new());
    let deliver = |message: &Delivery| out.lock().push(String::from_utf8(message.push.body().to_vec()).unwrap());
    let message = |number: String| {
        let push = SharedPush::new(Text::from_static("news"), Bytes::from(number));
        Arc::new(Delivery { channel: Text::from_static("lobby"), push, except: None })
    };
    for (turn, number) in numbers(11).into_iter().enumerate() {
        assert_eq!(queue.put(message(number), deliver), turn == 0, "one task is enough");
    }
    assert_eq!((out.lock().len(), queue.len()), (8, 3));
    assert!(!queue.turn(deliver));
    assert_eq!(*out.lock(), numbers(11));
    assert!(queue.put(message("11".into()), deliver), "the task of before has ended");
}
