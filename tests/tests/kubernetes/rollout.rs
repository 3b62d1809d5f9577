//! New releases while people play.
#![allow(clippy::print_stderr, reason = "what was measured is of interest when nothing fails, too")]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use cereus_tests::{
    conformance::trial,
    kubernetes::Namespace,
    load::{Closing, Manner},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    cluster,
    servers::{PATIENCE, Pod, addresses, finish, game, gone, load, pods, roll},
};

/// What the manifests say of the leave that frontends take.
const SPREAD: Duration = Duration::from_secs(2);
/// How long it may take: linger and deadline, and what a busy machine needs to tell a process and to notice its end. They are
/// killed 30 s after the deadline.
const LEAVE: SignedDuration = SignedDuration::from_secs(5 + 5);

#[tokio::test]
async fn no_request_fails_while_a_backend_is_replaced() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("rollout-backend").await.unwrap();
    game(&cluster, &namespace, [1, 2], json!({})).await;
    let addresses = addresses(&namespace, 1).await;
    let quick = load(addresses, 16, &trial::route("game", trial::SERVER), "", Manner::Stays).await;
    // Some are always at work when a server is told to go.
    let slow = load(addresses, 8, &trial::route("game", trial::SLEEP), "700 x", Manner::Stays).await;
    quick.bodies(2).await.unwrap();
    let old = pods(&namespace, "game").await;

    roll(&namespace, "game").await;
    gone(&namespace, &old).await;
    let new = pods(&namespace, "game").await;
    let said = quick.bodies(4).await.unwrap();
    let everybody: BTreeSet<_> = old.iter().chain(&new).map(|pod| pod.says("game")).collect();
    assert_eq!(said.into_keys().collect::<BTreeSet<_>>(), everybody);
    finish("rollout of backends: quick", quick, &[]).await;
    finish("rollout of backends: slow", slow, &[]).await;
}

#[tokio::test]
async fn clients_are_told_and_every_request_is_answered_while_a_frontend_is_replaced() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("rollout-frontend").await.unwrap();
    game(&cluster, &namespace, [2, 1], json!({})).await;
    let addresses = addresses(&namespace, 2).await;
    let asked = load(addresses, 16, &trial::route("game", trial::SERVER), "", Manner::Listens).await;
    let other = load(addresses, 32, &trial::route("connector", trial::SERVER), "", Manner::Reconnects).await;
    // Nearly always at work when their connection is closed.
    let slow = load(addresses, 16, &trial::route("game", trial::SLEEP), "1500 x", Manner::Reconnects).await;
    other.bodies(2).await.unwrap();
    let old = pods(&namespace, "connector").await;

    let ((), ends) = tokio::join!(roll(&namespace, "connector"), ends(&namespace, &old));
    gone(&namespace, &old).await;
    for (code, took) in ends.values() {
        assert!(*code == 0 && *took <= LEAVE, "these took their leave: {ends:?}");
    }

    let (asked, other, slow) = tokio::join!(
        finish("rollout of frontends: who asked", asked, &[]),
        finish("rollout of frontends: others", other, &[]),
        finish("rollout of frontends: slow", slow, &[]),
    );
    // Those who asked left by themselves, and lost nothing.
    assert!(asked.told >= 16 && asked.closings.is_empty() && asked.cut == 0, "{asked}");
    // Nobody tells the others: what they send just when they are closed never arrives. What arrived is answered.
    assert_eq!((other.told, slow.told), (0, 0));
    for outcome in [&other, &slow] {
        assert!(outcome.cut * 4 <= outcome.closings.len(), "{outcome}");
    }
    for pod in &old {
        assert_spread(pod, &other.closings);
    }
}

/// Wait until these pods, which are told to go, have ended: the exit code of each, and how long it took.
async fn ends(namespace: &Namespace, pods: &[Pod]) -> BTreeMap<String, (i64, SignedDuration)> {
    let mut ends = BTreeMap::new();
    let look = |pod: &Value| {
        if let Some(end) = pod.pointer("/status/containerStatuses/0/state/terminated") {
            let metadata = &pod["metadata"];
            let time = |value: &Value| value.as_str()?.parse::<Timestamp>().ok();
            let grace = SignedDuration::from_secs(metadata["deletionGracePeriodSeconds"].as_i64()?);
            // What is written there is when it would be killed.
            let told = time(&metadata["deletionTimestamp"])? - grace;
            let took = time(&end["finishedAt"])?.duration_since(told);
            ends.insert(metadata["name"].as_str()?.to_owned(), (end["exitCode"].as_i64()?, took));
        }
        pods.iter().all(|pod| ends.contains_key(&pod.name)).then(|| ends.clone())
    };
    namespace.watch("pods", PATIENCE, look).await.unwrap()
}

/// The connections that a frontend closed were closed over the time that the manifest says, not at once.
fn assert_spread(pod: &Pod, closings: &[Closing]) {
    let of_it = closings.iter().filter(|closing| closing.last.as_ref() == Some(&pod.says("connector")));
    let mut times: Vec<_> = of_it.map(|closing| closing.at).collect();
    times.sort_unstable();
    assert!(times.len() >= 6, "{} closed {} clients", pod.name, times.len());
    let (first, taken) = (times[0], times[times.len() - 1] - times[0]);
    let mut quarters = [0; 4];
    for time in &times {
        let quarter = (1..4).filter(|quarter| *time - first >= taken * *quarter / 4).count();
        quarters[quarter] += 1;
    }
    eprintln!("rollout of frontends: {} closed {quarters:?} clients in {taken:?}", pod.name);
    assert!(taken > SPREAD / 4, "{} clients of {} were closed within {taken:?}", times.len(), pod.name);
    assert!(quarters.iter().all(|count| count * 2 <= times.len()), "{quarters:?}");
}
