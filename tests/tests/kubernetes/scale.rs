//! `kubectl scale` while people play.
#![allow(clippy::print_stderr, reason = "what was measured is of interest when nothing fails, too")]

use std::{collections::BTreeMap, time::Duration};

use cereus_tests::{
    client::{Client, Transport},
    conformance::trial,
    kubernetes::Namespace,
    load::{Addresses, Manner},
    process::eventually,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    SOON, cluster,
    servers::{self, PATIENCE, Pod, addresses, declare, finish, game, gone, left, pods, ready, scale},
};

/// How soon a server that is ready has its first message.
const FIRST_MESSAGE: Duration = Duration::from_secs(1);
/// The same for all servers that start at once, on a machine that is busy with starting them.
const FIRST_MESSAGES: Duration = Duration::from_secs(5);
/// Sessions that each of the servers that are to stay holds.
const PINS: usize = 3;

#[tokio::test]
async fn a_backend_is_scaled_up_and_down_under_load_and_the_emptiest_go() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("scale").await.unwrap();
    game(&cluster, &namespace, [1, 2], json!({})).await;
    let addresses = addresses(&namespace, 1).await;
    let who = trial::route("game", trial::SERVER);
    let load = servers::load(addresses, 24, &who, "", Manner::Stays).await;
    load.bodies(2).await.unwrap();
    let old = pods(&namespace, "game").await;

    let ((), ready_at) = tokio::join!(scale(&namespace, "game", 5), seen_ready(&namespace, 5));
    let first = load.bodies(5).await.unwrap();
    let all = pods(&namespace, "game").await;
    let new: Vec<_> = all.iter().filter(|pod| old.iter().all(|old| old.uid != pod.uid)).cloned().collect();
    assert_eq!((old.len(), new.len()), (2, 3));
    let delay = |pod: &Pod| first[&pod.says("game")].first.saturating_duration_since(ready_at[&pod.uid]);
    let mut delays: Vec<_> = new.iter().map(delay).collect();
    delays.sort_unstable();
    eprintln!("scale: first answers of new backends {delays:?} after they were ready");
    assert!(delays[0] < FIRST_MESSAGE && delays[2] < FIRST_MESSAGES, "{delays:?}");

    // Left alone, Kubernetes would take the youngest.
    let (staying, going) = (&new[1..], [&old[..], &new[..1]].concat());
    let pinned = pin(addresses, staying).await;
    for pod in &going {
        let empty = || async { Ok((pod.status().await?["pins"] == 0).then_some(())) };
        eventually("end of the pins of clients that left", SOON, empty).await.unwrap();
    }
    scale(&namespace, "game", 2).await;
    let left = left(&namespace, "game", 2).await;
    let told: BTreeMap<_, _> = left.iter().map(|pod| (pod.uid.clone(), pod.cost.clone())).collect();
    let expected = staying.iter().map(|pod| (pod.uid.clone(), Some(PINS.to_string()))).collect();
    assert_eq!(told, expected);
    gone(&namespace, &going).await;

    // Those who stayed where they were noticed nothing, and all others neither.
    for (client, server) in pinned {
        assert_eq!(client.request(&who, "").await.unwrap().text().unwrap(), server);
    }
    load.answers(100).await.unwrap();
    finish("scale", load, &[]).await;
}

/// Wait until so many backends are ready: when each was, by what the API server tells.
async fn seen_ready(namespace: &Namespace, count: usize) -> BTreeMap<String, Instant> {
    let mut seen = BTreeMap::new();
    let look = |slice: &Value| {
        if slice["metadata"]["labels"]["cereus.dev/server-type"] == "game" {
            let endpoints = slice["endpoints"].as_array().into_iter().flatten();
            for endpoint in endpoints.filter(|endpoint| endpoint["conditions"]["ready"] == true) {
                let uid = endpoint["targetRef"]["uid"].as_str().unwrap().to_owned();
                seen.entry(uid).or_insert_with(Instant::now);
            }
        }
        (seen.len() >= count).then(|| seen.clone())
    };
    namespace.watch("endpointslices", PATIENCE, look).await.unwrap()
}

/// Clients whose sessions are pinned to these backends, so many to each: with what their server says.
async fn pin(addresses: Addresses, pods: &[Pod]) -> Vec<(Client, String)> {
    let mut pinned: Vec<(Client, String)> = Vec::new();
    let end = Instant::now() + PATIENCE;
    while pinned.len() < PINS * pods.len() {
        assert!(Instant::now() < end, "sessions are not spread over all servers");
        let client = Client::connect(addresses.tcp, Transport::Tcp).await.unwrap();
        client.request(&trial::route("game", trial::PIN), "0 x").await.unwrap().ok().unwrap();
        let server = client.request(&trial::route("game", trial::SERVER), "").await.unwrap().text().unwrap();
        let there = pinned.iter().filter(|(_, other)| *other == server).count();
        if there < PINS && pods.iter().any(|pod| pod.says("game") == server) {
            pinned.push((client, server));
        }
    }
    pinned
}

#[tokio::test]
async fn the_frontends_with_the_fewest_clients_go() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("scale-frontends").await.unwrap();
    declare(&cluster, &namespace, "connector", json!({ "replicas": 1 })).await;
    ready(&namespace, "connector", 1).await;
    let old = pods(&namespace, "connector").await.remove(0);
    scale(&namespace, "connector", 3).await;
    ready(&namespace, "connector", 3).await;
    let mut all = pods(&namespace, "connector").await;
    all.sort_by_key(|pod| pod.uid != old.uid);
    let mut clients = Vec::new();
    for (pod, count) in all.iter().zip([1, 3, 6]) {
        for _ in 0..count {
            clients.push((pod.uid.clone(), Client::connect(pod.addresses().tcp, Transport::Tcp).await.unwrap()));
        }
    }
    for count in [2, 1] {
        scale(&namespace, "connector", count).await;
        let uids: Vec<_> = left(&namespace, "connector", count).await.into_iter().map(|pod| pod.uid).collect();
        assert!(all[3 - count..].iter().all(|pod| uids.contains(&pod.uid)), "{uids:?} are left of {all:?}");
    }
    gone(&namespace, &all[..2]).await;
    let (stayed, told): (Vec<_>, Vec<_>) = clients.into_iter().partition(|(uid, _)| *uid == all[2].uid);
    assert!(stayed.iter().all(|(_, client)| client.is_open()));
    assert!(told.iter().all(|(_, client)| !client.is_open()));
}
