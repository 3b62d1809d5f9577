//! What members leave behind: one farewell for each membership that was made with one.

use bytes::Bytes;

use super::support::{Game, quiet};
use crate::session::Subscription;

fn known_as(name: &str) -> Subscription {
    Subscription::new().info(name.to_owned()).farewell("news", format!("{name} is gone"))
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_membership_is_told_once_to_those_who_stay() {
    let game = Game::new();
    let (one, two) = (game.start("one", 1), game.start("two", 2));
    let (ada, bob, eve) = (one.client(256), one.client(512), two.client(256));
    for (client, name) in [(&ada, "ada"), (&bob, "bob"), (&eve, "eve")] {
        client.subscribe_with("lobby", known_as(name)).await.unwrap();
    }
    ada.subscribe_with("garden", known_as("the gardener")).await.unwrap();
    // It leaves, again, and then closes: it was a member once.
    ada.unsubscribe("lobby");
    ada.unsubscribe("lobby");
    quiet().await;
    ada.close();
    quiet().await;
    assert_eq!((ada.got(), bob.got(), eve.got()), (vec![], vec!["ada is gone".into()], vec!["ada is gone".to_owned()]));
    eve.close();
    eve.unsubscribe("lobby");
    quiet().await;
    assert_eq!((bob.got(), eve.got()), (vec!["eve is gone".to_owned()], vec![]));
    // The newest subscription counts, also one without.
    let late = two.client(512);
    late.subscribe_with("lobby", known_as("somebody")).await.unwrap();
    late.subscribe_with("lobby", known_as("eve")).await.unwrap();
    late.close();
    bob.subscribe("lobby").await.unwrap();
    quiet().await;
    assert_eq!(bob.got(), ["eve is gone"]);
    let last = two.client(768);
    last.subscribe("lobby").await.unwrap();
    bob.close();
    quiet().await;
    assert!(last.got().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_closes_says_the_farewells_of_its_sessions() {
    let game = Game::new();
    let (one, two) = (game.start("one", 1), game.start("two", 2));
    let (ada, bob) = (one.client(256), two.client(256));
    bob.subscribe("lobby").await.unwrap();
    ada.subscribe_with("lobby", known_as("ada")).await.unwrap();
    quiet().await;
    ada.close();
    one.links[0].close();
    quiet().await;
    assert_eq!(bob.got(), ["ada is gone"]);
}

#[tokio::test(start_paused = true)]
async fn members_are_known_as_what_they_subscribed_with() {
    let game = Game::new();
    let (one, two, back) = (game.start("one", 1), game.start("two", 2), game.start("back", 3));
    let (ada, bob) = (one.client(256), two.client(256));
    ada.subscribe_with("lobby", known_as("ada")).await.unwrap();
    bob.subscribe_with("lobby", known_as("bob")).await.unwrap();
    bob.subscribe_with("garden", known_as("the gardener")).await.unwrap();
    two.client(512).subscribe("lobby").await.unwrap();
    for host in [&two, &back] {
        let mut infos: Vec<Bytes> =
            host.apps[0].members("lobby").await.unwrap().members.into_iter().map(|member| member.info).collect();
        infos.sort();
        assert_eq!(infos, ["", "ada", "bob"]);
    }
    bob.subscribe_with("lobby", Subscription::new().info("bobby")).await.unwrap();
    let members = one.apps[0].members("lobby").await.unwrap().members;
    assert!(members.iter().any(|member| member.info == "bobby"), "{members:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_too_much_to_keep_is_refused() {
    let game = Game::new();
    let client = game.start("front", 1).client(256);
    let route = "r".repeat(255);
    let fits = Subscription::new().info(vec![0; 4_000 - 255]).farewell(&route, vec![0; 96]);
    client.subscribe_with("lobby", fits.clone()).await.unwrap();
    for wrong in [fits.clone().info(vec![0; 4_001 - 255]), fits.farewell(&"r".repeat(256), "")] {
        assert_eq!(client.subscribe_with("lobby", wrong).await.unwrap_err().code(), "PIT-400");
    }
}
