mod api;
mod following;
mod objects;
mod outages;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use self::api::{Api, Mode, NAMESPACE, SLICES, TYPES};
use super::{
    super::{Server, Snapshot, Source as _, Topology, merge},
    Access, KubernetesWatch,
};

/// Longer than anything takes that is to happen; the clock of most of these tests jumps.
const PATIENCE: Duration = Duration::from_mins(10);

/// A slice of type `room` with these servers, which are ready.
fn slice(name: &str, ids: &[&str]) -> Value {
    let endpoint = |id: &&str| json!({ "addresses": ["10.0.0.1"], "targetRef": { "kind": "Pod", "uid": id } });
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": { "name": name, "labels": { "cereus.dev/server-type": "room" } },
        "addressType": "IPv4", "ports": [{ "name": "link", "port": 3260, "protocol": "TCP" }],
        "endpoints": ids.iter().map(endpoint).collect::<Vec<_>>(),
    })
}

fn server_type(name: &str, policy: &str) -> Value {
    json!({
        "apiVersion": "cereus.dev/v1alpha1", "kind": "ServerType", "metadata": { "name": name },
        "spec": { "image": "registry.example/chat:1", "routing": { "policy": policy } },
    })
}

/// The ids of the servers of type `room`, in one word.
fn rooms(snapshot: &Snapshot) -> String {
    snapshot.servers("room").iter().map(|server| &*server.id).collect()
}

/// The view that all these objects make, those left out that are not understood.
fn merged(slices: &[Value], server_types: &[Value]) -> Snapshot {
    fn understood<T: serde::de::DeserializeOwned>(objects: &[Value]) -> Vec<T> {
        objects.iter().filter_map(|object| serde_json::from_value(object.clone()).ok()).collect()
    }
    merge(&understood(slices), &understood(server_types))
}

/// Follows `api`, as of its first view.
async fn followed(api: &Api) -> (Topology, KubernetesWatch) {
    let (topology, watch) = Topology::kubernetes(api.access());
    timeout(PATIENCE, watch.synced()).await.expect("there is no first view");
    (topology, watch)
}

/// Waits for the view in which this is so.
async fn until(topology: &mut Topology, is_so: impl Fn(&Snapshot) -> bool) {
    let wait = async {
        while !is_so(&topology.current()) {
            topology.changed().await;
        }
    };
    let waited = timeout(PATIENCE, wait).await;
    assert!(waited.is_ok(), "the view is {:?}", topology.current());
}
