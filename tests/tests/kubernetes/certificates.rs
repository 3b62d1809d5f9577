//! Servers follow the cluster's authority while they run.

use std::net::IpAddr;

use cereus_crds::names;
use cereus_tests::{
    client::{Client, Transport},
    kubernetes::Namespace,
    process::eventually,
};
use serde_json::{Value, json};

use crate::{
    MINUTE, OPERATOR_NAMESPACE, SERVER_IMAGE, SOON, cluster,
    servers::{manifest, pods, ready},
};

/// What a server says when it has read its files again.
const TAKEN: &str = "certificates are taken anew";

/// The certificate that servers of a type are to show.
async fn certificate(namespace: &Namespace, server_type: &str) -> Value {
    let secret = namespace.get(&format!("secret/{}", names::certificates(server_type))).await.unwrap();
    secret["data"]["tls.crt"].clone()
}

/// The names of the servers of a type.
async fn servers(namespace: &Namespace, server_type: &str) -> Vec<String> {
    pods(namespace, server_type).await.into_iter().map(|pod| pod.name).collect()
}

#[tokio::test]
async fn a_new_authority_reaches_servers_that_go_on_running() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("certificates").await.unwrap();
    let object = |name: &str, more: Value| {
        let mut spec = json!({ "image": SERVER_IMAGE, "drain": { "linger": "0s", "deadline": "1s" } });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        manifest(name, &spec)
    };
    let acceptors = json!([{ "name": "tcp", "protocol": "TCP", "port": 3250 }]);
    let types = [object("room", json!({})), object("connector", json!({ "frontend": { "acceptors": acceptors } }))];
    namespace.apply(&types.join("\n---\n")).await.unwrap();
    for server_type in ["gst/room", "gst/connector"] {
        namespace.condition(server_type, "Ready", MINUTE).await.unwrap();
    }
    let [rooms, connectors] = [servers(&namespace, "room").await, servers(&namespace, "connector").await];
    let address: IpAddr = namespace.pod_address(&connectors[0]).await.unwrap();
    let client = Client::connect((address, 3250).into(), Transport::Tcp).await.unwrap();
    let hello = || async {
        let reply = client.request("room.room.hello", r#"{"name":"Ada"}"#).await?;
        Ok(reply.ok().is_ok().then_some(()))
    };
    eventually("answer of the room", SOON, hello).await.unwrap();

    let before = [certificate(&namespace, "room").await, certificate(&namespace, "connector").await];
    let authority = format!("authority-{}", namespace.name());
    cluster.kubectl(&["--namespace", OPERATOR_NAMESPACE, "delete", "secret", &authority]).await.unwrap();
    for (server_type, before) in ["room", "connector"].into_iter().zip(&before) {
        let renewed = || async { Ok((certificate(&namespace, server_type).await != *before).then_some(())) };
        eventually("new certificate", SOON, renewed).await.unwrap();
    }
    for server in rooms.iter().chain(&connectors) {
        let taken = || async {
            // The node looks at the Secrets of a pod about once in a minute, and when something about the pod changes.
            let now = format!("looked={:?}", std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_millis());
            namespace.kubectl(&["annotate", "pod", server, "--overwrite", &now]).await?;
            Ok(namespace.logs(server).await?.contains(TAKEN).then_some(()))
        };
        eventually(TAKEN, MINUTE, taken).await.unwrap();
    }
    // The same servers, and the link between them stands.
    assert_eq!(
        (servers(&namespace, "room").await, servers(&namespace, "connector").await),
        (rooms.clone(), connectors)
    );
    assert!(hello().await.unwrap().is_some());
    // A server that comes now has nothing from before.
    namespace.kubectl(&["delete", "pod", &rooms[0]]).await.unwrap();
    ready(&namespace, "room", 1).await;
    eventually("answer of the new room", SOON, hello).await.unwrap();
    let now = servers(&namespace, "room").await;
    assert!(now.iter().all(|server| *server != rooms[0]), "{now:?}");
}
