//! `App::rpc` and `App::rpc_to`, against servers that answer as the test says.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::forward::UserCalls;
use crate::forward::testing::{Far, Near, quiet, spawner};
use crate::handler::Json;
use crate::request::App;
use crate::rpc::proto;
use crate::rpc::tests::support::Network;
use crate::wire::Error;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Two servers of the type `room`, and the handle of a server of the type `front` that calls them.
async fn start() -> (Network, [Far; 2], App) {
    let network = Network::default();
    let fars = [Far::start(&network, "a", 1), Far::start(&network, "b", 2)];
    let near = Near::start(&network, &[&fars[0], &fars[1]]);
    let app = App::builder("near", "front").build().on_worker();
    app.provide(Arc::new(UserCalls::new(near.router.clone(), TIMEOUT)));
    near.router.server_type("room").unwrap();
    quiet().await;
    (network, fars, app)
}

fn call(app: &App, route: &'static str) -> JoinHandle<Result<Bytes, Error>> {
    let app = app.clone();
    spawner().spawn(async move { app.rpc(route, Bytes::from_static(b"x")).await })
}

fn call_to(app: &App, server: &'static str) -> JoinHandle<Result<Bytes, Error>> {
    let app = app.clone();
    spawner().spawn(async move { app.rpc_to(server, "room.test.load", Bytes::from_static(b"x")).await })
}

/// The server that has the call.
fn busy(fars: &[Far; 2]) -> &Far {
    fars.iter().find(|far| !far.taken().is_empty()).expect("a server was called")
}

#[track_caller]
fn check(result: Result<Bytes, Error>, code: &str, metadata: &[(&str, &str)]) {
    let error = result.unwrap_err();
    let found: Vec<_> = error.metadata().iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!((error.code(), &*found), (code, metadata), "{}", error.message());
}

#[tokio::test(start_paused = true)]
async fn an_answer_comes_back_and_the_call_has_no_session() {
    let (_network, fars, app) = start().await;
    let called = call(&app, "room.test.load");
    quiet().await;
    let request = busy(&fars).first();
    assert_eq!(
        (request.kind(), &*request.route, request.session),
        (proto::RequestKind::User, &b"room.test.load"[..], None)
    );
    assert!(request.timeout_micros <= 10_000_000 && request.timeout_micros > 9_900_000, "{}", request.timeout_micros);
    assert!(busy(&fars).answer());
    assert_eq!(called.await.unwrap().unwrap(), "x");
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_is_not_understood_blames_the_server_and_not_the_client() {
    let (_network, fars, app) = start().await;
    let called = spawner().spawn(async move { app.rpc_to::<_, Json<u32>>("a", "room.test.load", Json("text")).await });
    quiet().await;
    assert!(fars[0].answer());
    let error = called.await.unwrap().map(|_| Bytes::new());
    assert_eq!(error.as_ref().unwrap_err().message(), "the reply of `room.test.load` was not understood");
    assert!(std::error::Error::source(error.as_ref().unwrap_err()).is_some());
    check(error, "PIT-500", &[("route", "room.test.load"), ("server", "a")]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_answers_ends_in_time_and_is_cancelled() {
    let (_network, fars, app) = start().await;
    let start = Instant::now();
    let called = call_to(&app, "a");
    quiet().await;
    check(called.await.unwrap(), "PIT-408", &[("route", "room.test.load"), ("server", "a")]);
    assert!(start.elapsed() < TIMEOUT + Duration::from_millis(5), "{:?}", start.elapsed());
    quiet().await;
    assert_eq!(fars[0].cancelled(), [fars[0].first().id]);
}

#[tokio::test(start_paused = true)]
async fn a_call_takes_no_longer_than_the_request_that_made_it() {
    let (_network, _fars, app) = start().await;
    let start = Instant::now();
    let called = call(&app.until(start + Duration::from_secs(2)), "room.test.load");
    let error = called.await.unwrap().unwrap_err();
    assert_eq!((error.code(), start.elapsed().as_secs()), ("PIT-408", 2));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_waits_for_is_cancelled() {
    let (_network, fars, app) = start().await;
    let called = call(&app, "room.test.load");
    quiet().await;
    called.abort();
    quiet().await;
    assert_eq!(busy(&fars).cancelled(), [busy(&fars).first().id]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_not_executed_is_made_once_more() {
    let (_network, fars, app) = start().await;
    let called = call(&app, "room.test.load");
    quiet().await;
    assert!(busy(&fars).refuse());
    quiet().await;
    assert!(busy(&fars).answer());
    assert_eq!(called.await.unwrap().unwrap(), "x");

    let called = call(&app, "room.test.load");
    for _ in 0..2 {
        quiet().await;
        assert!(busy(&fars).refuse());
    }
    let error = called.await.unwrap().unwrap_err();
    assert_eq!(error.code(), "PIT-503");
    assert_eq!(error.metadata().get("route").map(String::as_str), Some("room.test.load"));
}

#[tokio::test(start_paused = true)]
async fn a_call_to_one_server_is_made_once() {
    let (_network, fars, app) = start().await;
    let called = call_to(&app, "b");
    quiet().await;
    assert!(fars[1].refuse());
    check(called.await.unwrap(), "PIT-503", &[("route", "room.test.load"), ("server", "b")]);
    assert_eq!((fars[0].taken(), fars[1].taken()), (vec![], vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_link_is_lost_is_not_made_again() {
    let (network, fars, app) = start().await;
    let called = call_to(&app, "a");
    quiet().await;
    network.cut();
    check(called.await.unwrap(), "PIT-502", &[("route", "room.test.load"), ("server", "a")]);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!((fars[0].taken().len(), fars[1].taken().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn calls_that_cannot_be_made_say_why() {
    let (_network, _fars, app) = start().await;
    check(call(&app, "").await.unwrap(), "PIT-400", &[]);
    check(call(&app, "test.load").await.unwrap(), "PIT-400", &[]);
    check(call(&app, "nowhere.test.load").await.unwrap(), "PIT-500", &[("type", "nowhere")]);
    check(call_to(&app, "nobody").await.unwrap(), "PIT-500", &[("server", "nobody")]);
    let own = call(&app, "front.test.load").await.unwrap().unwrap_err();
    let text = "you are making a rpc that may be processed locally, either specify a different server type or specify a \
                server id";
    assert_eq!((own.code(), own.message()), ("PIT-000", text));
    let alone = App::builder("alone", "front").build();
    check(call(&alone, "room.test.load").await.unwrap(), "PIT-500", &[]);
}
