//! Where a server knows the others from: a cluster's API, or nowhere.

use std::{net::SocketAddr, time::Duration};

use cereus_tests::{
    cluster::http,
    process::{Process, Program, START_TIMEOUT, binary, eventually, free_address},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

const ROOM: &str = "5f0c7a52-0000-4000-8000-000000000001";

/// An API server whose objects never change.
async fn serve_api(listener: TcpListener) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve_connection(BufReader::new(stream)));
    }
}

async fn serve_connection(mut stream: BufReader<TcpStream>) {
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let path = head.split(' ').nth(1).unwrap();
        let items = match path.split('?').next().unwrap() {
            "/apis/discovery.k8s.io/v1/namespaces/arena/endpointslices" => json!([{
                "metadata": { "name": "room-1", "labels": { "cereus.dev/server-type": "room" } },
                "addressType": "IPv4", "ports": [{ "name": "link", "port": 3260 }],
                "endpoints": [{ "addresses": ["10.0.0.1"], "targetRef": { "kind": "Pod", "uid": ROOM } }],
            }]),
            "/apis/cereus.dev/v1alpha1/namespaces/arena/servertypes" => json!([]),
            other => panic!("{other} was asked for"),
        };
        let answer = if path.contains("watch=true") {
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned()
        } else {
            let body = json!({ "metadata": { "resourceVersion": "7" }, "items": items }).to_string();
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        };
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

/// A frontend.
struct Frontend {
    process: Process,
    admin: SocketAddr,
    _folder: TempDir,
}

impl Frontend {
    /// Starts one with these settings, and a kubeconfig that names an API server.
    fn start(api: SocketAddr, settings: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let kubeconfig = folder.path().join("kubeconfig.yaml");
        let content = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{ "name": "test", "cluster": { "server": format!("http://{api}") } }],
            "users": [{ "name": "test", "user": {} }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test", "namespace": "arena" } }],
        });
        std::fs::write(&kubeconfig, content.to_string()).unwrap();
        let admin = free_address().unwrap();
        let mut arguments = vec!["serve".to_owned(), "--type=connector".to_owned(), format!("--admin={admin}")];
        arguments.extend(["--tcp=127.0.0.1:0", "--link=127.0.0.1:0", "--set=drain.linger=0s"].map(str::to_owned));
        arguments.extend(settings.iter().map(|setting| format!("--set={setting}")));
        let program = Program {
            name: "connector".to_owned(),
            path: binary("cereus").unwrap(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            environment: vec![("KUBECONFIG".into(), kubeconfig.into())],
        };
        Self { process: Process::start(&program).unwrap(), admin, _folder: folder }
    }

    /// What it answers to `path` when `is_it` says that this is it.
    async fn answers(&self, path: &str, is_it: impl Fn(u16, &str) -> bool) -> String {
        let ask = || async {
            let (code, body) = http::get(self.admin, path, START_TIMEOUT).await?;
            anyhow::Ok(is_it(code, &body).then_some(body))
        };
        eventually("right answer", START_TIMEOUT, ask).await.unwrap()
    }

    async fn stop(mut self) {
        let status = self.process.terminate(Duration::from_secs(10)).await.unwrap();
        assert!(status.success(), "{status}: {}", self.process.said());
    }
}

fn topology(status: &str) -> Value {
    serde_json::from_str::<Value>(status).unwrap()["topology"].clone()
}

#[tokio::test]
async fn a_server_is_ready_when_the_cluster_has_told_it_of_the_others() {
    let api = free_address().unwrap();
    let frontend = Frontend::start(api, &["topology.kubernetes=true"]);
    let status = frontend.answers("/status", |_, body| body.contains("Connection refused")).await;
    assert_eq!(topology(&status)["synced"], false);
    frontend.answers("/readyz", |code, body| (code, body) == (503, "starting\n")).await;

    let mut cluster = JoinSet::new();
    cluster.spawn(serve_api(TcpListener::bind(api).await.unwrap()));
    frontend.answers("/readyz", |code, _| code == 200).await;
    let status = frontend.answers("/status", |_, body| !body.contains("trouble")).await;
    let told = topology(&status);
    assert_eq!(
        (&told["source"], &told["place"], &told["synced"]),
        (&json!("kubernetes"), &json!("arena"), &json!(true))
    );
    assert_eq!(serde_json::from_str::<Value>(&status).unwrap()["servers"], json!({ "room": 1 }));
    assert!(frontend.process.said().contains("the server waits for its first view"));
    // The cluster goes, and what is known of it stays.
    cluster.shutdown().await;
    let status = frontend.answers("/status", |_, body| body.contains("trouble")).await;
    assert_eq!(serde_json::from_str::<Value>(&status).unwrap()["servers"], json!({ "room": 1 }));
    frontend.answers("/readyz", |code, _| code == 200).await;
    frontend.stop().await;
}

#[tokio::test]
async fn a_server_that_waits_for_its_cluster_ends_when_it_is_asked_to() {
    let frontend = Frontend::start(free_address().unwrap(), &["topology.kubernetes=true"]);
    frontend.answers("/readyz", |code, body| (code, body) == (503, "starting\n")).await;
    frontend.stop().await;
}

#[tokio::test]
async fn a_server_on_its_own_says_how_to_run_a_game() {
    let frontend = Frontend::start(free_address().unwrap(), &["topology.kubernetes=false"]);
    frontend.answers("/readyz", |code, _| code == 200).await;
    let said = frontend.process.said();
    let line = said.lines().find(|line| line.contains("knows no other")).unwrap_or_else(|| panic!("{said}"));
    assert!(line.contains("--topology") && line.contains("cereus dev"), "{line}");
    frontend.stop().await;
}
