//! Servers that are told to stop, and what their clients see of it.

use std::{os::unix::process::ExitStatusExt as _, time::Duration};

use cereus_tests::{
    client::{EventKind, Options, Transport},
    cluster::{Cluster, Role},
    conformance::trial,
    process::{Process, Program, Signal, binary, eventually, free_address},
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{NOTICE, TRANSPORTS, TYPES, assert_serves, json_cluster, reachable};

/// How long a server may take beyond its own deadlines.
const STOP: Duration = Duration::from_secs(10);

/// A frontend whose clients have five seconds to leave, and a backend.
async fn impatient() -> Cluster {
    Cluster::builder()
        .frontend("connector")
        .backends("game", 1)
        .variable("CEREUS__DRAIN__LINGER", "1s")
        .variable("CEREUS__DRAIN__DEADLINE", "4s")
        .variable("CEREUS__DRAIN__SPREAD", "1s")
        .start()
        .await
        .unwrap()
}

/// A client that wants to hear of the end.
fn attentive() -> Options {
    let mut options = Options::default();
    options.handshake["sys"]["drain"] = json!(true);
    options
}

#[tokio::test]
async fn clients_that_asked_hear_of_the_end_and_nobody_is_kicked() {
    for transport in TRANSPORTS {
        let mut cluster = impatient().await;
        let asked = cluster.client_with(transport, &attentive()).await.unwrap();
        let other = cluster.client(transport).await.unwrap();
        reachable(&asked, "game").await;
        let told = Instant::now();
        cluster.process("connector-1").unwrap().signal(Signal::TERM).unwrap();
        let (route, body) = asked.next_push().await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&*route, &body), ("sys.draining", &json!({ "deadline": 4 })), "over {transport:?}");
        // Until the end everything works.
        assert_serves(&asked).await;
        let sent = asked.request(&trial::route("game", trial::SLEEP), "10 x").await.unwrap();
        assert_eq!(sent.text().unwrap(), "10 x");
        for client in [&asked, &other] {
            client.closed().await.unwrap();
            let kicks = client.events().iter().filter(|event| matches!(event.kind, EventKind::Kick(_))).count();
            assert_eq!(kicks, 0);
        }
        let pushes = other.events().into_iter().filter(|event| matches!(event.kind, EventKind::Push { .. }));
        assert_eq!(pushes.count(), 0, "who did not ask hears nothing");
        let status = cluster.process("connector-1").unwrap().ended(STOP).await.unwrap();
        assert!(status.success(), "{status}");
        let taken = told.elapsed();
        assert!(taken > Duration::from_secs(4) && taken < Duration::from_secs(8), "{taken:?}");
    }
}

#[tokio::test]
async fn what_was_asked_before_a_frontend_closes_is_answered_by_it() {
    for server_type in TYPES {
        let mut cluster = impatient().await;
        let asked = cluster.client_with(Transport::Tcp, &attentive()).await.unwrap();
        let other = cluster.client(Transport::WebSocket).await.unwrap();
        reachable(&asked, "game").await;
        cluster.process("connector-1").unwrap().signal(Signal::TERM).unwrap();
        asked.next_push().await.unwrap();
        // It takes longer than connections are kept for.
        let route = trial::route(server_type, trial::SLEEP);
        let (one, two) = tokio::join!(asked.request(&route, "6000 x"), other.request(&route, "6000 x"));
        for answer in [one, two] {
            assert_eq!(answer.unwrap().text().unwrap(), "6000 x", "of {server_type}");
        }
        let status = cluster.process("connector-1").unwrap().ended(STOP).await.unwrap();
        assert!(status.success(), "{status}");
    }
}

#[tokio::test]
async fn a_frontend_whose_clients_leave_stops_at_once() {
    let mut cluster = impatient().await;
    let client = cluster.client_with(Transport::Tcp, &attentive()).await.unwrap();
    let told = Instant::now();
    cluster.process("connector-1").unwrap().signal(Signal::TERM).unwrap();
    // Load balancers learn late: clients still come meanwhile.
    drop(cluster.client(Transport::WebSocket).await.unwrap());
    client.next_push().await.unwrap();
    drop(client);
    let status = cluster.process("connector-1").unwrap().ended(STOP).await.unwrap();
    assert!(status.success(), "{status}");
    assert!(told.elapsed() < Duration::from_secs(4), "{:?}", told.elapsed());
}

