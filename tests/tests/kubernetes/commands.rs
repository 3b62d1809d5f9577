//! The commands by which a game comes to a cluster, as the README tells them, and what they leave when they are undone.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    panic::AssertUnwindSafe,
    path::Path,
};

use cereus_tests::{
    client::{Client, Transport},
    kubernetes::{Cluster, Namespace},
    process::eventually,
};
use futures_util::FutureExt as _;
use serde_json::{Value, json};

use crate::{
    COLLECTED, MINUTE, OPERATOR_NAMESPACE, SERVER_IMAGE, SOON, chart, cluster, cluster_alone, install,
    servers::{ready, scale, service},
};

const README: &str = include_str!("../../../README.md");
const OPERATOR_README: &str = include_str!("../../../operator/README.md");

/// The strictest that Kubernetes knows for pods.
const STRICT: &str = "pod-security.kubernetes.io/enforce=restricted";

/// The blocks of the README's section about Kubernetes: language and text.
fn blocks() -> Vec<(&'static str, &'static str)> {
    let section = README.split("\n## On Kubernetes\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let blocks = section.split("```").skip(1).step_by(2).map(|block| block.split_once('\n').unwrap());
    blocks.collect()
}

/// The README's manifest.
fn game() -> &'static str {
    let (_, manifest) = blocks().into_iter().find(|(language, _)| *language == "yaml").unwrap();
    assert_eq!(manifest.matches(SERVER_IMAGE).count(), 2, "{manifest}");
    manifest
}

/// Whether a text is what was told of it: `…` is anything, and columns may be wider.
fn is_as_told(said: &str, told: &str) -> bool {
    let normal = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (said, told) = (normal(said), normal(told));
    let mut rest = said.as_str();
    for (number, piece) in told.split('…').map(str::trim).enumerate() {
        match rest.find(piece) {
            Some(0) => rest = &rest[piece.len()..],
            Some(start) if number > 0 => rest = &rest[start + piece.len()..],
            _ => return false,
        }
    }
    rest.is_empty() || told.ends_with('…')
}

#[test]
fn what_is_told_may_leave_out_parts() {
    for (said, told, right) in [
        ("a  b\nc", "a b c", true),
        ("a b c", "a b", false),
        ("a b c", "b c", false),
        ("a b c", "a … c", true),
        ("a b c", "a …", true),
        ("a b c", "… c", true),
        ("a b c", "a … b", false),
        ("a b", "a … b", true),
    ] {
        assert_eq!(is_as_told(said, told), right, "{said} as {told}");
    }
}

/// Do what the README says, in this namespace.
async fn follow_the_readme(namespace: &Namespace) {
    let folder = tempfile::tempdir().unwrap();
    let charts = Path::new(&chart("cereus")).parent().unwrap().to_owned();
    std::os::unix::fs::symlink(charts, folder.path().join("charts")).unwrap();
    std::fs::write(folder.path().join("game.yaml"), game()).unwrap();
    let mut said = String::new();
    for (language, text) in blocks() {
        match language {
            "sh" => {
                for line in text.lines() {
                    said.push_str(&namespace.shell(folder.path(), line).await.unwrap());
                }
            }
            "" => {
                assert!(is_as_told(&said, text), "the README tells\n{text}\nbut it was\n{said}");
                said.clear();
            }
            _ => {}
        }
        if text.contains("scale") {
            ready(namespace, "room", 5).await;
        }
    }
}

async fn join(address: SocketAddr, name: &str, room: &str) -> Client {
    // A Service leads to its servers some moments after they are ready.
    let connect = async || Ok(Client::connect(address, Transport::Tcp).await.ok());
    let client = eventually("way through the Service", SOON, connect).await.unwrap();
    ask(&client, "join", json!({ "name": name, "room": room })).await;
    let (route, members) = client.next_push().await.unwrap();
    assert_eq!(route, "onMembers");
    assert!(String::from_utf8_lossy(&members).contains(name));
    client
}

/// Ask the room for something: which server answered.
async fn ask(client: &Client, method: &str, body: Value) -> String {
    let reply = client.request(&format!("room.room.{method}"), body.to_string()).await.unwrap();
    reply.json::<Value>().unwrap()["server"].as_str().unwrap().to_owned()
}

/// The next message that it hears: who says what. Who comes and leaves it passes over.
async fn heard(client: &Client) -> [String; 2] {
    loop {
        let (route, body) = client.next_push().await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        if route == "onMessage" {
            return ["name", "content"].map(|key| body[key].as_str().unwrap().to_owned());
        }
    }
}

/// Three people talk in two rooms until so many servers have handled what they say; each hears its own room.
async fn play(address: SocketAddr, servers: usize) {
    let (ada, bob) = (join(address, "Ada", "hall").await, join(address, "Bob", "hall").await);
    let cleo = join(address, "Cleo", "garden").await;
    let mut answered = BTreeSet::new();
    let mut number = 0;
    let talk = async {
        while answered.len() < servers {
            number += 1;
            let content = number.to_string();
            answered.insert(ask(&ada, "message", json!({ "content": content })).await);
            answered.insert(ask(&cleo, "message", json!({ "content": format!("-{content}") })).await);
            assert_eq!(heard(&ada).await, ["Ada", &content]);
            assert_eq!(heard(&bob).await, ["Ada", &content]);
            assert_eq!(heard(&cleo).await, ["Cleo", &format!("-{content}")]);
        }
    };
    let all = tokio::time::timeout(SOON, talk).await;
    assert!(all.is_ok(), "only {answered:?} answered");
}

/// The pods, and how often each was started again.
async fn pods(namespace: &Namespace) -> BTreeMap<String, Value> {
    let pods = namespace.get("pods").await.unwrap();
    let pods = pods["items"].as_array().unwrap().iter();
    let restarts = |pod: &Value| pod["status"]["containerStatuses"][0]["restartCount"].clone();
    pods.map(|pod| (pod["metadata"]["name"].as_str().unwrap().to_owned(), restarts(pod))).collect()
}

async fn may(namespace: &Namespace, what: &str, place: &str) -> bool {
    let account = format!("--as=system:serviceaccount:{OPERATOR_NAMESPACE}:cereus-operator");
    let line = format!("kubectl auth can-i {what} --namespace {place} {account} || true");
    namespace.shell(Path::new("/"), &line).await.unwrap().trim() == "yes"
}

async fn uninstall(cluster: &Cluster) {
    cluster.helm(&["uninstall", "cereus", "--namespace", OPERATOR_NAMESPACE, "--wait"]).await.unwrap();
    cluster.kubectl(&["get", "deployment", "--namespace", OPERATOR_NAMESPACE, "cereus-operator"]).await.unwrap_err();
}

#[tokio::test]
async fn the_readme_leads_to_a_game_that_outlives_its_operator() {
    let cluster = cluster_alone().await;
    let namespace = cluster.namespace("readme").await.unwrap();
    let story = async {
        uninstall(&cluster).await;
        cluster.kubectl(&["label", "namespace", OPERATOR_NAMESPACE, STRICT]).await.unwrap();
        follow_the_readme(&namespace).await;
        let address = service(&namespace).await.tcp;
        play(address, 5).await;

        // The game does not notice that the operator goes.
        let before = pods(&namespace).await;
        assert_eq!(before.len(), 6);
        let (ada, bob) = (join(address, "Ada", "lobby").await, join(address, "Bob", "lobby").await);
        uninstall(&cluster).await;
        assert!(!may(&namespace, "list servertypes", namespace.name()).await);
        ask(&ada, "message", json!({ "content": "still here?" })).await;
        assert_eq!(heard(&bob).await, ["Ada", "still here?"]);
        let types = namespace.kubectl(&["get", "gst", "--output=name"]).await.unwrap();
        assert_eq!(types, "servertype.cereus.dev/connector\nservertype.cereus.dev/room\n");
        scale(&namespace, "room", 3).await;

        // Another takes over, without rights on the cluster, does what was asked meanwhile, and starts nothing again.
        install(&cluster, &["--set", &format!("namespaces={{{}}}", namespace.name())]).await.unwrap();
        assert!(may(&namespace, "list secrets", namespace.name()).await);
        assert!(!may(&namespace, "list secrets", "default").await);
        ready(&namespace, "room", 3).await;
        let left = async || {
            let now = pods(&namespace).await;
            Ok((now.len() == 4).then_some(now))
        };
        let after = eventually("scale-down", SOON, left).await.unwrap();
        assert!(after.iter().all(|(name, restarts)| before.get(name) == Some(restarts)), "{before:?}\n{after:?}");
        ask(&ada, "message", json!({ "content": "and now?" })).await;
        assert_eq!(heard(&bob).await, ["Ada", "and now?"]);
    };
    // Whatever came of it, the other tests need an operator.
    let result = AssertUnwindSafe(story).catch_unwind().await;
    install(&cluster, &[]).await.unwrap();
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

/// What the operator's page says is made for a server type, as kind and name.
fn told_objects(server_type: &str, is_frontend: bool) -> BTreeSet<[String; 2]> {
    let table = OPERATOR_README.split("| object | name | what for |").nth(1).unwrap();
    let mut objects = BTreeSet::new();
    for row in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        for kind in cells[0].split(", ").filter(|kind| *kind != "headless") {
            for name in cells[1].split(", ") {
                let for_clients = name == "`TYPE-clients`" || cells[2].contains("of frontends only");
                if is_frontend || !for_clients {
                    objects.insert([kind.to_owned(), name.trim_matches('`').replace("TYPE", server_type)]);
                }
            }
        }
    }
    assert!(objects.len() > 8, "{objects:?}");
    objects
}

