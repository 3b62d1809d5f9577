//! Conformance servers on the cluster: a frontend `connector` and backends `game`, their pods, and clients of them.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use cereus_crds::names::{ADMIN_PORT_NUMBER, DELETION_COST_ANNOTATION, SERVER_LABEL};
use cereus_tests::{
    client::{Client, Transport},
    cluster::http,
    conformance::trial,
    kubernetes::{Cluster, Namespace},
    load::{Addresses, Load, Manner, Plan},
    process::eventually,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::SOON;

/// How long several servers may take to start, or to take their leave, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);
/// Where clients connect.
const TCP: u16 = 3250;
const WEBSOCKET: u16 = 3251;

/// A pod of a ServerType.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) name: String,
    /// The server's id.
    pub(crate) uid: String,
    pub(crate) address: IpAddr,
    /// What it was said to cost to delete it.
    pub(crate) cost: Option<String>,
}

impl Pod {
    /// What a server of this type says when it is asked who it is.
    pub(crate) fn says(&self, server_type: &str) -> String {
        format!("{server_type} {}", self.uid)
    }

    /// Where clients reach it alone.
    pub(crate) fn tcp(&self) -> SocketAddr {
        (self.address, TCP).into()
    }

    /// A number that it says of itself.
    pub(crate) async fn status(&self, key: &str) -> anyhow::Result<u64> {
        let admin = (self.address, ADMIN_PORT_NUMBER).into();
        let (_, body) = http::get(admin, "/status", SOON).await?;
        Ok(serde_json::from_str::<Value>(&body)?[key].as_u64().unwrap_or(u64::MAX))
    }
}

/// Make or change a ServerType of the conformance server; what is not in `spec` is as it suits short tests.
pub(crate) async fn declare(cluster: &Cluster, namespace: &Namespace, name: &str, spec: Value) {
    static IMAGE: OnceCell<String> = OnceCell::const_new();
    let image = IMAGE.get_or_init(async || cluster.load_image("conformance", "load").await.unwrap()).await;
    let mut whole = json!({
        "image": image,
        "drain": { "linger": "1s", "deadline": "4s", "spread": "2s" },
        "template": { "resources": { "requests": { "cpu": "10m" } } },
    });
    if name == "connector" {
        whole["frontend"] = json!({ "acceptors": [
            { "name": "tcp", "protocol": "TCP", "port": TCP },
            { "name": "ws", "protocol": "WebSocket", "port": WEBSOCKET },
        ] });
    }
    for (key, value) in spec.as_object().unwrap() {
        whole[key] = value.clone();
    }
    let manifest = json!({
        "apiVersion": "cereus.dev/v1alpha1", "kind": "ServerType", "metadata": { "name": name }, "spec": whole,
    });
    namespace.apply(&manifest.to_string()).await.unwrap();
}

/// Wait until so many servers of a type take messages.
pub(crate) async fn ready(namespace: &Namespace, name: &str, count: usize) {
    let what = format!("jsonpath={{.status.readyReplicas}}={count}");
    namespace.wait(&format!("gst/{name}"), &what, PATIENCE).await.unwrap();
}

/// What `kubectl scale` does.
pub(crate) async fn scale(namespace: &Namespace, name: &str, replicas: usize) {
    namespace.kubectl(&["scale", &format!("gst/{name}"), &format!("--replicas={replicas}")]).await.unwrap();
}

/// Change what the pods of a type are made from.
pub(crate) async fn roll(namespace: &Namespace, name: &str) {
    let patch = json!({ "spec": { "template": { "annotations": { "example.com/release": "2" } } } }).to_string();
    namespace.kubectl(&["patch", "gst", name, "--type=merge", "--patch", &patch]).await.unwrap();
}

/// The pods of a type that were not told to go.
pub(crate) async fn pods(namespace: &Namespace, name: &str) -> Vec<Pod> {
    let selector = format!("--selector={SERVER_LABEL}={name}");
    let list = namespace.kubectl(&["get", "pods", &selector, "--output=json"]).await.unwrap();
    let list: Value = serde_json::from_str(&list).unwrap();
    let staying = list["items"].as_array().unwrap().iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    let text = |value: &Value| value.as_str().map(str::to_owned);
    staying
        .map(|pod| Pod {
            name: text(&pod["metadata"]["name"]).unwrap(),
            uid: text(&pod["metadata"]["uid"]).unwrap(),
            address: text(&pod["status"]["podIP"]).unwrap().parse().unwrap(),
            cost: text(&pod["metadata"]["annotations"][DELETION_COST_ANNOTATION]),
        })
        .collect()
}

/// Wait until so many pods of a type were not told to go: those.
pub(crate) async fn left(namespace: &Namespace, name: &str, count: usize) -> Vec<Pod> {
    let found = || async { Ok(Some(pods(namespace, name).await).filter(|pods| pods.len() == count)) };
    eventually("choice of who goes", SOON, found).await.unwrap()
}

/// Wait until these pods are gone.
pub(crate) async fn gone(namespace: &Namespace, pods: &[Pod]) {
    for pod in pods {
        namespace.deleted(&format!("pod/{}", pod.name), PATIENCE).await.unwrap();
    }
}

/// The addresses of the Service of the frontends, which lead to each of so many. It leads to a frontend a little later than
/// that is ready.
pub(crate) async fn addresses(namespace: &Namespace, frontends: usize) -> Addresses {
    let service = namespace.get("service/connector").await.unwrap()["spec"]["clusterIP"].take();
    let address: IpAddr = service.as_str().unwrap().parse().unwrap();
    let addresses = Addresses { tcp: (address, TCP).into(), websocket: (address, WEBSOCKET).into() };
    for (address, transport) in [(addresses.tcp, Transport::Tcp), (addresses.websocket, Transport::WebSocket)] {
        let seen = Mutex::new(BTreeSet::new());
        let meet = || async {
            let client = Client::connect(address, transport).await?;
            let server = client.request(&trial::route("connector", trial::SERVER), "").await?.text()?;
            let mut seen = seen.lock();
            seen.insert(server);
            Ok((seen.len() == frontends).then_some(()))
        };
        eventually("way to all frontends through the Service", SOON, meet).await.unwrap();
    }
    addresses
}

/// Clients that ask for `route` at an easy pace: the machine is to be busy with the servers, not with them.
pub(crate) async fn load(addresses: Addresses, clients: usize, route: &str, body: &str, manner: Manner) -> Load {
    let pause = Duration::from_millis(50);
    Load::start(Plan { in_flight: 1, pause, manner, ..Plan::new(addresses, clients, route, body) }).await.unwrap()
}