#[tokio::test]
async fn a_second_signal_closes_what_is_left() {
    let mut cluster = json_cluster(1).await;
    let client = cluster.client(Transport::Tcp).await.unwrap();
    reachable(&client, "game").await;
    let process = cluster.process("connector-1").unwrap();
    let told = Instant::now();
    process.signal(Signal::TERM).unwrap();
    let draining = || async { Ok((cluster.status("connector-1").await?["phase"] == "draining").then_some(())) };
    eventually("drain", NOTICE, draining).await.unwrap();
    let status = cluster.process("connector-1").unwrap().terminate(STOP).await.unwrap();
    assert!(status.success(), "{status}");
    client.closed().await.unwrap();
    assert!(told.elapsed() < Duration::from_secs(5), "{:?}", told.elapsed());
}

#[tokio::test]
async fn a_drained_backend_waits_for_its_handlers() {
    let mut cluster = json_cluster(2).await;
    let client = cluster.client(Transport::Tcp).await.unwrap();
    let name = reachable(&client, "game").await;
    let id = client.begin(&trial::route("game", trial::SLEEP), "1500 x").await.unwrap();
    let mut stopping = Vec::new();
    for game in ["game-1", "game-2"] {
        let busy = || async { Ok((cluster.status("connector-1").await?["pending_calls"] == 1).then_some(())) };
        eventually("call on its way", NOTICE, busy).await.unwrap();
        cluster.process(game).unwrap().signal(Signal::TERM).unwrap();
        stopping.push(game);
    }
    assert_eq!(client.reply(id).await.unwrap().text().unwrap(), "1500 x", "answered before {name} was gone");
    for game in stopping {
        let status = cluster.process(game).unwrap().ended(STOP).await.unwrap();
        assert!(status.success(), "{status}");
    }
}

#[tokio::test]
async fn draining_by_hand_fails_the_readiness_probe_and_a_signal_does_not() {
    let mut cluster = json_cluster(1).await;
    let client = cluster.client(Transport::Tcp).await.unwrap();
    reachable(&client, "game").await;
    cluster.add(Role::Frontend, "connector").await.unwrap();
    let other = cluster.server("connector-2").unwrap();
    let stay =
        cereus_tests::client::Client::connect(other.address(Transport::Tcp).unwrap(), Transport::Tcp).await.unwrap();
    cluster.process("connector-1").unwrap().signal(Signal::TERM).unwrap();
    let other = cluster.server("connector-2").unwrap();
    assert_eq!(other.command("/drain").await.unwrap(), 202);
    for (name, ready) in [("connector-1", 200), ("connector-2", 503)] {
        let server = cluster.server(name).unwrap();
        let draining = || async { Ok((server.status().await?["phase"] == "draining").then_some(())) };
        eventually("drain", NOTICE, draining).await.unwrap();
        assert_eq!(server.probe("/readyz").await.unwrap(), ready, "{name}");
    }
    assert_serves(&client).await;
    assert_serves(&stay).await;
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_while_it_starts_stops() {
    let directory = tempfile::TempDir::new().unwrap();
    for milliseconds in [0, 5, 10, 20, 40, 80, 160] {
        let admin = free_address().unwrap();
        let arguments = ["--type", "game", "--link", "127.0.0.1:0", "--set", "drain.linger=0s", "--topology"];
        let mut arguments: Vec<_> = arguments.into_iter().map(Into::into).collect();
        arguments.extend([directory.path().into(), "--admin".into(), admin.to_string().into()]);
        let path = binary("conformance").unwrap();
        let name = format!("stopped after {milliseconds} ms");
        let mut process = Process::start(&Program { name, path, arguments, environment: Vec::new() }).unwrap();
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        let status = process.terminate(STOP).await.unwrap();
        // Before it listens to signals it ends as every process does.
        assert!(status.success() || status.signal() == Some(15), "{milliseconds} ms: {status}");
        let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().flatten().map(|file| file.path()).collect();
        assert!(left.is_empty(), "{milliseconds} ms: {left:?}");
    }
}