/// All that there is in a namespace, of the kinds that are made for server types, but for what every namespace has.
async fn objects(namespace: &Namespace, kinds: &str) -> Vec<Value> {
    let mut objects = namespace.get(kinds).await.unwrap();
    let Value::Array(mut objects) = objects["items"].take() else { panic!("a list has items") };
    objects
        .retain(|object| object["metadata"]["name"] != "kube-root-ca.crt" && object["metadata"]["name"] != "default");
    objects
}

#[tokio::test]
async fn all_that_is_made_has_its_owner_and_goes_with_it() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("owners").await.unwrap();
    namespace.kubectl(&["label", "namespace", namespace.name(), STRICT]).await.unwrap();
    namespace.apply(game()).await.unwrap();
    namespace.condition("gst/room", "Ready", MINUTE).await.unwrap();
    namespace.condition("gst/connector", "Ready", MINUTE).await.unwrap();
    play(service(&namespace).await.tcp, 2).await;

    let told = [told_objects("connector", true), told_objects("room", false)];
    let kinds: BTreeSet<_> = told[0].iter().map(|[kind, _]| kind.as_str()).collect();
    let kinds = kinds.into_iter().collect::<Vec<_>>().join(",");
    let mut made = BTreeMap::<_, BTreeSet<_>>::new();
    for object in objects(&namespace, &kinds).await {
        let owners = object["metadata"]["ownerReferences"].as_array().unwrap();
        assert_eq!(owners.len(), 1, "{object}");
        assert_eq!((&owners[0]["kind"], &owners[0]["controller"]), (&json!("ServerType"), &json!(true)), "{object}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (kind, mut name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
        if kind == "ConfigMap" {
            name = format!("{}-FINGERPRINT", name.rsplit_once('-').unwrap().0);
        }
        made.entry(text(&owners[0]["name"])).or_default().insert([kind, name]);
    }
    assert_eq!(made.into_values().collect::<Vec<_>>(), told);

    namespace.kubectl(&["delete", "gst", "room"]).await.unwrap();
    let kinds = format!("{kinds},replicasets,pods,endpointslices");
    let left = async || {
        let objects = objects(&namespace, &kinds).await.into_iter();
        let names = objects.map(|object| format!("{} {}", object["kind"], object["metadata"]["name"]));
        names.filter(|name| !name.contains("connector")).collect::<Vec<_>>()
    };
    let gone = async || Ok(left().await.is_empty().then_some(()));
    let gone = eventually("end of all of room", COLLECTED, gone).await;
    assert!(gone.is_ok(), "left are {:?}", left().await);
    namespace.condition("gst/connector", "Ready", SOON).await.unwrap();
}
