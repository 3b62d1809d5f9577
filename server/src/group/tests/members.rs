//! Membership: what begins it, what ends it, and who is told of it.

use std::time::Duration;

use super::support::{Game, quiet};
use crate::group::Config;
use crate::rpc;
use crate::session::CloseReason;

#[tokio::test(start_paused = true)]
async fn a_membership_ends_with_its_session() {
    let game = Game::new();
    let front = game.start("front", 1);
    let (one, two) = (front.client(256), front.client(512));
    for client in [&one, &two] {
        client.subscribe("lobby").await.unwrap();
        client.subscribe("garden").await.unwrap();
    }
    // A second subscription changes nothing.
    one.subscribe("lobby").await.unwrap();
    assert_eq!(front.channels.list("lobby").len(), 2);
    one.unsubscribe("lobby");
    one.unsubscribe("lobby");
    one.unsubscribe("nowhere");
    assert_eq!((front.channels.list("lobby").len(), front.channels.list("garden").len()), (1, 2));
    two.close();
    assert_eq!((front.channels.list("lobby").len(), front.channels.list("garden").len()), (0, 1));
    front.publish("garden", "1");
    quiet().await;
    assert_eq!((one.got(), two.got()), (vec!["1".to_owned()], vec![]));
    let status = serde_json::to_value(front.channels.status()).unwrap();
    assert_eq!((&status["memberships"], &status["channels"]), (&1.into(), &2.into()), "the lobby is kept for a minute");
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(serde_json::to_value(front.channels.status()).unwrap()["channels"], 1);
    one.close();
    assert!(front.channels.places.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_has_ended_becomes_no_member() {
    let game = Game::new();
    let front = game.start("front", 1);
    // It ends between being found and being listed.
    let client = front.client(256);
    client.record.close(CloseReason::ConnectionLost);
    let error = client.subscribe("lobby").await.unwrap_err();
    assert_eq!((error.code(), error.message()), ("PIT-000", "session not found"));
    assert!(front.channels.list("lobby").is_empty() && front.channels.places.is_empty());
    client.close();
    assert_eq!(client.subscribe("lobby").await.unwrap_err().message(), "session not found");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_channel_is_refused() {
    let game = Game::new();
    let config = Config { per_session: 2, ..Config::default() };
    let front = game.start_with("front", 1, 1, config, &rpc::Config::default());
    let client = front.client(256);
    for name in [String::new(), "x".repeat(256)] {
        let errors = [
            client.subscribe(&name).await.unwrap_err(),
            front.apps[0].publish_bytes(&name, "news", "").unwrap_err(),
            front.apps[0].members(&name).await.unwrap_err(),
        ];
        assert!(errors.iter().all(|error| error.code() == "PIT-400"), "{errors:?}");
    }
    for name in ["x".repeat(255).as_str(), "y"] {
        client.subscribe(name).await.unwrap();
    }
    let error = client.subscribe("z").await.unwrap_err();
    assert_eq!((error.code(), error.message()), ("PIT-400", "the session is in too many channels"));
    client.unsubscribe("y");
    client.subscribe("z").await.unwrap();
    let large = |route: &str, size| front.apps[0].publish_bytes("z", route, vec![0; size]).unwrap_err();
    for error in [large(&"r".repeat(256), 1), large("news", 0xFF_FFFF)] {
        assert_eq!((error.code(), error.message()), ("PIT-000", "the push is too large"));
    }
    let nowhere = crate::request::App::builder("back", "room").build();
    assert_eq!(nowhere.publish_bytes("z", "news", "").unwrap_err().code(), "PIT-500");
}

#[tokio::test(start_paused = true)]
async fn members_are_found_on_all_frontends() {
    let game = Game::new();
    let (one, two, back) = (game.start("one", 1), game.start("two", 2), game.start("back", 3));
    let (ada, bob, eve) = (one.client(256), two.client(256), two.client(512));
    ada.record.bind("ada").unwrap();
    for client in [&ada, &bob] {
        client.subscribe("lobby").await.unwrap();
    }
    eve.subscribe("garden").await.unwrap();
    for _ in 0..2 {
        let found = back.apps[0].members("lobby").await.unwrap();
        let names =
            found.members.iter().map(|member| (&*member.frontend.id, member.session.get(), member.uid.as_deref()));
        assert_eq!(names.collect::<Vec<_>>(), [("one", 256, Some("ada")), ("two", 256, None)]);
        assert!(found.unreached.is_empty());
    }
    // One frontend is gone; the topology does not know it yet.
    two.kill();
    quiet().await;
    let found = one.apps[0].members("lobby").await.unwrap();
    assert_eq!((found.members.len(), found.unreached), (1, vec!["two".into(),]));
    back.client(256).subscribe("lobby").await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    // One never answers: the request's deadline is the end.
    game.network.silence();
    let start = tokio::time::Instant::now();
    let app = one.apps[0].until(start + Duration::from_millis(300));
    let found = app.members("lobby").await.unwrap();
    assert_eq!((found.members.len(), start.elapsed()), (1, Duration::from_millis(300)));
    assert!(found.unreached.contains(&"back".into()), "{found:?}");
}
