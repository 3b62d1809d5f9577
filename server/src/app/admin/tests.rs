use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use tower::ServiceExt as _;

use super::{Admin, Guard, Phase, ServerStatus, Shared, Status, StatusSource, TopologyStatus, router};
use crate::{
    app::workers::{Ticks, Workers},
    topology::{Skipped, SourceStatus},
};

type Headers<'a> = &'a [(&'a str, &'a str)];

#[derive(Default)]
struct Example {
    ready: AtomicBool,
    draining: AtomicBool,
}

impl StatusSource for Example {
    fn status(&self) -> Status {
        let server_type = "room".to_owned();
        let id = "room-1".to_owned();
        Status {
            server: ServerStatus { id, server_type, incarnation: 7, frontend: false, version: "0".to_owned() },
            phase: if self.draining.load(Ordering::Relaxed) { Phase::Draining } else { Phase::Serving },
            uptime_seconds: 1,
            servers: [("room".to_owned(), 2)].into(),
            topology: TopologyStatus {
                source: Some(SourceStatus {
                    source: "directory",
                    place: "/t".to_owned(),
                    synced: true,
                    ..Default::default()
                }),
                skipped: Skipped { undecodable: 9, ..Skipped::default() },
            },
            sessions: 2,
            pins: 3,
            lanes: 4,
            pending_calls: 5,
            tasks: 6,
            channels: serde_json::Value::Null,
            links: vec![serde_json::json!({ "peer": "connector-1" })],
            queues: BTreeMap::from([("lane_jobs", 7)]),
            counters: BTreeMap::from([("requests".to_owned(), 8)]),
        }
    }

    fn readiness(&self) -> Result<(), String> {
        if self.ready.load(Ordering::Relaxed) { Ok(()) } else { Err("the topology is not synced".to_owned()) }
    }

    fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
}

struct Server {
    example: Arc<Example>,
    shared: Shared,
}

fn server(token: Option<&str>, loopback: bool) -> Server {
    let example = Arc::new(Example::default());
    let guard = Arc::new(Guard { token: token.map(str::to_owned), loopback });
    let shared = Shared { source: Arc::clone(&example) as _, ticks: Ticks::starting(2, Instant::now()), guard };
    Server { example, shared }
}

impl Server {
    async fn ask(&self, method: &str, path: &str, headers: Headers<'_>) -> (u16, String) {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = router(self.shared.clone()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }
}

#[tokio::test]
async fn readiness_says_why_not() {
    let server = server(None, true);
    assert_eq!(server.ask("GET", "/readyz", &[]).await, (503, "the topology is not synced\n".to_owned()));
    server.example.ready.store(true, Ordering::Relaxed);
    assert_eq!(server.ask("GET", "/readyz", &[]).await, (200, "ready\n".to_owned()));
}

#[tokio::test]
async fn liveness_fails_when_a_worker_is_silent_for_ten_seconds() {
    let mut server = server(None, true);
    assert_eq!(server.ask("GET", "/livez", &[]).await, (200, "alive\n".to_owned()));
    let long_ago = Instant::now().checked_sub(Duration::from_secs(12)).unwrap();
    server.shared.ticks = Ticks::starting(2, long_ago);
    server.shared.ticks.record(0, Instant::now());
    assert_eq!(server.ask("GET", "/livez", &[]).await, (503, "worker 1 has not ticked for 12 s\n".to_owned()));
}

#[tokio::test]
async fn status_is_json() {
    let (status, body) = server(None, true).ask("GET", "/status", &[]).await;
    assert_eq!(status, 200);
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    let expected = serde_json::json!({
        "server": { "id": "room-1", "type": "room", "incarnation": 7, "frontend": false, "version": "0" },
        "phase": "serving", "uptime_seconds": 1, "servers": { "room": 2 }, "sessions": 2, "pins": 3, "lanes": 4,
        "pending_calls": 5, "tasks": 6, "channels": null, "links": [{ "peer": "connector-1" }],
        "queues": { "lane_jobs": 7 }, "counters": { "requests": 8 },
        "topology": {
            "source": "directory", "place": "/t", "synced": true,
            "skipped": { "undecodable": 9, "no_link_port": 0, "no_address": 0, "no_target": 0, "server_types": 0 },
        },
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn only_those_who_may_drain_a_server() {
    let right = ("authorization", "Bearer secret");
    let wrong = ("authorization", "Bearer secreT");
    let page = ("origin", "http://example.com");
    let table: [(Option<&str>, bool, Headers<'_>, StatusCode); 8] = [
        (None, true, &[], StatusCode::ACCEPTED),
        (None, true, &[page], StatusCode::FORBIDDEN),
        (None, false, &[], StatusCode::FORBIDDEN),
        (Some("secret"), false, &[], StatusCode::UNAUTHORIZED),
        (Some("secret"), false, &[wrong], StatusCode::UNAUTHORIZED),
        (Some("secret"), false, &[right], StatusCode::ACCEPTED),
        (Some("secret"), true, &[], StatusCode::ACCEPTED),
        (Some("secret"), true, &[wrong], StatusCode::UNAUTHORIZED),
    ];
    for (token, loopback, headers, expected) in table {
        let server = server(token, loopback);
        let (status, _) = server.ask("POST", "/drain", headers).await;
        assert_eq!(status, expected.as_u16(), "{token:?} {loopback} {headers:?}");
        let accepted = expected == StatusCode::ACCEPTED;
        assert_eq!(server.example.draining.load(Ordering::Relaxed), accepted, "{token:?} {loopback} {headers:?}");
    }
    assert_eq!(server(None, true).ask("GET", "/drain", &[]).await.0, 405);
}

#[tokio::test]
async fn it_serves_on_its_port_until_it_is_stopped() {
    let workers = Workers::start(NonZeroUsize::MIN).unwrap();
    let admin = Admin::bind("127.0.0.1:0".parse().unwrap(), None).unwrap();
    let address = admin.address();
    let error = Admin::bind(address, None).unwrap_err().to_string();
    assert_eq!(error, format!("the admin port cannot listen on {address}"));
    let shutdown = tokio_util::sync::CancellationToken::new();
    let source: Arc<Example> = Arc::default();
    let client = async {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        shutdown.cancel();
        answer
    };
    let (served, answer) = tokio::join!(admin.serve(source, workers.ticks().clone(), shutdown.clone()), client);
    served.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("alive\n"), "{answer}");
}
