//! Confirmed messages: when they return, in which order members get them, and what is said when they fail.

use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, sleep};

use super::support::{Game, Host, quiet};
use crate::group::Config;
use crate::rpc;
use crate::rpc::tests::support::{Node, identity};
use crate::wire::Error;

async fn confirmed(host: &Host, text: &str) -> Result<usize, Error> {
    host.apps[0].publish_confirmed_bytes("lobby", "news", text.to_owned()).await
}

/// Code, and the servers that the error names: those that may have the message, and those that have not.
fn named(error: &Error) -> (&str, Option<&str>, Option<&str>) {
    let servers = |key: &str| error.metadata().get(key).map(String::as_str);
    (error.code(), servers("unconfirmed"), servers("not_queued"))
}

#[tokio::test(start_paused = true)]
async fn a_confirmed_message_is_with_all_frontends() {
    let game = Game::new();
    let (one, two, back) = (game.start("one", 1), game.start("two", 2), game.start("back", 3));
    let (ada, bob, eve) = (one.client(256), two.client(256), back.client(256));
    assert_eq!(confirmed(&back, "to nobody, but nobody knows").await.unwrap(), 2);
    assert_eq!(confirmed(&back, "to nobody").await.unwrap(), 0);
    for client in [&ada, &bob] {
        client.subscribe("lobby").await.unwrap();
    }
    assert_eq!(confirmed(&back, "0").await.unwrap(), 2);
    // The publisher's own members count as a frontend's.
    eve.subscribe("lobby").await.unwrap();
    assert_eq!(confirmed(&back, "1").await.unwrap(), 3);
    quiet().await;
    assert_eq!(
        (ada.got().concat(), bob.got().concat(), eve.got().concat()),
        ("01".into(), "01".into(), "1".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn what_another_server_publishes_afterwards_overtakes_nothing() {
    let game = Game::new();
    let (front, slow, fast) = (game.start("front", 1), game.start("slow", 2), game.start("fast", 3));
    let client = front.client(256);
    client.subscribe("lobby").await.unwrap();
    assert_eq!(slow.publish("lobby", "0").2, 0);
    quiet().await;
    game.network.hold();
    let start = Instant::now();
    let publishing = async {
        confirmed(&slow, "1").await.unwrap();
        assert_eq!(start.elapsed(), Duration::from_millis(500), "it is confirmed from the other end");
        assert_eq!(fast.publish("lobby", "2").2, 0);
    };
    let releasing = async {
        sleep(Duration::from_millis(500)).await;
        assert_eq!(client.got(), ["0"], "what is on the way is held up");
        game.network.release();
    };
    tokio::join!(publishing, releasing);
    quiet().await;
    assert_eq!(client.got(), ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn confirmed_and_plain_messages_of_one_lane_keep_their_order() {
    let game = Game::new();
    let (front, back) = (game.start("front", 1), game.start("back", 2));
    let client = front.client(256);
    client.subscribe("lobby").await.unwrap();
    for turn in 0..20 {
        back.publish("lobby", &format!("{turn} plain"));
        confirmed(&back, &format!("{turn} confirmed")).await.unwrap();
        back.publish("lobby", &format!("{turn} plain again"));
    }
    quiet().await;
    let expected: Vec<_> =
        (0..20).flat_map(|turn| ["plain", "confirmed", "plain again"].map(|kind| format!("{turn} {kind}"))).collect();
    assert_eq!(client.got(), expected);
}

#[tokio::test(start_paused = true)]
async fn when_a_link_is_lost_it_is_not_known_who_has_the_message() {
    let game = Game::new();
    let (one, two, back) = (game.start("one", 1), game.start("two", 2), game.start("back", 3));
    for host in [&one, &two] {
        host.client(256).subscribe("lobby").await.unwrap();
    }
    confirmed(&back, "0").await.unwrap();
    game.network.hold();
    let mut publishing = Box::pin(confirmed(&back, "1"));
    assert!((&mut publishing).now_or_never().is_none());
    quiet().await;
    game.network.cut();
    let error = publishing.await.unwrap_err();
    assert_eq!(named(&error), ("PIT-502", Some("one, two"), None));
    // The links are down now: it went nowhere, and to publish again is safe.
    let error = confirmed(&back, "2").await.unwrap_err();
    assert_eq!(named(&error), ("PIT-503", None, Some("one, two")));
    // One is back, the other is not.
    two.kill();
    sleep(Duration::from_millis(200)).await;
    let error = confirmed(&back, "3").await.unwrap_err();
    assert_eq!(named(&error), ("PIT-502", None, Some("two")));
    game.unlist("two");
    assert_eq!(confirmed(&back, "4").await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_full_link_does_not_take_went_nowhere() {
    let game = Game::new();
    let small = rpc::Config { outbound: 1_000, ..rpc::Config::default() };
    let (front, back) = (game.start("front", 1), game.start_with("back", 2, 1, Config::default(), &small));
    let client = front.client(256);
    client.subscribe("lobby").await.unwrap();
    for text in ["0", "1", "2"] {
        assert_eq!(back.publish("lobby", &text.repeat(400)), (1, 0, 0));
    }
    let error = confirmed(&back, "3").await.unwrap_err();
    assert_eq!(named(&error), ("PIT-503", None, Some("front")));
    quiet().await;
    assert_eq!((confirmed(&back, "4").await.unwrap(), client.got().len()), (1, 4));
    let app = &back.apps[0];
    for (channel, size, code) in [("", 1, "PIT-400"), ("lobby", 0xFF_FFFF, "PIT-000")] {
        let error = app.publish_confirmed_bytes(channel, "news", vec![0; size]).await.unwrap_err();
        assert_eq!(error.code(), code);
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_confirm_is_waited_for_until_the_deadline() {
    let game = Game::new();
    let (front, back) = (game.start("front", 1), game.start("back", 2));
    front.client(256).subscribe("lobby").await.unwrap();
    confirmed(&back, "0").await.unwrap();
    // It takes the frames and says nothing.
    let deaf = Node::start(&game.network, "deaf", 3);
    game.list((*deaf.server).clone());
    for (limit, expected) in [(Some(300), 300), (Some(60_000), 5_000), (None, 5_000)] {
        let start = Instant::now();
        let app = back.apps[0].clone();
        let app = limit.map_or_else(|| app.clone(), |limit| app.until(start + Duration::from_millis(limit)));
        let error = app.publish_confirmed_bytes("lobby", "news", "1").await.unwrap_err();
        assert_eq!(named(&error), ("PIT-502", Some("deaf"), None));
        assert_eq!(start.elapsed(), Duration::from_millis(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_turns_out_to_know_no_channels_is_not_counted() {
    let game = Game::new();
    let (front, back) = (game.start("front", 1), game.start("back", 2));
    let client = front.client(256);
    client.subscribe("lobby").await.unwrap();
    let old = Node::start(&game.network, "old", 3);
    game.list((*old.server).clone());
    let mut publishing = Box::pin(confirmed(&back, "0"));
    assert!((&mut publishing).now_or_never().is_none(), "its version is not known yet");
    quiet().await;
    back.links[0].get("old").unwrap().open((*identity("old", "json")).clone(), 1);
    assert_eq!(publishing.await.unwrap(), 1);
    assert_eq!(confirmed(&back, "1").await.unwrap(), 1);
    quiet().await;
    assert_eq!(client.got(), ["0", "1"]);
}
