//! What an operator does when there is nothing to do.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use cereus_tests::kubernetes::Namespace;
use parking_lot::Mutex;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
    time::Instant,
};

use crate::{
    SOON, audit, cluster_alone,
    servers::{self, manifest},
};

/// ServerTypes, of which the first have a server and the others none.
const SERVER_TYPES: usize = 100;
const WITH_SERVER: usize = 4;
/// How long nothing may be written.
const STEADY: Duration = Duration::from_secs(62);
/// How long nothing was written when all is done, and how often that is looked for.
const QUIET: Duration = Duration::from_secs(3);
const TRIES: usize = 10;
/// Addresses of this machine that pods reach, for servers whose number of sessions nothing depends on, and does.
const IDLE: &str = "10.99.0.1:3270";
const SCALED: &str = "10.244.0.1:3270";
/// How often such servers may be asked, and what timers may be early.
const SELDOM: Duration = Duration::from_mins(1);
const OFTEN: Duration = Duration::from_secs(10);
const EARLY: Duration = Duration::from_millis(500);

/// Answers as a server does that is asked for its sessions: when it was asked.
async fn answer(address: &str, tasks: &mut JoinSet<()>) -> Arc<Mutex<Vec<Instant>>> {
    let listener = TcpListener::bind(address).await.unwrap();
    let asked = Arc::<Mutex<Vec<Instant>>>::default();
    let times = asked.clone();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            times.lock().push(Instant::now());
            let mut request = [0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"GET /status "), "{:?}", &request[..length]);
            let body = r#"{"sessions":3,"pins":0}"#;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all((head + body).as_bytes()).await.unwrap();
        }
    });
    asked
}

/// A pod of a server type that runs, as far as anybody can see, at an address of this machine.
async fn pod(namespace: &Namespace, server_type: &str, address: &str) {
    let ip = address.parse::<SocketAddr>().unwrap().ip();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": server_type, "labels": { "cereus.dev/replica-of": server_type } },
        "spec": { "schedulerName": "nobody", "containers": [{ "name": "server", "image": "cereus.test/none:1" }] },
    });
    namespace.apply(&pod.to_string()).await.unwrap();
    let status = json!({ "status": {
        "phase": "Running", "podIP": ip, "podIPs": [{ "ip": ip }],
        "conditions": [{ "type": "Ready", "status": "True" }, { "type": "ContainersReady", "status": "True" }],
        "containerStatuses": [{
            "name": "server", "image": "cereus.test/none:1", "imageID": "", "ready": true, "restartCount": 0,
            "state": { "running": { "startedAt": "2026-01-01T00:00:00Z" } },
        }],
    } });
    let patch = ["patch", "pod", server_type, "--subresource=status", "--type=merge", "--patch", &status.to_string()];
    namespace.kubectl(&patch).await.unwrap();
}

/// The number `number` of the ServerTypes; the last two are those with a pod.
fn server_type(number: usize, image: &str) -> String {
    let replicas = usize::from(number < WITH_SERVER);
    let mut spec = json!({ "image": image, "replicas": replicas, "config": { "server": { "workers": number + 1 } } });
    if number.is_multiple_of(4) {
        spec["frontend"] = json!({ "acceptors": [{ "name": "tcp", "protocol": "TCP", "port": 3250 }] });
    }
    let name = match SERVER_TYPES - number {
        1 => "idle".to_owned(),
        2 => {
            spec.as_object_mut().unwrap().remove("replicas");
            spec["autoscaling"] = json!({ "maxReplicas": 2, "sessionsPerReplica": 100 });
            "scaled".to_owned()
        }
        _ => format!("type-{number}"),
    };
    manifest(&name, &spec)
}

#[tokio::test]
async fn an_operator_with_nothing_to_do_writes_nothing_and_seldom_asks() {
    let cluster = cluster_alone().await;
    let namespace = cluster.namespace("steady").await.unwrap();
    let mut tasks = JoinSet::new();
    let (idle, scaled) = (answer(IDLE, &mut tasks).await, answer(SCALED, &mut tasks).await);
    pod(&namespace, "idle", IDLE).await;
    pod(&namespace, "scaled", SCALED).await;
    let image = servers::image(&cluster).await;
    let manifests: Vec<String> = (0..SERVER_TYPES).map(|number| server_type(number, image)).collect();
    namespace.apply(&manifests.join("\n---\n")).await.unwrap();
    for condition in ["Ready", "Progressing=false"] {
        let condition = format!("--for=condition={condition}");
        namespace.kubectl(&["wait", "gst", "--all", &condition, "--timeout=2m"]).await.unwrap();
    }
    for name in ["idle", "scaled"] {
        namespace.wait(&format!("gst/{name}"), "jsonpath={.status.sessions}=3", SOON).await.unwrap();
    }
    let changes = |since: usize| {
        let changes = audit::changes(&cluster, since).into_iter().filter(|change| !change.is_lease());
        changes.map(|change| change.what).collect::<Vec<_>>()
    };
    // The last event of the last ServerType may still be on its way.
    let mut steady = audit::end(&cluster);
    for tries in 1.. {
        tokio::time::sleep(QUIET).await;
        let late = changes(steady);
        if late.is_empty() {
            break;
        }
        assert!(tries < TRIES, "writes go on: {late:?}");
        steady = audit::end(&cluster);
    }

    tokio::time::sleep(STEADY).await;
    assert_eq!(changes(steady), <[String; 0]>::default());
    let gaps = |asked: &Mutex<Vec<Instant>>| -> Vec<Duration> {
        asked.lock().windows(2).map(|pair| pair[1].duration_since(pair[0])).collect()
    };
    for (asked, interval) in [(idle, SELDOM), (scaled, OFTEN)] {
        let gaps = gaps(&asked);
        assert!(!gaps.is_empty() && gaps.iter().all(|gap| *gap + EARLY > interval), "{interval:?}: {gaps:?}");
    }
}
