//! A server that frontends call, and what its handlers do to the sessions there.

use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message as _;
use serde_json::Value;

use super::support::{Host, Options, notify, sys, user, with_session};
use crate::rpc::pitaya::testing::{Fake, Seen, data};
use crate::rpc::proto::pitaya as protos;

/// The frontend `front-1`, which acknowledges what it is asked, and a server that knows it.
async fn with_frontend() -> (Host, Fake) {
    let fake = Fake::start(|request| async move {
        let answer = protos::KickAnswer { kicked: true }.encode_to_vec();
        let acknowledged = protos::Response { data: Bytes::from_static(b"ack"), error: None }.encode_to_vec();
        match &*request.msg.unwrap().route {
            "sys.kick" => data(answer),
            _ => data(acknowledged),
        }
    });
    let servers = vec![fake.server("front-1", "front")];
    (Host::start(Options { servers, ..Options::default() }).await, fake)
}

#[tokio::test]
async fn a_request_is_answered_with_what_its_handler_gives() {
    let host = Host::start(Options::default()).await;
    assert_eq!(host.call(sys("echo", "body")).await, data("body").unwrap());
    assert_eq!(host.call(sys("own", "")).await, data("thing").unwrap(), "metadata reaches the handler");
    assert!(host.lanes.is_empty());
}

