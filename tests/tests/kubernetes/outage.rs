//! The API server is away for a minute.

use std::time::Duration;

use cereus_tests::process::eventually;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    SOON, cluster_alone,
    servers::{finish, game, play, ready},
};

const OUTAGE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn players_notice_nothing_of_a_minute_without_the_api_server() {
    let cluster = cluster_alone().await;
    let namespace = cluster.namespace("outage").await.unwrap();
    let connector = game(&cluster, &namespace, [1, 2], json!({})).await;
    let players = play(connector, 4).await;
    players.bodies_anew(2).await.unwrap();

    // With leader election, as on a real cluster, these end by themselves when the API server is away.
    let controllers = cluster.stop("kube-controller-manager").await.unwrap();
    let scheduler = cluster.stop("kube-scheduler").await.unwrap();
    let api = cluster.stop("kube-apiserver").await.unwrap();
    let end = Instant::now() + OUTAGE;
    let newcomers = play(connector, 2).await;
    newcomers.bodies_anew(2).await.unwrap();
    tokio::time::sleep_until(end).await;
    for group in [&players, &newcomers] {
        group.bodies_anew(2).await.unwrap();
    }
    api.start().await.unwrap();

    let scaled = || async { namespace.kubectl(&["scale", "gst/game", "--replicas=3"]).await.map(Some) };
    eventually("API for ServerTypes", SOON, scaled).await.unwrap();
    controllers.start().await.unwrap();
    scheduler.start().await.unwrap();
    // By themselves these look again after up to a minute, and no Service leads to new servers before.
    for component in ["kubelet", "kube-proxy"] {
        cluster.stop(component).await.unwrap().start().await.unwrap();
    }
    ready(&namespace, "game", 3).await;
    for (name, group) in [("players", players), ("newcomers", newcomers)] {
        group.bodies_anew(3).await.unwrap();
        finish(&format!("outage: {name}"), group, &[]).await;
    }
}
