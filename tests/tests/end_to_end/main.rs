//! What a client sees of real processes, one file for each promise.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

mod bounds;
mod certificates;
mod channels;
mod chat;
mod check;
mod drain;
mod faults;
mod heartbeats;
mod malformed;
mod network;
mod order;
mod pitaya;
mod requests;
mod sessions;
mod states;
mod tls;
mod topology;

use std::time::Duration;

use cereus_tests::{
    client::{Client, Transport},
    cluster::{Cluster, Serializer},
    conformance::trial,
    load::{Load, Plan},
    process::eventually,
};

/// Both ways to reach a frontend.
const TRANSPORTS: [Transport; 2] = [Transport::Tcp, Transport::WebSocket];
/// The server types of [`Cluster::connector_and_games`]: the one that clients connect to, and the one behind it.
const TYPES: [&str; 2] = ["connector", "game"];
/// How long one server may take to notice another.
const NOTICE: Duration = Duration::from_secs(5);

/// A running cluster of JSON servers: one frontend, and backends.
async fn json_cluster(games: usize) -> Cluster {
    Cluster::connector_and_games(Serializer::Json, games).await.unwrap()
}

/// Wait until a request through the frontend is answered by a server of `server_type`: its name and id.
async fn reachable(client: &Client, server_type: &str) -> String {
    let route = trial::route(server_type, trial::SERVER);
    let ask = || async { client.request(&route, "").await?.text().map(Some) };
    eventually("answer of the other type", NOTICE, ask).await.unwrap()
}

/// Check that the connection still serves.
async fn assert_serves(client: &Client) {
    let reply = client.request("connector.bench.echo", "still here").await.unwrap();
    assert_eq!(reply.text().unwrap(), "still here");
}

/// Clients of the first frontend that ask for `route` all the time.
async fn load(cluster: &Cluster, clients: usize, route: &str, body: &str) -> Load {
    Load::start(Plan::new(cluster.addresses().unwrap(), clients, route, body)).await.unwrap()
}