#[tokio::test]
async fn errors_travel_inside_of_answers() {
    let host = Host::start(Options::default()).await;
    let error = host.failure(sys("fail", "")).await;
    assert_eq!((&*error.code, &*error.msg, &*error.metadata["some"]), ("PIT-555", "somerror", "meta"));
    let error = host.failure(sys("missing", "")).await;
    assert_eq!((&*error.code, &*error.msg), ("PIT-404", "pitaya/handler: host.room.missing not found"));
    for (what, code, request) in [
        ("no message", "PIT-400", protos::Request { msg: None, ..sys("echo", "") }),
        ("no session", "PIT-400", protos::Request { session: None, ..sys("echo", "") }),
        ("no object", "PIT-400", protos::Request { metadata: Bytes::from_static(b"[]"), ..sys("echo", "") }),
        ("no known type", "PIT-400", protos::Request { r#type: 9, ..sys("echo", "") }),
        ("no route", "PIT-400", user("nothing", "")),
        ("a notify's handler", "PIT-400", sys("say", "")),
        ("a client's handler", "PIT-404", user("host.room.echo", "")),
        ("a built-in route of frontends", "PIT-404", user("sys.kick", "")),
    ] {
        assert_eq!(host.failure(request).await.code, code, "{what}");
    }
}

#[tokio::test]
async fn a_notify_is_answered_with_ack() {
    let host = Host::start(Options::default()).await;
    assert_eq!(host.call(notify("say", "x")).await, data("ack").unwrap());
    assert_eq!(host.call(notify("echo", "x")).await, data("ack").unwrap());
    assert_eq!(host.failure(notify("missing", "x")).await.code, "PIT-404");
}

#[tokio::test]
async fn a_call_from_server_to_server_runs_a_remote_handler() {
    let host = Host::start(Options::default()).await;
    assert_eq!(host.call(user("host.room.far", "argument")).await, data("argument").unwrap());
    assert_eq!(host.call(user("room.far_own", "")).await, data("thing").unwrap());
    let error = host.failure(user("host.room.missing", "")).await;
    assert_eq!((&*error.code, &*error.msg, &*error.metadata["route"]), ("PIT-404", "route not found", "room.missing"));
}

#[tokio::test]
async fn a_session_is_handled_one_message_at_a_time_and_others_beside_it() {
    let mut host = Host::start(Options::default()).await;
    let first = host.call_beside(sys("held", "first"));
    assert_eq!(host.begun().await, "first");
    let second = host.call_beside(sys("held", "second"));
    // The same number at another frontend is another session; its answer comes while the first one is held.
    let elsewhere = protos::Request { frontend_id: "front-2".to_owned(), ..sys("echo", "third") };
    assert_eq!(host.call(elsewhere).await, data("third").unwrap());
    assert!(host.started.try_recv().is_err(), "the second message has begun");
    host.gate.permits.add_permits(1);
    assert_eq!(first.await.unwrap(), data("first").unwrap());
    assert_eq!(host.begun().await, "second");
    host.gate.permits.add_permits(1);
    assert_eq!(second.await.unwrap(), data("second").unwrap());
    assert!(host.lanes.is_empty());
}

#[tokio::test]
async fn a_call_has_the_time_that_its_metadata_says() {
    let host = Host::start(Options::default()).await;
    let request = protos::Request { metadata: Bytes::from_static(br#"{"reqTimeout":"50ms"}"#), ..sys("held", "x") };
    let begun = Instant::now();
    assert_eq!(host.failure(request).await.code, "PIT-504");
    assert!(begun.elapsed() < Duration::from_secs(1), "the answer does not wait for the end of the handler");
}

#[tokio::test]
async fn too_many_calls_are_refused_unexecuted() {
    let mut host = Host::start(Options { calls: 1, ..Options::default() }).await;
    let held = host.call_beside(sys("held", "x"));
    host.begun().await;
    assert_eq!(host.failure(sys("echo", "y")).await.code, "PIT-503");
    assert_eq!(host.failure(user("host.room.far", "y")).await.code, "PIT-503");
    host.gate.permits.add_permits(1);
    held.await.unwrap();
    assert_eq!(host.call(sys("echo", "y")).await, data("y").unwrap());
}

#[tokio::test]
async fn a_bind_is_a_user_call_to_the_frontend_and_then_pushes_go_to_that_user() {
    let (host, mut fake) = with_frontend().await;
    assert_eq!(host.failure(sys("push", "1")).await.msg, "the session is not bound to an uid");
    assert_eq!(host.call(sys("bind", "u1")).await, data("u1").unwrap());
    let mut seen = fake.call().await;
    let metadata: Value = serde_json::from_slice(&seen.metadata).unwrap();
    assert_eq!((&metadata["reqTimeout"], &metadata["peer.id"]), (&"10s".into(), &"host-1".into()));
    seen.metadata = Bytes::from_static(br#"{"reqTimeout":"5s"}"#);
    assert_eq!(seen.msg.as_mut().unwrap().data[1], 42);
    assert_eq!(seen.encode_to_vec(), vector("sys.bindsession", 42));

    // The next message knows by itself to whom the session is bound. The pushes are there before its answer.
    let pushing = with_session(sys("push", "3"), "u1", "");
    assert_eq!(host.call(pushing).await, data("done").unwrap());
    for number in ["0", "1", "2"] {
        let Ok(Seen::Push(push)) = fake.seen.try_recv() else { panic!("a push came behind the answer") };
        assert_eq!((&*push.route, &*push.uid, &*push.data), ("on.push", "u1", number.as_bytes()));
    }
}

/// The bytes of a vector, with the session's id replaced.
fn vector(note: &str, session: u8) -> Vec<u8> {
    let all: Value = serde_json::from_str(include_str!("../../../../testdata/vectors.json")).unwrap();
    let vector = all["protobuf"].as_array().unwrap().iter().find(|vector| vector["note"] == note).unwrap().clone();
    let text = vector["hex"].as_str().unwrap();
    let mut bytes: Vec<u8> =
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect();
    if let Some(at) = bytes.windows(2).position(|pair| pair == [8, 7]) {
        bytes[at + 1] = session;
    }
    bytes
}

#[tokio::test]
async fn a_kick_is_a_user_call_behind_the_pushes() {
    let (host, mut fake) = with_frontend().await;
    assert_eq!(host.call(with_session(sys("kick", ""), "u1", "")).await, data("ok").unwrap());
    let mut seen = fake.call().await;
    seen.metadata = Bytes::from_static(br#"{"reqTimeout":"5s"}"#);
    assert_eq!(seen.encode_to_vec(), vector("sys.kick", 42));
}

#[tokio::test]
async fn a_save_sends_all_values_and_the_message_behind_it_sees_them() {
    let (mut host, mut fake) = with_frontend().await;
    let session = |method, body| with_session(sys(method, body), "u1", r#"{"old":"1","gone":"2"}"#);
    // Three messages of which the frontend knows nothing yet when it sends the last.
    let held = host.call_beside(session("held", "x"));
    host.begun().await;
    let set = host.call_beside(session("set", "new=3"));
    let remove = host.call_beside(session("set", "gone"));
    let lane = host.lanes.clone();
    while lane.jobs() < 2 {
        tokio::task::yield_now().await;
    }
    let get = host.call_beside(session("get", "new"));
    while lane.jobs() < 3 {
        tokio::task::yield_now().await;
    }
    host.gate.permits.add_permits(1);
    held.await.unwrap();
    for (call, answer) in [(set, "ok"), (remove, "ok"), (get, "3")] {
        assert_eq!(call.await.unwrap(), data(answer).unwrap());
    }
    let mut values = Vec::new();
    for _ in 0..2 {
        let message = fake.call().await.msg.unwrap();
        assert_eq!(message.route, "sys.pushsession");
        let session = protos::Session::decode(message.data).unwrap();
        assert_eq!((session.id, &*session.uid), (42, "u1"));
        values.push(String::from_utf8(session.data.to_vec()).unwrap());
    }
    let both = [r#"{"gone":"2","new":"3","old":"1"}"#, r#"{"new":"3","old":"1"}"#];
    let other = [r#"{"old":"1"}"#, r#"{"new":"3","old":"1"}"#];
    assert!(values == both || values == other, "{values:?}");
}

#[tokio::test]
async fn a_frontend_that_is_not_known_is_an_error_for_what_needs_it() {
    let host = Host::start(Options::default()).await;
    assert_eq!(host.failure(sys("bind", "u1")).await.code, "PIT-503");
    assert_eq!(host.failure(with_session(sys("push", "1"), "u1", "")).await.msg, "the session is closed");
    assert_eq!(host.call(sys("echo", "still")).await, data("still").unwrap());
}
