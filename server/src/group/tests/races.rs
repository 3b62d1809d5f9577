//! One test for each race that the protocol closes; see the module's own text.

use std::time::Duration;

use futures_util::{FutureExt, future::join_all};
use tokio::time::{Instant, advance};

use super::support::{Game, quiet};
use crate::group::Config;
use crate::group::outlet::Way;
use crate::rpc;
use crate::topology::{Server, Snapshot};

#[tokio::test(start_paused = true)]
async fn a_subscription_ends_when_those_who_publish_know_of_it() {
    let game = Game::new();
    let (front, back) = (game.start("front", 1), game.start("back", 2));
    let (one, two) = (front.client(256), front.client(512));
    back.publish("lobby", "before there was a link");
    quiet().await;
    assert_eq!(back.knows("front"), "0".to_owned());
    let (mut first, mut second) = (one.subscribe("lobby"), two.subscribe("lobby"));
    assert!((&mut first).now_or_never().is_none(), "nobody has acknowledged it");
    assert!((&mut second).now_or_never().is_none(), "nor for the second member");
    assert_eq!(back.publish("lobby", "too early"), (0, 1, 0));
    first.await.unwrap();
    assert_eq!(back.publish("lobby", "in time"), (1, 0, 0));
    second.now_or_never().unwrap().unwrap();
    quiet().await;
    assert_eq!((one.got(), two.got()), (vec!["in time".to_owned()], vec!["in time".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_opened_meanwhile_hears_of_the_subscription() {
    let game = Game::new();
    let (front, old, new) = (game.start("front", 1), game.start("old", 2), game.start("new", 3));
    let client = front.client(256);
    old.publish("lobby", "0");
    quiet().await;
    let mut subscribing = client.subscribe("lobby");
    assert!((&mut subscribing).now_or_never().is_none());
    // Its link is opened now, and what it publishes waits for that.
    assert_eq!(new.publish("lobby", "1"), (2, 0, 0));
    subscribing.await.unwrap();
    assert_eq!(new.publish("lobby", "2").2, 0);
    quiet().await;
    assert_eq!(new.knows("front"), "1".to_owned());
    new.publish("lobby", "3");
    quiet().await;
    assert_eq!(client.got(), ["1", "2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_lost_meanwhile_is_not_waited_for_and_begins_anew() {
    let game = Game::new();
    let (front, back) = (game.start("front", 1), game.start("back", 2));
    let client = front.client(256);
    back.publish("lobby", "0");
    quiet().await;
    assert_eq!(back.knows("front"), "0".to_owned());
    let (subscribing, start) = (client.subscribe("lobby"), Instant::now());
    game.network.cut();
    subscribing.await.unwrap();
    assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
    quiet().await;
    // What it knew is void with the link, and what it cannot send it says.
    assert_eq!(back.knows("front"), "no link");
    assert_eq!(back.publish("lobby", "lost"), (0, 0, 1));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(back.knows("front"), "1".to_owned());
    back.publish("lobby", "1");
    quiet().await;
    assert_eq!(client.got(), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn a_new_process_is_not_taken_for_the_one_before() {
    let game = Game::new();
    let (front, back) = (game.start("front", 1), game.start("back", 2));
    back.publish("lobby", "0");
    quiet().await;
    assert_eq!(back.publish("lobby", "to nobody"), (0, 1, 0));
    front.kill();
    // The next process of the same id has members from the start.
    let front = game.start("front", 1);
    let client = front.client(256);
    client.subscribe("lobby").await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(back.publish("lobby", "1"), (1, 0, 0));
    quiet().await;
    assert_eq!(client.got(), ["1"]);
    // And a new process that publishes is told all that the one before knew.
    back.kill();
    let back = game.start("back", 2);
    assert_eq!(back.publish("lobby", "2").2, 0);
    quiet().await;
    assert_eq!((client.got(), back.knows("front")), (vec!["2".to_owned()], "1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_within_a_minute_waits_for_nobody() {
    let game = Game::new();
    let (front, back) = (game.start("front", 1), game.start("back", 2));
    let client = front.client(256);
    back.publish("lobby", "0");
    quiet().await;
    client.subscribe("lobby").await.unwrap();
    client.unsubscribe("lobby");
    advance(Duration::from_secs(59)).await;
    quiet().await;
    assert_eq!(back.publish("lobby", "to nobody"), (1, 0, 0), "the interest is not withdrawn yet");
    quiet().await;
    client.subscribe("lobby").now_or_never().expect("everybody knows").unwrap();
    // The minute since it left is over, and must take nothing from who is here.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(back.publish("lobby", "1"), (1, 0, 0));
    quiet().await;
    assert_eq!(client.got(), ["1"]);
    // It leaves twice within the minute: the last time counts.
    client.unsubscribe("lobby");
    tokio::time::sleep(Duration::from_secs(30)).await;
    client.subscribe("lobby").await.unwrap();
    client.unsubscribe("lobby");
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(back.publish("lobby", "to nobody"), (1, 0, 0));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(back.publish("lobby", "to nobody"), (0, 1, 0));
    assert!(client.got().is_empty());
    // Withdrawn, it has to be announced again.
    let mut subscribing = client.subscribe("lobby");
    assert!((&mut subscribing).now_or_never().is_none());
    subscribing.await.unwrap();
    back.publish("lobby", "2");
    quiet().await;
    assert_eq!(client.got(), ["2"]);
}

#[tokio::test(start_paused = true)]
async fn a_frontend_that_drains_has_members_until_they_are_gone() {
    let game = Game::new();
    let (front, back) = (game.start("front", 1), game.start("back", 2));
    let client = front.client(256);
    client.subscribe("lobby").await.unwrap();
    back.publish("lobby", "0");
    quiet().await;
    front.links[0].drain(Duration::from_mins(1));
    for (ready, serving) in [(false, true), (false, false)] {
        game.list(Server { ready, serving, terminating: true, ..front.server.clone() });
        quiet().await;
        assert_eq!(back.publish("lobby", "1"), (1, 0, 0));
        quiet().await;
    }
    let late = front.client(512);
    late.subscribe("garden").await.unwrap();
    assert_eq!(back.publish("garden", "2"), (1, 0, 0));
    quiet().await;
    assert_eq!((client.got(), late.got()), (vec!["0".into(), "1".into(), "1".into()], vec!["2".to_owned()]));
    // Who has no link opens none to a server that does not serve.
    let other = game.start("other", 3);
    assert_eq!(other.publish("lobby", "3"), (1, 0, 0), "only to the other backend, of which it knows nothing");
    assert!(other.links[0].get("front").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_frontend_that_publishes_reaches_its_own_members_and_those_of_its_type() {
    let game = Game::new();
    let (here, there) = (game.start("here", 1), game.start("there", 2));
    let (own, other, stranger) = (here.client(256), there.client(256), there.client(512));
    own.subscribe("lobby").await.unwrap();
    other.subscribe("lobby").await.unwrap();
    stranger.subscribe("garden").await.unwrap();
    for text in ["0", "1", "2"] {
        assert_eq!(here.publish("lobby", text), (2, 0, 0));
        quiet().await;
    }
    assert_eq!(
        (own.got(), other.got()),
        (vec!["0".into(), "1".into(), "2".to_owned()], vec!["0".into(), "1".into(), "2".to_owned()])
    );
    own.unsubscribe("lobby");
    assert_eq!(here.publish("lobby", "3"), (1, 0, 0));
    assert_eq!(here.publish("nowhere", "3"), (0, 1, 0));
    quiet().await;
    assert!(own.got().is_empty() && stranger.got().is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_does_not_acknowledge_is_waited_for_once() {
    let game = Game::new();
    let (front, back) = (game.start("front", 1), game.start("back", 2));
    let (one, two) = (front.client(256), front.client(512));
    back.publish("lobby", "0");
    quiet().await;
    assert_eq!(front.told(), ["complete"]);
    let outlet = back.channels.workers[0].outlet.get().unwrap();
    // It answers nothing from now on: all that is said on the link waits for the lock.
    let (subscribing, start) = (one.subscribe("lobby"), Instant::now());
    game.network.silence();
    subscribing.await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    assert_eq!(front.told(), ["everything"]);
    two.subscribe("garden").now_or_never().expect("it is not waited for any more").unwrap();
    assert_eq!(outlet.known().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn with_too_many_channels_everything_is_sent() {
    let game = Game::new();
    let config = Config { announced: 20, ..Config::default() };
    let (front, back) = (game.start_with("front", 1, 1, config, &crate::rpc::Config::default()), game.start("back", 2));
    let client = front.client(256);
    back.publish("lobby", "0");
    quiet().await;
    for number in 0..20 {
        client.subscribe(&format!("room/{number}")).await.unwrap();
    }
    assert_eq!((back.knows("front"), back.publish("nowhere", "")), ("20".to_owned(), (0, 1, 0)));
    let mut subscribing = client.subscribe("room/20");
    assert!((&mut subscribing).now_or_never().is_none(), "the other end does not know yet that it has to send all");
    assert_eq!(back.publish("room/20", "too early"), (0, 1, 0));
    subscribing.await.unwrap();
    assert_eq!((back.knows("front"), back.publish("nowhere", "")), ("all".to_owned(), (1, 0, 0)));
    // Nobody is waited for meanwhile.
    client.subscribe("room/21").now_or_never().unwrap().unwrap();
    back.publish("room/21", "1");
    quiet().await;
    assert_eq!(client.got(), ["1"]);
    // Clearly fewer again: it is all told anew.
    for number in 0..3 {
        client.unsubscribe(&format!("room/{number}"));
        quiet().await;
        assert_eq!(back.knows("front"), "all".to_owned());
    }
    client.unsubscribe("room/3");
    quiet().await;
    assert_eq!(
        (back.knows("front"), back.publish("room/3", ""), back.publish("room/21", "2")),
        ("18".to_owned(), (0, 1, 0), (1, 0, 0))
    );
}

#[tokio::test(start_paused = true)]
async fn a_frontend_that_calls_before_it_is_listed_is_reached_by_its_own_link() {
    let game = Game::new();
    let (front, back) = (game.start("front", 1), game.start("back", 2));
    game.unlist("front");
    front.links[0].open(&back.server);
    let client = front.client(256);
    assert_eq!(back.publish("lobby", "to nobody"), (0, 0, 0));
    quiet().await;
    client.subscribe("lobby").await.unwrap();
    assert_eq!(back.publish("lobby", "0"), (1, 0, 0));
    assert_eq!(back.apps[0].members("lobby").await.unwrap().members.len(), 1);
    quiet().await;
    // Once it is listed its own link is left to what it is for, but not before all of this is there.
    game.list(front.server.clone());
    assert_eq!(back.publish("lobby", "1"), (1, 0, 0));
    assert!(back.links[0].get("front").is_none());
    quiet().await;
    assert_eq!(back.publish("garden", "to nobody, but nobody knows"), (1, 0, 0));
    assert!(back.links[0].get("front").is_some());
    quiet().await;
    assert_eq!(back.publish("garden", "to nobody"), (0, 1, 0));
    back.publish("lobby", "2");
    quiet().await;
    assert_eq!(client.got(), ["0", "1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_announced_on_a_link_outlives_the_one_that_it_has_replaced() {
    let game = Game::new();
    let (front, back) = (game.start("front", 1), game.start("back", 2));
    let client = front.client(256);
    client.subscribe("lobby").await.unwrap();
    back.publish("lobby", "0");
    quiet().await;
    assert_eq!(back.knows("front"), "1");
    game.network.hold();
    back.links[0].retain(&Snapshot::default());
    back.publish("lobby", "1");
    quiet().await;
    // Only now the first link ends.
    game.network.release();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((back.knows("front"), client.got()), ("1".to_owned(), vec!["0".to_owned(), "1".to_owned()]));
    assert_eq!(back.publish("empty", "2"), (0, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_gone_since_it_was_listed_gets_no_link() {
    let game = Game::new();
    let (_front, back) = (game.start("front", 1), game.start("back", 2));
    let outlet = back.channels.workers[0].outlet.get().unwrap();
    let targets = outlet.targets(&back.channels.parts.topology.current(), &back.channels.callers, "back");
    let target = targets.iter().find(|target| **target.id() == *"front").unwrap();
    game.unlist("front");
    assert!(matches!(outlet.way(target, "lobby"), Way::NotConcerned));
    assert!(back.links[0].get("front").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_an_interest_sends_everything() {
    let game = Game::new();
    let link = rpc::Config { max_frame: 1_000, ..rpc::Config::default() };
    let (front, back) = (game.start_with("front", 1, 1, Config::default(), &link), game.start("back", 2));
    let client = front.client(256);
    back.publish("lobby", "before there was a link");
    quiet().await;
    assert_eq!((back.knows("front"), front.told()), ("0".to_owned(), vec!["complete".to_owned()]));
    // The first is announced at once, the others together, in a frame that is too large.
    let names: Vec<_> = (0..6).map(|number| number.to_string().repeat(255)).collect();
    join_all(names.iter().map(|name| client.subscribe(name))).await;
    for name in &names {
        assert_eq!(back.publish(name, &name[..1]), (1, 0, 0));
    }
    quiet().await;
    assert_eq!(client.got().concat(), "012345");
    assert_eq!((back.knows("front"), front.told()), ("all".to_owned(), vec!["everything".to_owned()]));
}
