//! A game of two server types on the cluster: a frontend `gate`, and a backend `room`.

use std::{net::SocketAddr, time::Duration};

use cereus_tests::kubernetes::{Cluster, Namespace};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// How long servers may take to start, while others do as well.
pub(crate) const START: Duration = Duration::from_secs(45);
const PORT: u16 = 3250;

/// The image of the conformance server, with handlers that behave well and badly.
pub(crate) async fn image(cluster: &Cluster) -> &'static str {
    static IMAGE: OnceCell<String> = OnceCell::const_new();
    IMAGE.get_or_init(async || cluster.load_image("conformance", "1").await.unwrap()).await
}

/// A ServerType as a manifest.
pub(crate) fn server_type(name: &str, spec: &Value) -> String {
    let (version, kind) = ("cereus.dev/v1alpha1", "ServerType");
    json!({ "apiVersion": version, "kind": kind, "metadata": { "name": name }, "spec": spec }).to_string()
}

/// One frontend and so many backends, which take messages; `room` is merged into the spec of the backends. Where clients
/// connect.
pub(crate) async fn start(cluster: &Cluster, namespace: &Namespace, rooms: u32, room: Value) -> SocketAddr {
    let image = image(cluster).await;
    let drain = json!({ "linger": "0s", "deadline": "3s" });
    let gate = json!({
        "image": image, "replicas": 1, "drain": drain,
        "frontend": { "acceptors": [{ "name": "tcp", "protocol": "TCP", "port": PORT }] },
    });
    let mut spec = json!({ "image": image, "replicas": rooms, "drain": drain });
    spec.as_object_mut().unwrap().extend(room.as_object().unwrap().clone());
    namespace.apply(&format!("{}\n---\n{}", server_type("gate", &gate), server_type("room", &spec))).await.unwrap();
    ready(namespace, "gate").await;
    ready(namespace, "room").await;
    let gate = &pods(namespace, "gate").await[0];
    (namespace.pod_address(gate).await.unwrap(), PORT).into()
}

/// Wait until all servers of a type take messages, as the status of the ServerType has it.
pub(crate) async fn ready(namespace: &Namespace, name: &str) {
    namespace.condition(&format!("gst/{name}"), "Ready", START).await.unwrap();
}

/// The names of the pods of a type.
pub(crate) async fn pods(namespace: &Namespace, server_type: &str) -> Vec<String> {
    let label = format!("--selector=cereus.dev/replica-of={server_type}");
    let names = namespace.kubectl(&["get", "pods", &label, "--output=name"]).await.unwrap();
    names.lines().map(|name| name.trim_start_matches("pod/").to_owned()).collect()
}

/// A condition of a ServerType: its status, reason and message.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<[&'a str; 3]> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    let condition = conditions.iter().find(|condition| condition["type"] == kind)?;
    Some(["status", "reason", "message"].map(|key| condition[key].as_str().unwrap_or_default()))
}
