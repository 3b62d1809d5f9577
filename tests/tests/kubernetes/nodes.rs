//! A node that is to be emptied while people play.

use cereus_crds::names::SERVER_LABEL;
use serde_json::{Value, json};

use crate::{
    SOON, cluster_alone,
    servers::{finish, game, gone, play, pods, ready},
};

#[tokio::test]
async fn no_request_fails_while_a_node_is_drained() {
    let cluster = cluster_alone().await;
    let namespace = cluster.namespace("node").await.unwrap();
    let connector = game(&cluster, &namespace, [1, 2], json!({})).await;
    let players = play(connector, 6).await;
    players.bodies_anew(2).await.unwrap();
    let old = pods(&namespace, "game").await;
    let nodes = cluster.kubectl(&["get", "nodes", "--output=jsonpath={.items[*].metadata.name}"]).await.unwrap();

    let selector = format!("--pod-selector={SERVER_LABEL}=game");
    let drain = ["drain", &nodes, &selector, "--delete-emptydir-data", "--timeout=2m"];
    let uncordon = async || cluster.kubectl(&["uncordon", &nodes]).await;
    // There is no other node where the servers could go: it stands in for that as soon as the first needs it.
    let elsewhere = async {
        namespace.watch("pods", SOON, |pod| is_homeless(pod).then_some(())).await?;
        // The budget lets nobody else go before that one takes messages.
        let mut staying = 0;
        for pod in &old {
            let pod = namespace.get(&format!("pod/{}", pod.name)).await;
            staying += usize::from(pod.is_ok_and(|pod| pod["metadata"]["deletionTimestamp"].is_null()));
        }
        uncordon().await?;
        anyhow::Ok(staying)
    };
    let (told, staying) = tokio::join!(cluster.kubectl(&drain), elsewhere);
    // Whatever came of it, other tests need the node.
    uncordon().await.unwrap();
    assert_eq!(staying.unwrap(), 1);
    let told = told.unwrap();
    assert!(told.contains("drained"), "{told}");
    gone(&namespace, &old).await;
    ready(&namespace, "game", 2).await;
    players.bodies_anew(2).await.unwrap();
    finish("a node that is drained", players, &[]).await;
}

/// Whether no node takes a pod.
fn is_homeless(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| condition["reason"] == "Unschedulable")
}
