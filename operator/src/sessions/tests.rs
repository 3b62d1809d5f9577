use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::get};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use tokio::net::TcpListener;

use super::{Counts, OFTEN, SELDOM, Survey};

fn pod(uid: &str, address: &str) -> Arc<Pod> {
    let status = json!({
        "podIP": address,
        "containerStatuses": [{
            "name": "server", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": { "running": {} },
        }],
    });
    Arc::new(serde_json::from_value(json!({ "metadata": { "name": uid, "uid": uid }, "status": status })).unwrap())
}

/// A server that counts how often it is asked, on 127.0.0.1.
async fn server() -> (u16, Arc<AtomicU64>) {
    let asked = Arc::new(AtomicU64::new(0));
    let counter = asked.clone();
    let status = move || async move {
        let asked = counter.fetch_add(1, Ordering::Relaxed);
        axum::Json(json!({ "phase": "serving", "sessions": 40 + asked, "pins": 2, "links": [] }))
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let app = Router::new().route("/status", get(status));
    tokio_util::task::TaskTracker::new().spawn(async move { axum::serve(listener, app).await });
    (port, asked)
}

#[tokio::test]
async fn sessions_and_pins_are_counted_of_those_that_answer() {
    let (port, _) = server().await;
    let survey = Survey::new(port);
    // Nobody listens at the second address; the third pod has no address yet.
    let mut starting = (*pod("c", "127.0.0.1")).clone();
    starting.status.as_mut().unwrap().pod_ip = None;
    let pods = [pod("a", "127.0.0.1"), pod("b", "127.0.0.2"), Arc::new(starting)];
    let counts = survey.counts("game/room", &pods, OFTEN).await;
    assert_eq!(counts, Counts::of(&[("a", 42)]));
    assert_eq!(counts.total(&pods), Some(42));
    assert_eq!(counts.total(&pods[1..]), None);
}

#[tokio::test]
async fn a_server_is_asked_no_more_often_than_something_depends_on_it() {
    let (port, asked) = server().await;
    let survey = Survey::new(port);
    let pods = [pod("a", "127.0.0.1")];
    for _ in 0..5 {
        survey.counts("game/room", &pods, OFTEN).await;
        survey.counts("game/room", &pods, SELDOM).await;
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    let counts = survey.counts("game/room", &pods, Duration::ZERO).await;
    assert_eq!(counts.of_pod(&pods[0]), Some(43));
    survey.forget("game/room");
    survey.counts("game/room", &pods, SELDOM).await;
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}
