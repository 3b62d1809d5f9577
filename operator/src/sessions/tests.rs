use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::get};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{ByType, Counts, OFTEN, SELDOM, Survey};

fn pod(uid: &str, address: &str) -> Arc<Pod> {
    let status = json!({
        "podIP": address,
        "conditions": [{ "type": "Ready", "status": "True" }],
        "containerStatuses": [{
            "name": "server", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": { "running": {} },
        }],
    });
    Arc::new(serde_json::from_value(json!({ "metadata": { "name": uid, "uid": uid }, "status": status })).unwrap())
}

/// The same server before it takes messages.
fn unready(pod: &Arc<Pod>) -> Arc<Pod> {
    let mut pod = pod.as_ref().clone();
    pod.status.as_mut().unwrap().conditions = None;
    Arc::new(pod)
}

/// The same server after its container ended; Kubernetes may not have seen that it takes no messages.
fn ended(pod: &Arc<Pod>) -> Arc<Pod> {
    let mut pod = pod.as_ref().clone();
    let state = json!({ "terminated": { "exitCode": 137 } });
    let status = &mut pod.status.as_mut().unwrap().container_statuses.as_mut().unwrap()[0];
    status.state = serde_json::from_value(state).unwrap();
    Arc::new(pod)
}

/// A server that counts how often it is asked, on 127.0.0.1.
async fn server(links: Value) -> (u16, Arc<AtomicU64>) {
    server_that_hangs_after(u64::MAX, links).await
}

