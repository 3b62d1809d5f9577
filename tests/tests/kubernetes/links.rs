//! Who gets to which port of a server, and who gets a link.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use cereus::topology::{DirectoryWriter, Server};
use cereus_crds::names::{self, ADMIN_PORT_NUMBER, LINK_PORT_NUMBER};
use cereus_tests::{
    certificates::Authority,
    client::{Client, Reply, Transport},
    cluster as processes,
    kubernetes::Namespace,
    pitaya::{Call, PitayaClient, Session},
    process::eventually,
    stranger,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    MINUTE, OPERATOR_NAMESPACE, SERVER_IMAGE, SOON, cluster,
    servers::{Pod, manifest, pods},
};

/// A room server, and the type of frontends without a server.
async fn apply(namespace: &Namespace) {
    let acceptors = json!([{ "name": "tcp", "protocol": "TCP", "port": 3250 }]);
    let connector = json!({ "image": SERVER_IMAGE, "replicas": 0, "frontend": { "acceptors": acceptors } });
    let types = [manifest("room", &json!({ "image": SERVER_IMAGE })), manifest("connector", &connector)];
    namespace.apply(&types.join("\n---\n")).await.unwrap();
    for name in ["gst/room", "gst/connector"] {
        namespace.condition(name, "Ready", MINUTE).await.unwrap();
    }
}

/// The test's network enforces no policies, so they are looked at.
#[tokio::test]
async fn policies_let_servers_to_links_anybody_to_acceptors_and_the_operator_to_the_admin_port() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("policies").await.unwrap();
    apply(&namespace).await;
    let policy = async |name: String| {
        let spec = namespace.get(&format!("networkpolicy/{name}")).await.unwrap()["spec"].take();
        assert_eq!(spec["policyTypes"], json!(["Ingress"]));
        (spec["podSelector"].clone(), spec["ingress"].clone())
    };
    let of = |server_type: &str| json!({ "matchLabels": { names::SERVER_LABEL: server_type } });
    let ports = |port: u16| json!([{ "port": port, "protocol": "TCP" }]);
    let servers = json!({ "matchExpressions": [{ "key": names::SERVER_LABEL, "operator": "Exists" }] });
    for server_type in ["room", "connector"] {
        let (selected, ingress) = policy(names::link_network_policy(server_type)).await;
        assert_eq!(selected, of(server_type));
        let [links, admin] = ingress.as_array().unwrap().as_slice() else { panic!("{ingress}") };
        // A selector of pods alone is for those of the same namespace.
        assert_eq!(*links, json!({ "from": [{ "podSelector": servers }], "ports": ports(LINK_PORT_NUMBER) }));
        assert_eq!(admin["ports"], ports(ADMIN_PORT_NUMBER));
        let [from] = admin["from"].as_array().unwrap().as_slice() else { panic!("{admin}") };
        let [allowed] = from["namespaceSelector"]["matchExpressions"].as_array().unwrap().as_slice() else {
            panic!("{from}")
        };
        assert_eq!((&allowed["key"], &allowed["operator"]), (&json!("kubernetes.io/metadata.name"), &json!("In")));
        assert_eq!((&allowed["values"], from.get("podSelector")), (&json!([OPERATOR_NAMESPACE]), None));
    }
    let (selected, ingress) = policy(names::client_network_policy("connector")).await;
    assert_eq!((selected, ingress), (of("connector"), json!([{ "ports": ports(3250) }])));

    // What is selected is there: the pods, and the label of the operator's namespace.
    let list = |selector: String| {
        let namespace = &namespace;
        async move { namespace.kubectl(&["get", "pods", "--output=name", "--selector", &selector]).await.unwrap() }
    };
    assert!(list(names::selector("room")).await.starts_with("pod/room-"));
    assert!(list(names::SERVER_LABEL.to_owned()).await.starts_with("pod/room-"));
    let operator = namespace.get(&format!("namespace/{OPERATOR_NAMESPACE}")).await.unwrap();
    assert_eq!(operator["metadata"]["labels"]["kubernetes.io/metadata.name"], OPERATOR_NAMESPACE);
}

/// The server of a room, as whoever reaches its pod sees it.
struct Room(Pod);

impl Room {
    async fn of(namespace: &Namespace) -> Room {
        let pods = pods(namespace, "room").await;
        let [pod] = pods.as_slice() else { panic!("one pod: {pods:?}") };
        Room(pod.clone())
    }

    fn link(&self) -> SocketAddr {
        (self.0.address, LINK_PORT_NUMBER).into()
    }

    /// What it says of itself.
    async fn status(&self) -> Value {
        self.0.status().await.unwrap()
    }

