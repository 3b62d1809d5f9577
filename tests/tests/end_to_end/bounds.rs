//! Large messages, and what clients that vanish leave behind.

use std::time::Duration;

use cereus_tests::{client::Transport, cluster::Cluster, conformance::trial, process::eventually};
use serde_json::Value;

use crate::{TRANSPORTS, assert_serves, json_cluster, load, reachable};

/// How long a server may take to clear away what a client left: the deadline of its requests, the grace of their
/// handlers, and a little.
const CLEARED: Duration = Duration::from_secs(15);

#[tokio::test]
async fn two_hundred_large_requests_share_a_link() {
    // 12.5 MiB at once: by default a link refuses new sessions' requests while 4 MiB wait to be sent. One worker has one
    // link to a server.
    let builder = Cluster::builder().frontend("connector").backends("game", 1);
    let builder = builder.variable("CEREUS__LINK__OUTBOUND", "32000000").variable("CEREUS__SERVER__WORKERS", "1");
    let cluster = builder.start().await.unwrap();
    let body: Vec<u8> = (0..64 * 1024_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut clients = Vec::new();
    for number in 0..20 {
        clients.push(cluster.client(TRANSPORTS[number % 2]).await.unwrap());
    }
    let mut ids = Vec::new();
    for client in &clients {
        let batch = (0..10).fold(client.batch(), |batch, _| batch.request("game.bench.echo", &body));
        ids.push(batch.send().await.unwrap());
    }
    for (client, ids) in clients.iter().zip(ids) {
        for id in ids {
            assert_eq!(client.reply(id).await.unwrap().ok().unwrap(), body);
        }
    }
}

#[tokio::test]
async fn a_burst_that_a_link_has_no_room_for_waits_and_stays_in_order() {
    let cluster = with_outbound("100000").await;
    let client = cluster.client(Transport::Tcp).await.unwrap();
    reachable(&client, "game").await;
    let body = "x".repeat(64 * 1024);
    let batch = (0..64).fold(client.batch(), |batch, _| batch.request("game.bench.echo", &body));
    let mut last = 0;
    for id in batch.send().await.unwrap() {
        let reply = client.reply(id).await.unwrap();
        assert!(reply.sequence > last, "answers of one session come in order");
        last = reply.sequence;
        assert_eq!(reply.ok().unwrap().len(), body.len());
        assert_eq!(client.answers(id), 1);
    }
    assert_serves(&client).await;
}

/// A frontend and a backend whose links queue so many bytes.
async fn with_outbound(bytes: &str) -> Cluster {
    let builder = Cluster::builder().frontend("connector").backends("game", 1);
    builder.variable("CEREUS__LINK__OUTBOUND", bytes).start().await.unwrap()
}

#[tokio::test]
async fn an_answer_of_sixteen_mebibytes_arrives() {
    // A Data packet holds flags and id beside the body.
    let size = 0xFF_FFFF - 16;
    let cluster = json_cluster(1).await;
    for transport in TRANSPORTS {
        let client = cluster.client(transport).await.unwrap();
        let reply = client.request(&trial::route("game", trial::NOISE), size.to_string()).await.unwrap();
        assert_eq!(reply.ok().unwrap().len(), size);
        assert_serves(&client).await;
    }
}

/// The numbers that have to return to where they were, and the server that says them.
async fn left_behind(cluster: &Cluster) -> anyhow::Result<Vec<(String, Value)>> {
    let mut numbers = Vec::new();
    for name in ["connector-1", "game-1"] {
        let status = cluster.status(name).await?;
        for key in ["sessions", "lanes", "pending_calls", "pins", "tasks"] {
            numbers.push((format!("{name} {key}"), status[key].clone()));
        }
    }
    Ok(numbers)
}

#[tokio::test]
async fn clients_that_vanish_under_load_leave_nothing_behind() {
    let cluster = json_cluster(1).await;
    let witness = cluster.client(Transport::Tcp).await.unwrap();
    reachable(&witness, "game").await;
    let before = left_behind(&cluster).await.unwrap();
    assert!(before.iter().all(|(_, number)| number.is_number()), "{before:?}");
    for _ in 0..3 {
        // Some are pinned to the backend, and some keep their own server busy.
        let pinned = load(&cluster, 10, &trial::route("game", trial::PIN), "20 x").await;
        let remote = load(&cluster, 20, &trial::route("game", trial::SLEEP), "20 x").await;
        let local = load(&cluster, 10, &trial::route("connector", trial::SLEEP_CONCURRENT), "20 x").await;
        remote.answers(200).await.unwrap();
        local.answers(50).await.unwrap();
        pinned.answers(50).await.unwrap();
        assert_ne!(cluster.status("game-1").await.unwrap()["pins"], 0);
        // Dropped with requests in flight.
        drop((pinned, remote, local));
    }
    let cleared = || async {
        let now = left_behind(&cluster).await?;
        anyhow::ensure!(now == before, "{now:?} instead of {before:?}");
        Ok(Some(()))
    };
    eventually("end of what vanished clients left", CLEARED, cleared).await.unwrap();
    assert_serves(&witness).await;
}