/// The same, which answers so many times.
async fn server_that_hangs_after(answers: u64, links: Value) -> (u16, Arc<AtomicU64>) {
    let asked = Arc::new(AtomicU64::new(0));
    let counter = asked.clone();
    let status = move || async move {
        let asked = counter.fetch_add(1, Ordering::Relaxed);
        if asked >= answers {
            std::future::pending::<()>().await;
        }
        axum::Json(json!({ "phase": "serving", "sessions": 40 + asked, "pins": 2, "links": links }))
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let app = Router::new().route("/status", get(status));
    tokio_util::task::TaskTracker::new().spawn(async move { axum::serve(listener, app).await });
    (port, asked)
}

#[tokio::test]
async fn sessions_and_pins_are_counted_of_those_that_answer() {
    let (port, _) = server(json!([])).await;
    let survey = Survey::new(port);
    // Nobody listens at the second address; the third pod has no address yet.
    let mut starting = (*pod("c", "127.0.0.1")).clone();
    starting.status.as_mut().unwrap().pod_ip = None;
    let pods = [pod("a", "127.0.0.1"), pod("b", "127.0.0.2"), Arc::new(starting)];
    let counts = survey.counts("game/room", &pods, OFTEN).await;
    assert_eq!((&counts.held, counts.complete), (&Counts::of(&[("a", 42)]).held, false));
    assert_eq!(counts.total(&pods), Some(42));
    assert_eq!(counts.total(&pods[1..]), None);
}

#[tokio::test]
async fn a_server_that_does_not_answer_any_more_counts_with_what_it_said_last_until_it_ends() {
    let (port, asked) = server_that_hangs_after(1, json!([{ "server": "x", "sessions": 3 }])).await;
    let survey = Survey::new(port);
    let pods = [pod("a", "127.0.0.1")];
    let first = survey.counts("game/room", &pods, OFTEN).await;
    assert_eq!(first, Counts { next: first.next, ..Counts::of(&[("a", 42)]) });
    let second = survey.counts("game/room", &pods, Duration::ZERO).await;
    assert_eq!((second.held, second.complete, asked.load(Ordering::Relaxed)), (first.held, false, 2));
    // What a frontend keeps to servers that cannot be asked stays known just so.
    let frontends = ByType::from([("game/room".to_owned(), pods.to_vec())]);
    let kept = survey.kept(&frontends, &[pod("x", "127.0.0.3")], SELDOM).await;
    assert_eq!((kept.held, kept.complete), (Counts::of(&[("x", 3)]).held, false));
    // Its pod stays, and what it held has gone.
    let gone = survey.counts("game/room", &[ended(&pods[0])], SELDOM).await;
    assert_eq!(gone.total(&pods), None);
    survey.counts("game/room", &pods, SELDOM).await;
    assert_eq!(asked.load(Ordering::Relaxed), 3, "it was asked at once when it took messages again");
}

#[tokio::test]
async fn a_server_is_asked_no_more_often_than_something_depends_on_it() {
    let (port, asked) = server(json!([])).await;
    let survey = Survey::new(port);
    let pods = [pod("a", "127.0.0.1")];
    for _ in 0..5 {
        survey.counts("game/room", &pods, OFTEN).await;
        let counts = survey.counts("game/room", &pods, SELDOM).await;
        assert!(counts.next > SELDOM / 2, "{counts:?}");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    let counts = survey.counts("game/room", &pods, Duration::ZERO).await;
    assert_eq!(counts.of_pod(&pods[0]), Some(43));
    survey.forget("game/room");
    survey.counts("game/room", &pods, SELDOM).await;
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_server_is_asked_at_once_when_it_begins_to_take_messages_and_no_other_with_it() {
    let (port, asked) = server(json!([])).await;
    let survey = Survey::new(port);
    let counts = async |pods: &[Arc<Pod>], expected: &[(&str, u64)], times: u64| {
        let counts = survey.counts("game/room", pods, SELDOM).await;
        assert_eq!((counts.held, asked.load(Ordering::Relaxed)), (Counts::of(expected).held, times));
    };
    let (old, new) = (pod("old", "127.0.0.1"), pod("new", "127.0.0.1"));
    counts(std::slice::from_ref(&old), &[("old", 42)], 1).await;
    counts(&[old.clone(), unready(&new)], &[("old", 42)], 1).await;
    counts(&[old.clone(), new.clone()], &[("old", 42), ("new", 43)], 2).await;
    // That it was away for a moment is no reason to ask again.
    counts(&[old.clone(), unready(&new)], &[("old", 42), ("new", 43)], 2).await;
    counts(&[old, new.clone()], &[("old", 42), ("new", 43)], 2).await;
    counts(&[new], &[("new", 43)], 2).await;
}

#[tokio::test]
async fn what_a_server_in_another_language_holds_is_what_all_frontends_keep_to_it() {
    let link = |server: &str, sessions: u64| json!({ "server": server, "direction": "opened", "sessions": sessions });
    let (port, asked) = server(json!([link("x", 3), link("x", 4), link("other", 9), { "server": "y" }])).await;
    let survey = Survey::new(port);
    let of = |pods: &[Arc<Pod>]| ByType::from([("game/connector".to_owned(), pods.to_vec())]);
    let frontend = pod("a", "127.0.0.1");
    let pods = [pod("x", "127.0.0.3"), pod("y", "127.0.0.3")];
    let counts = survey.kept(&of(std::slice::from_ref(&frontend)), &pods, SELDOM).await;
    assert_eq!(counts.held, Counts::of(&[("x", 7), ("y", 0)]).held);
    // The answer is the one that the frontend's own type has.
    survey.counts("game/connector", std::slice::from_ref(&frontend), SELDOM).await;
    assert_eq!(asked.load(Ordering::Relaxed), 1);

    // One that takes clients and does not answer may hold any number; one that does not take clients yet holds none.
    let silent = pod("b", "127.0.0.2");
    let counts = survey.kept(&of(&[frontend.clone(), silent.clone()]), &pods, SELDOM).await;
    assert_eq!(counts.total(&pods), None);
    let counts = survey.kept(&of(&[frontend, unready(&silent)]), &pods, SELDOM).await;
    assert_eq!(counts.total(&pods), Some(7));
    assert_eq!(survey.kept(&ByType::new(), &pods, SELDOM).await, Counts::unknown());
}