    /// How many peers it has refused for this reason.
    async fn refused(&self, reason: &str) -> u64 {
        self.status().await["counters"][format!("links_lost_{reason}")].as_u64().unwrap_or_default()
    }

    /// Wait until it has refused more: it counts when the peer knows already.
    async fn refused_more(&self, reason: &str, before: u64) {
        let more = || async { Ok((self.refused(reason).await > before).then_some(())) };
        eventually(reason, SOON, more).await.unwrap();
    }

    /// A frontend beside the cluster, with the certificates in `folder`, that calls this server; and a client of it.
    async fn caller(&self, folder: Option<&Path>) -> (processes::Cluster, Client) {
        let mut frontend = processes::Cluster::builder().frontend("connector");
        if let Some(folder) = folder {
            frontend = frontend.certificates(folder);
        }
        let frontend = frontend.start().await.unwrap();
        let room = Server {
            id: self.0.uid.as_str().into(),
            server_type: "room".into(),
            address: self.link(),
            zone: None,
            version: None,
            ready: true,
            serving: true,
            terminating: false,
        };
        DirectoryWriter::new(frontend.directory()).unwrap().write(&room).unwrap();
        let client = frontend.client(Transport::Tcp).await.unwrap();
        (frontend, client)
    }
}

/// Ask the room through a frontend.
async fn hello(client: &Client) -> anyhow::Result<Reply> {
    client.request("room.room.hello", r#"{"name":"Ada"}"#).await
}

#[tokio::test]
async fn only_who_has_a_certificate_of_the_cluster_gets_a_link() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("links").await.unwrap();
    apply(&namespace).await;
    let room = Room::of(&namespace).await;
    let folders = TempDir::new().unwrap();
    // The certificate that the operator gives to frontends.
    let secret = namespace.get(&format!("secret/{}", names::certificates("connector"))).await.unwrap();
    let own = folders.path().join("own");
    fs::create_dir_all(own.join("connector")).unwrap();
    for (name, text) in secret["data"].as_object().unwrap() {
        fs::write(own.join("connector").join(name), decode(text.as_str().unwrap())).unwrap();
    }
    // One with the same name, from an authority of its maker's own, who believes the cluster's as well.
    let strange = folders.path().join("strange");
    let name = format!("cereus://{}/connector", namespace.name());
    Authority::new().unwrap().fill(&strange.join("connector"), &name, &[]).unwrap();
    fs::remove_file(strange.join("connector/ca.crt")).unwrap();
    fs::copy(own.join("connector/ca.crt"), strange.join("connector/ca.crt")).unwrap();

    for (folder, reason) in [(Some(&strange), "bad_certificate"), (None, "no_certificate")] {
        let before = room.refused(reason).await;
        let (frontend, client) = room.caller(folder.map(PathBuf::as_path)).await;
        let tried = || async {
            // A request makes it try now.
            let answer = hello(&client).await?;
            assert!(answer.ok().is_err(), "{reason}: {answer:?}");
            Ok((room.refused(reason).await > before).then_some(()))
        };
        eventually(reason, SOON, tried).await.unwrap();
        let status = frontend.status("connector-1").await.unwrap();
        let links = status["links"].as_array().unwrap();
        assert!(links.iter().all(|link| link["standing"] != "live"), "{reason}: {links:?}");
    }
    // Who speaks TLS and shows none is told so.
    let before = room.refused("no_certificate").await;
    let told = stranger::knock(room.link()).await.unwrap_err();
    assert!(told.to_string().contains("CertificateRequired"), "{told:#}");
    room.refused_more("no_certificate", before).await;
    // Calls of single messages come on the same port, and the same holds for them.
    let before = room.refused("no_certificate").await;
    let call = async {
        let caller = PitayaClient::connect(room.link()).await?;
        anyhow::Ok(caller.call(Call::sys(Session { id: 7, ..Session::default() }, "a", "room.room.hello", "{}")).await?)
    };
    assert!(call.await.is_err());
    room.refused_more("no_certificate", before).await;
    assert_eq!(room.status().await["links"], json!([]));

    let (_frontend, client) = room.caller(Some(&own)).await;
    let answered = || async { hello(&client).await?.ok().map(Some).or(Ok(None)) };
    let answer = eventually("answer of the room", SOON, answered).await.unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("Ada"));
    let status = room.status().await;
    let links = status["links"].as_array().unwrap();
    assert!(links.iter().any(|link| link["server_type"] == "connector" && link["standing"] == "live"), "{links:?}");
}

/// What a Secret holds.
fn decode(text: &str) -> Vec<u8> {
    let bytes: k8s_openapi::ByteString = serde_json::from_value(json!(text)).unwrap();
    bytes.0
}
