//! How soon servers route by what the cluster says.

use std::time::Duration;

use cereus::topology::{Access, Source as _, Topology};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{
    Api, Client, Config,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{SOON, cluster_alone};

/// Servers, in as many slices of 50.
const SERVERS: usize = 300;
const SLICE: usize = 50;
/// How often a server turns unready or ready.
const CHANGES: usize = 200;
/// How soon after the write was acknowledged 99 of 100 changes must be seen.
const LIMIT: Duration = Duration::from_millis(50);

fn id(server: usize) -> String {
    format!("5f0c7a52-0000-4000-8000-{server:012}")
}

/// A slice as the endpoint controller writes them, of servers that are all ready.
fn slice(number: usize) -> EndpointSlice {
    let endpoint = |server: usize| -> Value {
        json!({
            "addresses": [format!("10.1.{}.{}", server / 250, server % 250 + 1)],
            "conditions": { "ready": true, "serving": true, "terminating": false },
            "targetRef": { "kind": "Pod", "name": format!("room-{server}"), "uid": id(server) },
            "nodeName": "node",
        })
    };
    serde_json::from_value(json!({
        "metadata": { "name": format!("room-link-{number}"), "labels": { "cereus.dev/server-type": "room" } },
        "addressType": "IPv4", "ports": [{ "name": "link", "port": 3260, "protocol": "TCP" }],
        "endpoints": (number * SLICE..(number + 1) * SLICE).map(endpoint).collect::<Vec<_>>(),
    }))
    .unwrap()
}

#[tokio::test]
async fn a_change_of_an_endpoint_is_known_to_the_router_within_50_ms() {
    // Others would take the processors that this is measured on.
    let cluster = cluster_alone().await;
    let namespace = cluster.namespace("topology").await.unwrap();
    let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    let (mut topology, watch) = Topology::kubernetes(Access::with(&config, Some(namespace.name())).unwrap());
    let api: Api<EndpointSlice> = Api::namespaced(Client::try_from(config).unwrap(), namespace.name());
    let write = PostParams::default();
    let mut slices = Vec::new();
    for number in 0..SERVERS / SLICE {
        slices.push(api.create(&write, &slice(number)).await.unwrap());
    }
    tokio::time::timeout(SOON, watch.synced()).await.unwrap();
    while topology.current().servers("room").len() < SERVERS {
        tokio::time::timeout(SOON, topology.changed()).await.unwrap();
    }

    let mut delays = Vec::new();
    for change in 0..CHANGES {
        let server = change * 37 % SERVERS;
        let slice = &mut slices[server / SLICE];
        let endpoint = &mut slice.endpoints.as_mut().unwrap()[server % SLICE];
        let conditions = endpoint.conditions.as_mut().unwrap();
        let is_ready = !conditions.ready.unwrap();
        conditions.ready = Some(is_ready);
        let name = slice.metadata.name.clone().unwrap();
        let written = async {
            let answer = api.replace(&name, &write, slice).await.unwrap();
            (answer, Instant::now())
        };
        let seen = async {
            while topology.current().server(&id(server)).unwrap().ready != is_ready {
                tokio::time::timeout(SOON, topology.changed()).await.unwrap();
            }
            Instant::now()
        };
        let ((answer, written), seen) = tokio::join!(written, seen);
        *slice = answer;
        delays.push(seen.saturating_duration_since(written));
    }
    delays.sort_unstable();
    let p99 = delays[CHANGES * 99 / 100];
    assert!(p99 < LIMIT, "99 of 100 changes were seen after {p99:?}, half after {:?}", delays[CHANGES / 2]);
}
