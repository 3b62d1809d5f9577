//! Signs of life.

use std::time::Duration;

use cereus_tests::{
    client::{EventKind, Heartbeats, Options, Transport},
    cluster::Cluster,
};

use crate::{TRANSPORTS, assert_serves};

/// The interval of these tests: clients read whole seconds.
const INTERVAL: Duration = Duration::from_secs(1);

async fn quick_cluster() -> Cluster {
    Cluster::builder().frontend("connector").variable("CEREUS__AGENT__HEARTBEAT", "1s").start().await.unwrap()
}

#[tokio::test]
async fn a_client_with_the_habit_of_the_javascript_client_stays_connected() {
    let cluster = quick_cluster().await;
    let options =
        Options { heartbeats: Heartbeats::JavaScript(INTERVAL), timeout: INTERVAL * 15, ..Options::default() };
    for transport in TRANSPORTS {
        let client = cluster.client_with(transport, &options).await.unwrap();
        // Ten heartbeats of the server are ten intervals.
        client.wait_for_nth("tenth heartbeat", 10, |kind| *kind == EventKind::Heartbeat).await.unwrap();
        assert!(client.is_open());
        assert_serves(&client).await;
    }
}

#[tokio::test]
async fn a_silent_client_is_closed_after_three_intervals_and_not_before() {
    let cluster = quick_cluster().await;
    let options = Options { heartbeats: Heartbeats::Manual, ..Options::default() };
    for transport in TRANSPORTS {
        let client = cluster.client_with(transport, &options).await.unwrap();
        // The server's clock starts with the Ack, which the client sends after the handshake's response.
        let is_response = |kind: &EventKind| matches!(kind, EventKind::Handshake(_));
        let answered = client.wait_for("handshake response", is_response).await.unwrap().at;
        client.closed().await.unwrap();
        let silence = answered.elapsed();
        assert!(silence >= INTERVAL * 3, "closed after {silence:?}");
        assert!(silence < INTERVAL * 5, "closed after {silence:?}");
    }
}

#[tokio::test]
async fn any_packet_is_a_sign_of_life() {
    let cluster = quick_cluster().await;
    let options = Options { heartbeats: Heartbeats::Manual, ..Options::default() };
    let client = cluster.client_with(Transport::Tcp, &options).await.unwrap();
    for _ in 0..5 {
        tokio::time::sleep(INTERVAL).await;
        assert_serves(&client).await;
    }
}
