//! The API server is away for a minute.

use std::time::Duration;

use cereus_tests::process::eventually;
use serde_json::json;
use tokio::time::Instant;

use crate::{SOON, cluster_alone, game, players::Players};

const OUTAGE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn players_notice_nothing_of_a_minute_without_the_api_server() {
    let cluster = cluster_alone().await;
    let namespace = cluster.namespace("outage").await.unwrap();
    let gate = game::start(&cluster, &namespace, 2, json!({})).await;
    let players = Players::join(gate, 4).await;
    players.reach(2).await;

    // With leader election, as on a real cluster, these end by themselves when the API server is away.
    let controllers = cluster.stop("kube-controller-manager").await.unwrap();
    let scheduler = cluster.stop("kube-scheduler").await.unwrap();
    let api = cluster.stop("kube-apiserver").await.unwrap();
    let end = Instant::now() + OUTAGE;
    let newcomers = Players::join(gate, 2).await;
    newcomers.reach(2).await;
    tokio::time::sleep_until(end).await;
    for group in [&players, &newcomers] {
        group.reach(2).await;
    }
    api.start().await.unwrap();

    let scaled = || async { namespace.kubectl(&["scale", "gst/room", "--replicas=3"]).await.map(Some) };
    eventually("API for ServerTypes", SOON, scaled).await.unwrap();
    controllers.start().await.unwrap();
    scheduler.start().await.unwrap();
    // By themselves these look again after up to a minute, and no Service leads to new servers before.
    for component in ["kubelet", "kube-proxy"] {
        cluster.stop(component).await.unwrap().start().await.unwrap();
    }
    namespace.wait("gst/room", "jsonpath={.status.readyReplicas}=3", game::START).await.unwrap();
    for group in [players, newcomers] {
        group.reach(3).await;
        group.leave(&[]).await;
    }
}
