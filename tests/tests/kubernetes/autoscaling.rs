//! As many servers as sessions, or an autoscaler, ask for.

use std::time::Duration;

use cereus_tests::client::{Client, Transport};
use serde_json::json;

use crate::{
    cluster,
    servers::{PATIENCE, addresses, declare, pods, ready},
};

/// Longer than the operator waits before it asks servers for their sessions again.
const ASKED_AGAIN: Duration = Duration::from_secs(12);

#[tokio::test]
async fn sessions_make_a_type_grow_and_their_end_makes_it_shrink_no_lower_than_its_bound() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("autoscaling").await.unwrap();
    let autoscaling = json!({ "minReplicas": 1, "maxReplicas": 3, "sessionsPerReplica": 4, "scaleDownDelay": "1s" });
    let drain = json!({ "linger": "0s", "deadline": "1s" });
    declare(&cluster, &namespace, "connector", json!({ "autoscaling": autoscaling, "drain": drain })).await;
    ready(&namespace, "connector", 1).await;
    let addresses = addresses(&namespace, 1).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(Client::connect(addresses.tcp, Transport::Tcp).await.unwrap());
    }
    // Five would be needed.
    ready(&namespace, "connector", 3).await;
    let gst = "gst/connector";
    let message = namespace.kubectl(&["get", gst, "--output=jsonpath={.spec.replicas}"]).await.unwrap();
    assert_eq!(message, "", "what was chosen is not written into the manifest");
    drop(clients);
    ready(&namespace, "connector", 1).await;
    let lower = namespace.wait(gst, "jsonpath={.status.replicas}=0", ASKED_AGAIN).await;
    let error = format!("{:#}", lower.expect_err("it shrinks below its bound"));
    assert!(error.contains("timed out waiting"), "{error}");
    assert_eq!(pods(&namespace, "connector").await.len(), 1);
}

/// It scales to its bounds whatever it can measure, which here is nothing.
#[tokio::test]
async fn a_horizontal_pod_autoscaler_scales_a_type() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("hpa").await.unwrap();
    declare(&cluster, &namespace, "game", json!({ "replicas": 1 })).await;
    ready(&namespace, "game", 1).await;
    let autoscaler = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": "game" },
        "spec": {
            "scaleTargetRef": { "apiVersion": "cereus.dev/v1alpha1", "kind": "ServerType", "name": "game" },
            "minReplicas": 2, "maxReplicas": 3,
        },
    });
    namespace.apply(&autoscaler.to_string()).await.unwrap();
    ready(&namespace, "game", 2).await;
    let able = "jsonpath={.status.conditions[?(@.type=='AbleToScale')].status}=True";
    namespace.wait("hpa/game", able, PATIENCE).await.unwrap();
}
