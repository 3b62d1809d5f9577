//! No operator, two operators, and one that dies.

use std::{panic::AssertUnwindSafe, time::Duration};

use cereus_tests::{
    kubernetes::{Cluster, Namespace},
    load::Load,
};
use futures_util::FutureExt as _;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    OPERATOR_NAMESPACE, SOON, audit, cluster_alone,
    servers::{PATIENCE, finish, game, play, pods, ready, scale},
};

const DEPLOYMENT: &str = "deployment/cereus-operator";
const LEASE: &str = "lease/cereus-operator";
/// How soon another operator leads when the leader was killed.
const TAKEOVER: Duration = Duration::from_secs(20);

async fn operators(system: &Namespace, count: u32) {
    system.kubectl(&["scale", DEPLOYMENT, &format!("--replicas={count}")]).await.unwrap();
    system.kubectl(&["rollout", "status", DEPLOYMENT, "--timeout=1m"]).await.unwrap();
}

#[tokio::test]
async fn the_game_goes_on_without_an_operator_which_then_catches_up() {
    let cluster = cluster_alone().await;
    let system = cluster.existing_namespace(OPERATOR_NAMESPACE);
    let namespace = cluster.namespace("absent").await.unwrap();
    let connector = game(&cluster, &namespace, [1, 2], json!({})).await;
    let players = play(connector, 6).await;

    operators(&system, 0).await;
    // The other tests need them, whatever becomes of this one.
    let result = AssertUnwindSafe(without_operator(&cluster, &namespace, &players)).catch_unwind().await;
    operators(&system, 2).await;
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));

    ready(&namespace, "game", 3).await;
    players.bodies_anew(3).await.unwrap();
    finish("no operator", players, &["PIT-502", "PIT-503", "PIT-504"]).await;
}

async fn without_operator(cluster: &Cluster, namespace: &Namespace, players: &Load) {
    let gone = ["wait", "pods", "--selector=app.kubernetes.io/name=cereus-operator", "--for=delete", "--timeout=30s"];
    cluster.existing_namespace(OPERATOR_NAMESPACE).kubectl(&gone).await.unwrap();
    let begin = audit::end(cluster);
    scale(namespace, "game", 3).await;
    assert_eq!(players.bodies_anew(2).await.unwrap().len(), 2);
    let victim = pods(namespace, "game").await.remove(0).name;
    namespace.kill(&victim).await.unwrap();
    namespace.kubectl(&["delete", "pod", &victim, "--grace-period=0", "--force"]).await.unwrap();
    // Another than the two before.
    players.bodies(3).await.unwrap();
    assert_eq!(audit::changes(cluster, begin), []);
    assert_eq!(namespace.get("deployment/game").await.unwrap()["spec"]["replicas"], 2);
}

/// Who leads, as a process and as its pod.
fn leader(lease: &Value) -> Option<(String, String)> {
    let identity = lease["spec"]["holderIdentity"].as_str().filter(|identity| !identity.is_empty())?;
    Some((identity.to_owned(), identity.rsplit_once('_')?.0.to_owned()))
}

#[tokio::test]
async fn one_of_two_operators_writes_and_when_it_is_killed_the_other_finishes_what_it_began() {
    let cluster = cluster_alone().await;
    let system = cluster.existing_namespace(OPERATOR_NAMESPACE);
    assert_eq!(system.get(DEPLOYMENT).await.unwrap()["status"]["readyReplicas"], 2);
    let (before, before_pod) = leader(&system.get(LEASE).await.unwrap()).unwrap();
    let begin = audit::end(&cluster);
    let namespace = cluster.namespace("takeover").await.unwrap();
    game(&cluster, &namespace, [1, 3], json!({})).await;

    let patch = json!({ "spec": { "template": { "env": [{ "name": "ROUND", "value": "2" }] } } }).to_string();
    namespace.kubectl(&["patch", "gst/game", "--type=merge", "--patch", &patch]).await.unwrap();
    let midway = |object: &Value| {
        let status = &object["status"];
        let told = object["metadata"]["name"] == "game" && status["observedGeneration"] == 2;
        (told && (1..3).contains(&status["updatedReplicas"].as_i64()?)).then_some(())
    };
    namespace.watch("gst", SOON, midway).await.unwrap();
    system.kill(&before_pod).await.unwrap();
    let killed = Instant::now();
    // Nor does it come back and lead again.
    system.kubectl(&["delete", "pod", &before_pod, "--grace-period=0", "--force"]).await.unwrap();
    // Nobody leads who could hear of this.
    scale(&namespace, "game", 4).await;
    let another = |lease: &Value| leader(lease).filter(|(identity, _)| *identity != before);
    let (after, after_pod) = system.watch("leases", SOON, another).await.unwrap();
    assert!(killed.elapsed() < TAKEOVER, "{after} leads {:?} after {before} was killed", killed.elapsed());

    for count in ["readyReplicas", "updatedReplicas", "replicas"] {
        namespace.wait("gst/game", &format!("jsonpath={{.status.{count}}}=4"), PATIENCE).await.unwrap();
    }
    namespace.wait("gst/game", "condition=Progressing=false", PATIENCE).await.unwrap();

    let changes = audit::changes(&cluster, begin);
    let mut writers: Vec<&str> = changes.iter().map(|change| change.pod.as_str()).collect();
    writers.dedup();
    assert_ne!(before_pod, after_pod);
    assert_eq!(writers, [before_pod, after_pod]);
}
