//! What servers hold is known soon, also of those in another language.

use cereus_tests::{
    client::{Client, Transport},
    conformance::trial,
    kubernetes::Namespace,
    process::eventually,
};
use serde_json::{Value, json};

use crate::{
    MINUTE, SERVER_IMAGE, SOON, cluster,
    servers::{self, manifest},
};

/// The port of frontends.
const PORT: u16 = 3250;

fn frontend() -> String {
    let acceptors = json!([{ "name": "tcp", "protocol": "TCP", "port": PORT }]);
    let drain = json!({ "linger": "0s", "deadline": "1s" });
    manifest("connector", &json!({ "image": SERVER_IMAGE, "drain": drain, "frontend": { "acceptors": acceptors } }))
}

/// Wait until it is known how many sessions the servers of a type hold, and that they are so many.
async fn hold(namespace: &Namespace, server_type: &str, sessions: u64) -> Value {
    let known = |object: &Value| {
        let is_it = object["metadata"]["name"] == server_type && object["status"]["sessions"] == sessions;
        is_it.then(|| object["status"].clone())
    };
    namespace.watch("servertypes", SOON, known).await.unwrap()
}

/// Otherwise they are asked once in a minute.
#[tokio::test]
async fn a_server_is_asked_as_soon_as_it_takes_messages() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("counts").await.unwrap();
    namespace.apply(&manifest("room", &json!({ "image": SERVER_IMAGE }))).await.unwrap();
    hold(&namespace, "room", 0).await;
    namespace.apply(&frontend()).await.unwrap();
    hold(&namespace, "connector", 0).await;
}

/// The servers have no admin port, and a frontend that gives them sessions for good.
#[tokio::test]
async fn autoscaling_follows_the_sessions_of_servers_in_another_language() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("counts-pitaya").await.unwrap();
    let image = servers::image(&cluster).await;
    // It stands for a server in another language with what it says on its link port. It looks for no others.
    let env = json!([{ "name": "CEREUS__TOPOLOGY", "value": "{directory: /tmp}" }]);
    let ranking = json!({
        "image": image, "protocol": "pitaya", "routing": { "policy": "sticky" }, "template": { "env": env },
        "drain": { "linger": "0s", "deadline": "1s" },
        "autoscaling": { "minReplicas": 1, "maxReplicas": 3, "sessionsPerReplica": 2 },
    });
    namespace.apply(&[frontend(), manifest("ranking", &ranking)].join("\n---\n")).await.unwrap();
    namespace.condition("gst/connector", "Ready", MINUTE).await.unwrap();
    namespace.condition("gst/ranking", "Ready", MINUTE).await.unwrap();
    hold(&namespace, "ranking", 0).await;

    let address = servers::pods(&namespace, "connector").await[0].addresses().tcp;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let client = Client::connect(address, Transport::Tcp).await.unwrap();
        let ask = || async {
            let reply = client.request(&trial::route("ranking", trial::SERVER), "").await?;
            Ok(reply.ok().is_ok().then_some(()))
        };
        eventually("answer of a server in another language", SOON, ask).await.unwrap();
        clients.push(client);
    }
    let status = hold(&namespace, "ranking", 3).await;
    assert_eq!(status["desiredReplicas"], 2, "{status}");
    servers::ready(&namespace, "ranking", 2).await;
    clients.pop();
    hold(&namespace, "ranking", 2).await;
}
