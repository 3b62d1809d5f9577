//! Servers that die, stop or join under load, and handlers that misbehave.

use std::{collections::BTreeMap, time::Duration};

use cereus_tests::{
    client::{Client, Options, Transport},
    cluster::{Cluster, Role},
    conformance::trial,
    process::eventually,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{NOTICE, TYPES, assert_serves, json_cluster, load, reachable};

/// A frontend's request timeout, and a little for the way.
const DEADLINE: Duration = Duration::from_millis(10_500);
/// How long a server may take to stop that has nothing left to do.
const STOP: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_killed_backend_leaves_no_request_without_an_answer() {
    let mut cluster = json_cluster(2).await;
    let load = load(&cluster, 20, &trial::route("game", trial::SLEEP), "2 x").await;
    load.answers(500).await.unwrap();
    cluster.process("game-1").unwrap().kill().await.unwrap();
    load.answers(500).await.unwrap();
    let outcome = load.stop().await.unwrap();
    assert!(outcome.longest() < DEADLINE, "{outcome:?}");
    let allowed = ["PIT-502", "PIT-503", "PIT-504"];
    let unexpected: BTreeMap<_, _> =
        outcome.errors.iter().filter(|(code, _)| !allowed.contains(&code.as_str())).collect();
    assert!(unexpected.is_empty(), "{outcome:?}");
    // Later ones succeed on the other server.
    let client = cluster.client(Transport::Tcp).await.unwrap();
    for _ in 0..100 {
        client.request("game.bench.echo", "x").await.unwrap().ok().unwrap();
    }
}

#[tokio::test]
async fn what_a_dead_backend_had_is_unknown_and_what_it_never_got_was_not_executed() {
    let mut cluster = json_cluster(1).await;
    let client = cluster.client(Transport::Tcp).await.unwrap();
    reachable(&client, "game").await;
    let batch = client.batch().request("game.trial.sleep", "5000 x").request("game.trial.sleep", "1 y");
    let ids = batch.send().await.unwrap();
    let sent = || async { Ok((cluster.status("connector-1").await?["pending_calls"] == 2).then_some(())) };
    eventually("calls on their way", NOTICE, sent).await.unwrap();
    let killed = Instant::now();
    cluster.process("game-1").unwrap().kill().await.unwrap();
    for id in ids {
        assert_eq!(client.reply(id).await.unwrap().code().as_deref(), Some("PIT-502"));
    }
    // The topology still lists it; nobody waits for the deadline.
    let reply = client.request("game.bench.echo", "x").await.unwrap();
    assert_eq!(reply.code().as_deref(), Some("PIT-503"), "{reply:?}");
    assert!(killed.elapsed() < Duration::from_secs(3), "{:?}", killed.elapsed());
    assert_serves(&client).await;
}

#[tokio::test]
async fn a_stopped_backend_fails_no_request() {
    let mut cluster = json_cluster(2).await;
    let load = load(&cluster, 20, &trial::route("game", trial::SLEEP), "2 x").await;
    load.answers(500).await.unwrap();
    let status = cluster.process("game-1").unwrap().terminate(STOP).await.unwrap();
    assert!(status.success(), "{status}");
    load.answers(500).await.unwrap();
    let outcome = load.stop().await.unwrap();
    assert!(outcome.errors.is_empty(), "{outcome:?}");
}

#[tokio::test]
async fn an_added_backend_takes_traffic_within_two_seconds() {
    let mut cluster = json_cluster(1).await;
    let load = load(&cluster, 20, &trial::route("game", trial::SERVER), "").await;
    load.answers(500).await.unwrap();
    cluster.add(Role::Backend, "game").await.unwrap();
    let added = Instant::now();
    let servers = load.bodies(2).await.unwrap();
    assert!(added.elapsed() < Duration::from_secs(2), "{:?}: {servers:?}", added.elapsed());
    let outcome = load.stop().await.unwrap();
    assert!(outcome.errors.is_empty(), "{outcome:?}");
}

#[tokio::test]
async fn a_panic_is_one_failed_request() {
    let cluster = json_cluster(1).await;
    let client = cluster.client(Transport::Tcp).await.unwrap();
    for server_type in TYPES {
        let panic = trial::route(server_type, trial::PANIC);
        let echo = format!("{server_type}.bench.echo");
        let ids = client.batch().request(&panic, "").request(&echo, "next").send().await.unwrap();
        let failure = client.reply(ids[0]).await.unwrap().failure().unwrap();
        assert_eq!((&*failure.code, &*failure.message), ("PIT-500", "internal error"));
        assert_eq!(client.reply(ids[1]).await.unwrap().text().unwrap(), "next");
    }
}

#[tokio::test]
async fn a_panic_is_a_line_of_the_log() {
    for backtrace in ["0", "1"] {
        let builder = Cluster::builder().frontend("connector").variable("RUST_BACKTRACE", backtrace);
        let mut cluster = builder.variable("CEREUS__DRAIN__LINGER", "0s").start().await.unwrap();
        let client = cluster.client(Transport::Tcp).await.unwrap();
        client.request(&trial::route("connector", trial::PANIC), "").await.unwrap().failure().unwrap();
        drop(client);
        let process = cluster.process("connector-1").unwrap();
        process.terminate(STOP).await.unwrap();
        // Its errors are collected until the stream ends, which may be a moment later.
        let said = || async { Ok(process.errors().contains("closing").then(|| process.errors())) };
        let said = eventually("the last lines", NOTICE, said).await.unwrap();
        let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        let found = lines.iter().find(|line| line["message"] == "a panic").expect(&said);
        assert_eq!(
            (&found["level"], &found["panic"]),
            (&json!("ERROR"), &json!("a handler panics, as it was asked to"))
        );
        let location = found["location"].as_str().unwrap();
        assert!(location.contains("conformance/trial.rs:"), "{location}");
        assert!(found["thread"].as_str().unwrap().starts_with("cereus-worker-"), "{found}");
        assert_eq!(found["backtrace"].is_string(), backtrace == "1", "{found}");
    }
}

#[tokio::test]
async fn a_handler_that_computes_loses_nothing() {
    let cluster = json_cluster(1).await;
    let (client, other) =
        (cluster.client(Transport::Tcp).await.unwrap(), cluster.client(Transport::WebSocket).await.unwrap());
    for server_type in TYPES {
        let id = client.begin(&trial::route(server_type, trial::COMPUTE), "300").await.unwrap();
        let echo = other.request(&format!("{server_type}.bench.echo"), "meanwhile").await.unwrap();
        assert_eq!(echo.text().unwrap(), "meanwhile");
        assert_eq!(client.reply(id).await.unwrap().text().unwrap(), "done");
    }
    for name in ["connector-1", "game-1"] {
        let slow = cluster.status(name).await.unwrap()["counters"]["slow_polls"].as_u64();
        assert!(slow >= Some(1), "{name} counted {slow:?} handlers that held up a worker");
    }
}

#[tokio::test]
async fn a_handler_that_never_returns_is_answered_at_its_deadline() {
    let cluster = json_cluster(1).await;
    let (local, forwarded) =
        (cluster.client(Transport::Tcp).await.unwrap(), cluster.client(Transport::Tcp).await.unwrap());
    let check = async |client: &Client, server_type: &str| {
        let start = Instant::now();
        let reply = client.request(&trial::route(server_type, trial::NEVER), "").await.unwrap();
        assert_eq!(reply.code().as_deref(), Some("PIT-504"), "on {server_type}");
        let taken = reply.at - start;
        assert!(taken > Duration::from_secs(9) && taken < DEADLINE, "{taken:?} on {server_type}");
        // The lane goes on once the handler's grace is over.
        let reply = client.request(&format!("{server_type}.bench.echo"), "later").await.unwrap();
        assert_eq!(reply.text().unwrap(), "later");
    };
    tokio::join!(check(&local, "connector"), check(&forwarded, "game"));
}

#[tokio::test]
async fn an_idle_backend_stops_at_once_and_is_forgotten() {
    let mut cluster = json_cluster(1).await;
    let client = cluster.client(Transport::Tcp).await.unwrap();
    reachable(&client, "game").await;
    let status = cluster.process("game-1").unwrap().terminate(STOP).await.unwrap();
    assert!(status.success(), "{status}");
    let reply = client.request("game.bench.echo", "x").await.unwrap();
    // Until the frontend has read the directory it still knows the server, and that its link is gone.
    assert!(matches!(reply.code().as_deref(), Some("PIT-500" | "PIT-503")), "{reply:?}");
    cluster.add(Role::Backend, "game").await.unwrap();
    reachable(&client, "game").await;
    assert_serves(&client).await;
}

#[tokio::test]
async fn a_frontend_that_stops_answers_what_it_has_taken() {
    let mut cluster = json_cluster(1).await;
    let client = cluster.client_with(Transport::Tcp, &Options::default()).await.unwrap();
    let id = client.begin(&trial::route("game", trial::SLEEP), "500 x").await.unwrap();
    reachable(&cluster.client(Transport::Tcp).await.unwrap(), "game").await;
    cluster.process("connector-1").unwrap().signal(cereus_tests::process::Signal::TERM).unwrap();
    assert_eq!(client.reply(id).await.unwrap().text().unwrap(), "500 x");
}
