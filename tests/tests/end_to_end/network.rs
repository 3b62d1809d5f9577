//! Servers that nobody can reach any more, and nobody says so.

use std::{collections::BTreeSet, time::Duration};

use cereus_tests::{
    client::{Client, Transport},
    cluster::{Cluster, Role},
    conformance::trial,
    network::Network,
    process::eventually,
};
use tokio::time::Instant;

use crate::{load, reachable};

/// How long a silent server may still be chosen.
const NOTICED: Duration = Duration::from_secs(5);
/// How long servers that are busy may take to act on it.
const ROUND: Duration = Duration::from_millis(500);
/// A frontend's request timeout, and a little for the way.
const DEADLINE: Duration = Duration::from_millis(10_500);
/// How long a server may stay unused once it can be reached again: the longest pause between two attempts, and a little.
const BACK: Duration = Duration::from_secs(10);

/// Which servers answer `count` requests, one after the other.
async fn answering(client: &Client, count: usize) -> BTreeSet<String> {
    let mut servers = BTreeSet::new();
    for _ in 0..count {
        let reply = client.request(&trial::route("game", trial::SERVER), "").await.unwrap();
        servers.insert(reply.text().unwrap());
    }
    servers
}

#[tokio::test]
async fn a_peer_behind_dropped_packets_is_not_chosen_after_five_seconds() {
    let network = Network::new().unwrap();
    let mut cluster = Cluster::builder().backends("game", 1).start().await.unwrap();
    cluster.add(Role::Frontend, "connector").await.unwrap();
    let client = cluster.client(Transport::Tcp).await.unwrap();
    let near = reachable(&client, "game").await;
    cluster.add_behind(&network, "game").await.unwrap();
    let both = || async { Ok((answering(&client, 20).await.len() == 2).then_some(())) };
    eventually("answers of both servers", NOTICED, both).await.unwrap();

    let load = load(&cluster, 8, &trial::route("game", trial::SERVER), "").await;
    load.answers(200).await.unwrap();
    network.forward(false).unwrap();
    tokio::time::sleep_until(Instant::now() + NOTICED).await;
    // Not for lack of answers alone: every worker has given its link up.
    let given_up = || async {
        let status = cluster.status("connector-1").await?;
        let links = status["links"].as_array().into_iter().flatten();
        let live = links.filter(|link| link["direction"] == "opened" && link["standing"] == "live");
        Ok(live.into_iter().all(|link| near.ends_with(link["server"].as_str().unwrap_or("?"))).then_some(()))
    };
    eventually("loss of the links", ROUND, given_up).await.unwrap();
    let start = Instant::now();
    let servers = answering(&client, 100).await;
    let taken = start.elapsed();
    assert_eq!(servers, BTreeSet::from([near.clone()]));
    assert!(taken < Duration::from_secs(2), "100 requests took {taken:?}");

    // What was on its way there is answered all the same.
    let outcome = load.stop().await.unwrap();
    assert!(outcome.longest() < DEADLINE, "{outcome:?}");
    let allowed = |code: &String| ["PIT-502", "PIT-503", "PIT-504"].contains(&code.as_str());
    assert!(outcome.errors.keys().all(allowed), "{outcome:?}");

    network.forward(true).unwrap();
    eventually("answers of both servers again", BACK, both).await.unwrap();
}
