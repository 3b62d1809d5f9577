//! ServerTypes of the tests and their pods; conformance servers, frontends `connector` and backends `game`, and who plays
//! there.
#![allow(clippy::print_stderr, reason = "what was measured is of interest when nothing fails, too")]

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use anyhow::ensure;
use cereus_crds::names::{ADMIN_PORT_NUMBER, DELETION_COST_ANNOTATION, SERVER_LABEL};
use cereus_tests::{
    client::{Client, Transport},
    cluster::http,
    conformance::trial,
    kubernetes::{Cluster, Namespace},
    load::{Addresses, Load, Manner, Outcome, Plan},
    process::eventually,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::SOON;

/// How long several servers may take to start, or to take their leave, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);
/// How soon every request must be answered: the servers' request timeout, and time for a busy machine.
const DEADLINE: Duration = Duration::from_secs(12);
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
    pub(crate) fn addresses(&self) -> Addresses {
        addresses_at(self.address)
    }

    /// What it says of itself.
    pub(crate) async fn status(&self) -> anyhow::Result<Value> {
        let admin = (self.address, ADMIN_PORT_NUMBER).into();
        let (code, body) = http::get(admin, "/status", SOON).await?;
        ensure!(code == 200, "{code}: {body}");
        Ok(serde_json::from_str(&body)?)
    }
}

/// The image of the conformance server, with handlers that behave well and badly.
pub(crate) async fn image(cluster: &Cluster) -> &'static str {
    static IMAGE: OnceCell<String> = OnceCell::const_new();
    IMAGE.get_or_init(async || cluster.load_image("conformance", "1").await.unwrap()).await
}

/// A ServerType as a manifest.
pub(crate) fn manifest(name: &str, spec: &Value) -> String {
    let (version, kind) = ("cereus.dev/v1alpha1", "ServerType");
    json!({ "apiVersion": version, "kind": kind, "metadata": { "name": name }, "spec": spec }).to_string()
}

/// Make or change a ServerType of the conformance server; what is not in `spec` is as it suits short tests.
pub(crate) async fn declare(cluster: &Cluster, namespace: &Namespace, name: &str, spec: Value) {
    let mut whole = json!({
        "image": image(cluster).await,
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
    namespace.apply(&manifest(name, &whole)).await.unwrap();
}

/// A game of so many frontends and backends, which take messages; `backend` is merged into the spec of the backends. Where
/// clients reach the first frontend alone.
pub(crate) async fn game(cluster: &Cluster, namespace: &Namespace, counts: [usize; 2], backend: Value) -> Addresses {
    let [frontends, backends] = counts;
    declare(cluster, namespace, "connector", json!({ "replicas": frontends })).await;
    let mut spec = json!({ "replicas": backends });
    spec.as_object_mut().unwrap().extend(backend.as_object().unwrap().clone());
    declare(cluster, namespace, "game", spec).await;
    ready(namespace, "connector", frontends).await;
    ready(namespace, "game", backends).await;
    pods(namespace, "connector").await[0].addresses()
}

/// Wait until a type has so many servers that take messages, and they are all that it is to have.
pub(crate) async fn ready(namespace: &Namespace, name: &str, count: usize) {
    let (object, what) = (format!("gst/{name}"), format!("jsonpath={{.status.readyReplicas}}={count}"));
    namespace.wait(&object, &what, PATIENCE).await.unwrap();
    namespace.condition(&object, "Ready", PATIENCE).await.unwrap();
}

/// A condition of a ServerType: its status, reason and message. What is said of an earlier manifest does not count.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<[&'a str; 3]> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    let condition = conditions.iter().find(|condition| condition["type"] == kind)?;
    let is_new = condition["observedGeneration"] == object["metadata"]["generation"];
    is_new.then(|| ["status", "reason", "message"].map(|key| condition[key].as_str().unwrap_or_default()))
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

/// The addresses of the Service of the frontends.
pub(crate) async fn service(namespace: &Namespace) -> Addresses {
    let service = namespace.get("service/connector").await.unwrap()["spec"]["clusterIP"].take();
    addresses_at(service.as_str().unwrap().parse().unwrap())
}

/// The same once they lead to each of so many. They lead to a frontend a little later than that is ready.
pub(crate) async fn addresses(namespace: &Namespace, frontends: usize) -> Addresses {
    let addresses = service(namespace).await;
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

fn addresses_at(address: IpAddr) -> Addresses {
    Addresses { tcp: (address, TCP).into(), websocket: (address, WEBSOCKET).into() }
}

/// Clients that ask for `route` at an easy pace: the machine is to be busy with the servers, not with them.
pub(crate) async fn load(addresses: Addresses, clients: usize, route: &str, body: &str, manner: Manner) -> Load {
    let pause = Duration::from_millis(50);
    Load::start(Plan { in_flight: 1, pause, manner, ..Plan::new(addresses, clients, route, body) }).await.unwrap()
}

/// People who play, and are told which server handled what they asked. Their requests are at work most of the time.
pub(crate) async fn play(addresses: Addresses, clients: usize) -> Load {
    load(addresses, clients, &trial::route("game", trial::SERVER), "100", Manner::Stays).await
}

/// Wait until all that is on its way is answered: every request was answered in time, and failed with one of these codes or
/// not at all.
pub(crate) async fn finish(name: &str, load: Load, codes: &[&str]) -> Outcome {
    load.answers(20).await.unwrap();
    let outcome = load.stop().await.unwrap();
    eprintln!("{name}: {outcome}");
    assert!(outcome.errors.keys().all(|code| codes.contains(&code.as_str())), "{name}: {outcome}");
    assert!(outcome.longest() < DEADLINE, "{name}: {outcome}");
    outcome
}
