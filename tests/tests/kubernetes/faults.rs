//! What players and the status of a ServerType are told when servers end that were not asked to, and when their node is
//! silent.

use std::time::Duration;

use cereus_tests::{
    client::{Client, Transport},
    conformance::trial,
    load::Manner,
};
use serde_json::{Value, json};

use crate::{
    SOON, cluster, cluster_alone,
    servers::{addresses, condition, finish, game, load, play, pods, ready},
};

/// What a request may fail with when the server that was to handle it ends: nobody knows whether it was handled, it
/// was not, or the time is over.
const FAILURES: [&str; 3] = ["PIT-502", "PIT-503", "PIT-504"];
/// How long the cluster may take to call a silent node so.
const SILENCE: Duration = Duration::from_mins(1);
/// More than the servers may use.
const TOO_MUCH: &str = "500000000";

/// The message of the condition `Degraded` when it has this reason, of a server type that lacks one of two and says so.
fn lacks(object: &Value, name: &str, reason: &str) -> Option<String> {
    let [degraded, why, message] = condition(object, "Degraded")?;
    let [ready, ..] = condition(object, "Ready")?;
    let told = object["metadata"]["name"] == name && [degraded, why, ready] == ["True", reason, "False"];
    (told && object["status"]["readyReplicas"] == 1).then(|| message.to_owned())
}

#[tokio::test]
async fn a_server_that_is_killed_or_runs_out_of_memory_is_replaced_while_the_game_goes_on() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("faults").await.unwrap();
    let limits = json!({ "template": { "resources": { "limits": { "memory": "200M" } } } });
    let connector = game(&cluster, &namespace, [1, 2], limits).await;
    let players = play(connector, 6).await;
    players.bodies_anew(2).await.unwrap();

    let victim = pods(&namespace, "game").await.remove(0).name;
    let killed = async {
        namespace.kill(&victim).await.unwrap();
        players.bodies_anew(1).await.unwrap();
    };
    let told = namespace.watch("gst", SOON, |object| lacks(object, "game", "ServerFailed"));
    let (told, ()) = tokio::join!(told, killed);
    let told = told.unwrap();
    assert!(told.contains(&victim) && told.contains("ended with code 137"), "{told}");
    ready(&namespace, "game", 2).await;
    players.bodies_anew(2).await.unwrap();

    let greedy = Client::connect(connector.tcp, Transport::Tcp).await.unwrap();
    let failed = async {
        let reply = greedy.request(&trial::route("game", trial::KEEP), TOO_MUCH).await.unwrap();
        assert_eq!(reply.code().as_deref(), Some("PIT-502"), "{reply:?}");
        players.bodies_anew(1).await.unwrap();
    };
    let told = namespace.watch("gst", SOON, |object| lacks(object, "game", "OutOfMemory"));
    let (told, ()) = tokio::join!(told, failed);
    let told = told.unwrap();
    assert!(told.contains("raise the limit of memory"), "{told}");
    ready(&namespace, "game", 2).await;
    players.bodies_anew(2).await.unwrap();
    finish("servers that end", players, &FAILURES).await;
    let object = namespace.get("gst/game").await.unwrap();
    assert_eq!(condition(&object, "Degraded").unwrap()[0], "False", "{object}");
}

#[tokio::test]
async fn the_players_of_a_frontend_that_is_killed_go_on_at_another() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("faults-frontend").await.unwrap();
    game(&cluster, &namespace, [2, 1], json!({})).await;
    let addresses = addresses(&namespace, 2).await;
    let anywhere = load(addresses, 12, &trial::route("connector", trial::SERVER), "", Manner::Reconnects).await;
    let seen = anywhere.bodies(2).await.unwrap();
    let [victim, other] = pods(&namespace, "connector").await.try_into().unwrap();
    assert!(seen.contains_key(&victim.says("connector")), "{seen:?}");
    let elsewhere = play(other.addresses(), 4).await;

    let killed = async {
        namespace.kill(&victim.name).await.unwrap();
        anywhere.answers(100).await.unwrap();
    };
    let told = namespace.watch("gst", SOON, |object| lacks(object, "connector", "ServerFailed"));
    let (told, ()) = tokio::join!(told, killed);
    let told = told.unwrap();
    assert!(told.contains(&victim.name) && told.contains("ended with code 137"), "{told}");
    ready(&namespace, "connector", 2).await;

    let outcome = finish("a frontend that ends", anywhere, &[]).await;
    let closings = outcome.closings.iter();
    assert!(
        closings.len() >= 1 && closings.clone().all(|closing| closing.last == Some(victim.says("connector"))),
        "{outcome}"
    );
    // The others notice nothing: they stay, and no request of theirs fails.
    finish("the other frontend", elsewhere, &[]).await;
}

#[tokio::test]
async fn the_game_goes_on_while_the_kubelet_is_stopped() {
    let cluster = cluster_alone().await;
    let namespace = cluster.namespace("kubelet").await.unwrap();
    let connector = game(&cluster, &namespace, [1, 2], json!({})).await;
    let players = play(connector, 6).await;
    players.bodies_anew(2).await.unwrap();
    let victim = pods(&namespace, "game").await.remove(0).name;

    let kubelet = cluster.stop("kubelet").await.unwrap();
    // Nobody starts it again, and nobody tells the frontend that it is gone.
    namespace.kill(&victim).await.unwrap();
    players.bodies_anew(1).await.unwrap();
    let silent = |object: &Value| {
        let of = |kind| condition(object, kind);
        let [degraded, reason, message] = of("Degraded")?;
        let told = object["metadata"]["name"] == "game" && [degraded, reason] == ["True", "NodeSilent"];
        (told && of("Ready")?[0] == "False" && of("Progressing")?[0] == "False").then(|| message.to_owned())
    };
    let told = namespace.watch("gst", SILENCE, silent).await.unwrap();
    assert!(told.contains("kubectl describe node node"), "{told}");
    // Also when the cluster counts no server ready any more.
    players.bodies_anew(1).await.unwrap();

    kubelet.start().await.unwrap();
    ready(&namespace, "game", 2).await;
    let object = namespace.get("gst/game").await.unwrap();
    assert_eq!(condition(&object, "Degraded").unwrap()[0], "False", "{object}");
    players.bodies_anew(2).await.unwrap();
    finish("no kubelet", players, &FAILURES).await;
}
