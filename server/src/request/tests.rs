use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use super::{App, Background, Cancelled, Context, Deadline, FromContext, Kind, Metadata, State};
use crate::{session::CloseReason, wire::Text};

fn context(route: &'static str) -> Context {
    let app = App::builder("server-1", "connector").build();
    Context::new(&app, Kind::Request, Text::from(route), 1, Instant::now() + Duration::from_secs(10))
}

#[test]
fn a_route_has_a_service_and_a_method() {
    for (route, service_method, service, method) in [
        ("connector.room.join", "room.join", "room", "join"),
        ("room.join", "room.join", "room", "join"),
        ("join", "join", "", "join"),
    ] {
        let context = context(route);
        assert_eq!((context.service_method(), context.service(), context.method()), (service_method, service, method));
    }
}

#[test]
fn a_worker_sees_its_own_values_before_the_shared_ones() {
    let app = App::builder("server-1", "connector").state(1_u32).state("all").build();
    let (first, second) = (app.on_worker(), app.on_worker());
    first.provide(Arc::new(2_u32));
    app.provide(Arc::new(3_u64));
    assert_eq!(first.get::<u32>().as_deref(), Some(&2));
    assert_eq!(second.get::<u32>().as_deref(), Some(&1));
    assert_eq!(first.get::<&str>().as_deref(), Some(&"all"));
    assert_eq!(second.get::<u64>().as_deref(), Some(&3));
    assert!(app.get::<String>().is_none());
}

#[test]
fn background_work_runs_beside_its_caller() {
    let beside = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let tracker = tokio_util::task::TaskTracker::new();
    let app = App::builder("server-1", "connector").build();
    app.provide(Arc::new(Background::new(beside.handle().clone(), tracker.clone())));
    let (told, mut done) = tokio::sync::oneshot::channel();
    app.on_worker().background(async move { told.send(7).unwrap() });
    tracker.close();
    assert_eq!((tracker.len(), done.try_recv().is_err()), (1, true), "the other runtime has not run yet");
    beside.block_on(tracker.wait());
    assert_eq!(done.try_recv(), Ok(7));
}

#[tokio::test]
async fn background_work_without_a_server_runs_where_it_is_called() {
    let (told, done) = tokio::sync::oneshot::channel();
    App::builder("server-1", "connector").build().background(async move { told.send(7).unwrap() });
    assert_eq!(done.await.unwrap(), 7);
}

#[test]
fn a_token_is_made_when_it_is_asked_for_and_shared_by_clones() {
    let mut context = context("room.join");
    assert!(context.requested_cancellation().is_none());
    Deadline::from_context(&mut context).unwrap();
    Bytes::from_context(&mut context).unwrap();
    assert!(context.requested_cancellation().is_none());
    let clone = Context::from_context(&mut context).unwrap();
    let Cancelled(token) = Cancelled::from_context(&mut context).unwrap();
    context.requested_cancellation().unwrap().cancel();
    assert!(token.is_cancelled() && clone.cancellation().is_cancelled());
}

#[test]
fn the_end_of_a_session_has_a_reason_and_a_token_of_its_own() {
    let mut context = context("room.join");
    context.cancellation().cancel();
    assert!(CloseReason::from_context(&mut context).is_err());
    let mut closed = context.closed(CloseReason::Kicked, context.deadline);
    assert_eq!(CloseReason::from_context(&mut closed).unwrap(), CloseReason::Kicked);
    assert_eq!(closed.kind, Kind::Disconnect);
    assert!(!closed.cancellation().is_cancelled());
}

#[test]
fn metadata_is_found_by_its_key() {
    let metadata = Metadata::from([("peer.id".to_owned(), "server-2".into())]);
    let context = context("room.join").with_metadata(metadata);
    assert_eq!(context.metadata("peer.id").and_then(|value| value.as_str()), Some("server-2"));
    assert!(context.metadata("other").is_none());
}

#[test]
fn a_context_in_a_log_says_nothing_of_the_payload() {
    let context = context("room.join").with_body(Bytes::from_static(b"secret"));
    let text = format!("{context:?}");
    assert!(text.contains("room.join") && !text.contains("secret"), "{text}");
}

#[test]
fn state_is_read_like_the_value_it_holds() {
    let state = State(Arc::new(String::from("shared")));
    assert_eq!(state.clone().len(), 6);
}
