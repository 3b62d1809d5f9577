//! A link to a server that takes unary calls, over loopback.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tonic::Status;

use crate::rpc::bench_support::{Deaf, Echo};
use crate::rpc::pitaya::testing::{Fake, Seen, data};
use crate::rpc::proto::{self, pitaya as protos, response};
use crate::rpc::{Caller, Config, Families, Identity, Link, LinkEvents, Links, Outcome, Standing};

/// What becomes of calls, and of the link.
#[derive(Debug)]
enum Event {
    Up,
    Down,
    Ended(u64, Outcome),
}

struct Listener(mpsc::Sender<Event>);

impl LinkEvents for Listener {
    fn up(&self, _: &Arc<Link>) {
        self.0.try_send(Event::Up).unwrap();
    }

    fn down(&self, _: &Arc<Link>) {
        self.0.try_send(Event::Down).unwrap();
    }

    fn draining(&self, _: &Arc<Link>) {}
    fn drained(&self, _: &Arc<Link>) {}
}

impl Caller for Listener {
    fn complete(self: Arc<Self>, token: u64, outcome: Outcome) {
        self.0.try_send(Event::Ended(token, outcome)).unwrap();
    }
}

/// A frontend with one link.
struct Front {
    links: Arc<Links>,
    listener: Arc<Listener>,
    events: mpsc::Receiver<Event>,
}

impl Front {
    fn new() -> Self {
        let identity = Identity {
            server_id: "front-1".into(),
            incarnation: 7,
            server_type: "front".into(),
            serializer: "json".into(),
        };
        let (sender, events) = mpsc::channel(1000);
        let listener = Arc::new(Listener(sender));
        let links = Links::new(Arc::new(identity), 0, &Config::default());
        // Such a link receives no frames.
        links.attach(Families {
            requests: Arc::new(Echo),
            sessions: Arc::new(Deaf),
            links: listener.clone(),
            channels: Arc::new(Deaf),
        });
        Self { links, listener, events }
    }

    fn call(&self, link: &Link, token: u64, request: proto::Request) -> u64 {
        link.call(request, self.listener.clone(), token).unwrap()
    }

    async fn next(&mut self) -> Event {
        tokio::time::timeout(Duration::from_secs(20), self.events.recv()).await.expect("nothing happened").unwrap()
    }

    async fn up(&mut self) {
        assert!(matches!(self.next().await, Event::Up));
    }

    async fn ended(&mut self) -> (u64, Outcome) {
        match self.next().await {
            Event::Ended(token, outcome) => (token, outcome),
            other => panic!("{other:?} in the place of an answer"),
        }
    }

    /// The code of the error that the next call ends with.
    async fn failure(&mut self) -> String {
        match self.ended().await {
            (_, Outcome::Answered(Some(response::Outcome::Error(error)))) => error.code,
            other => panic!("{other:?} in the place of an error"),
        }
    }
}

fn message(kind: proto::RequestKind, route: &'static str, body: &'static str) -> proto::Request {
    proto::Request {
        kind: kind.into(),
        route: Bytes::from_static(route.as_bytes()),
        body: Bytes::from_static(body.as_bytes()),
        session: Some(proto::Session {
            id: 42,
            uid: Bytes::from_static(b"ada"),
            data: Bytes::from_static(br#"{"a":1}"#),
            version: 3,
        }),
        timeout_micros: 5_000_000,
        message_id: 9,
        ..Default::default()
    }
}

fn request(route: &'static str) -> proto::Request {
    message(proto::RequestKind::Request, route, "body")
}

/// A server that answers by the last part of the route.
async fn answer(request: protos::Request) -> Result<protos::Response, Status> {
    let message = request.msg.unwrap();
    match message.route.rsplit('.').next().unwrap() {
        "empty" => data(""),
        "error" => {
            let metadata = [("some".to_owned(), "meta".to_owned())].into();
            let error = protos::Error { code: "PIT-433".to_owned(), msg: "test error".to_owned(), metadata };
            Ok(protos::Response { data: Bytes::new(), error: Some(error) })
        }
        "unimplemented" => Err(Status::unimplemented("no such method")),
        "unknown" => Err(Status::unknown("what it says")),
        "deadline" => Err(Status::deadline_exceeded("late")),
        "never" => std::future::pending().await,
        _ => data(message.data),
    }
}

#[tokio::test]
async fn a_request_becomes_a_call() {
    let (mut front, mut fake) = (Front::new(), Fake::start(answer));
    let link = front.links.open_unary(&fake.server("room-1", "room"));
    front.call(&link, 5, request("room.room.echo"));
    front.up().await;
    let Some(Seen::Call(seen, timeout)) = fake.seen.recv().await else { panic!("no call") };
    assert_eq!((seen.r#type(), &*seen.frontend_id), (protos::RpcType::Sys, "front-1"));
    let session = protos::Session { id: 42, uid: "ada".to_owned(), data: Bytes::from_static(br#"{"a":1}"#) };
    assert_eq!(seen.session, Some(session));
    let message = seen.msg.as_ref().unwrap();
    assert_eq!((&*message.route, &*message.data, message.id), ("room.room.echo", &b"body"[..], 9));
    assert_eq!(message.r#type(), protos::MsgType::MsgRequest);
    let metadata: serde_json::Value = serde_json::from_slice(&seen.metadata).unwrap();
    assert_eq!(metadata["reqTimeout"], "5s");
    assert_eq!(timeout.as_deref(), Some("5000000u"));

    let (token, outcome) = front.ended().await;
    assert!(
        matches!(&outcome, Outcome::Answered(Some(response::Outcome::Body(body))) if body == "body"),
        "{outcome:?}"
    );
    assert_eq!((token, link.pending(), link.standing()), (5, 0, Standing::Live));
}

#[tokio::test]
async fn a_notify_and_a_user_call_are_named_as_such() {
    let (front, mut fake) = (Front::new(), Fake::start(answer));
    let link = front.links.open_unary(&fake.server("room-1", "room"));
    front.call(&link, 0, message(proto::RequestKind::Notify, "room.room.say", ""));
    let seen = fake.call().await;
    assert_eq!((seen.r#type(), seen.msg.unwrap().r#type()), (protos::RpcType::Sys, protos::MsgType::MsgNotify));
    let call =
        proto::Request { session: None, message_id: 0, ..message(proto::RequestKind::User, "room.room.far", "x") };
    front.call(&link, 1, call);
    let seen = fake.call().await;
    assert_eq!((seen.r#type(), &seen.session, &*seen.frontend_id), (protos::RpcType::User, &None, ""));
    assert_eq!(seen.msg.unwrap().r#type(), protos::MsgType::MsgRequest);
}

#[tokio::test]
async fn errors_and_statuses_have_their_codes() {
    let (mut front, fake) = (Front::new(), Fake::start(answer));
    let link = front.links.open_unary(&fake.server("room-1", "room"));
    front.call(&link, 0, request("room.room.error"));
    front.up().await;
    let (_, outcome) = front.ended().await;
    let Outcome::Answered(Some(response::Outcome::Error(error))) = outcome else { panic!("{outcome:?}") };
    assert_eq!((&*error.code, &*error.msg, &*error.metadata["some"]), ("PIT-433", "test error", "meta"));
    for (route, code) in
        [("room.room.unimplemented", "PIT-500"), ("room.room.unknown", "PIT-000"), ("room.room.deadline", "PIT-504")]
    {
        front.call(&link, 0, request(route));
        assert_eq!(front.failure().await, code, "{route}");
    }
    front.call(&link, 0, request("room.room.empty"));
    assert!(matches!(front.ended().await, (_, Outcome::Answered(None))));
}

#[tokio::test]
async fn a_call_ends_with_the_time_of_its_request() {
    let (mut front, fake) = (Front::new(), Fake::start(answer));
    let link = front.links.open_unary(&fake.server("room-1", "room"));
    front.call(&link, 0, proto::Request { timeout_micros: 50_000, ..request("room.room.never") });
    front.up().await;
    assert_eq!(front.failure().await, "PIT-504");
}

#[tokio::test]
async fn a_call_that_nobody_wants_is_given_up() {
    let (mut front, mut fake) = (Front::new(), Fake::start(answer));
    let link = front.links.open_unary(&fake.server("room-1", "room"));
    let id = front.call(&link, 0, request("room.room.never"));
    front.up().await;
    fake.call().await;
    link.cancel(id);
    assert_eq!(front.failure().await, "PIT-499");
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_has_executed_nothing() {
    let mut front = Front::new();
    let mut gone = Fake::start(answer);
    let server = gone.server("room-1", "room");
    gone.die();
    drop(gone);
    let link = front.links.open_unary(&server);
    front.call(&link, 3, request("room.room.echo"));
    let (token, outcome) = front.ended().await;
    assert!(matches!(outcome, Outcome::NotExecuted(_)), "{outcome:?}");
    assert_eq!((token, link.standing()), (3, Standing::Down));
}

#[tokio::test]
async fn a_call_that_was_sent_is_lost_with_its_server_and_the_link_comes_back() {
    let (mut front, mut fake) = (Front::new(), Fake::start(answer));
    let (server, address) = (fake.server("room-1", "room"), fake.address);
    let link = front.links.open_unary(&server);
    front.call(&link, 1, request("room.room.never"));
    front.up().await;
    fake.call().await;
    fake.die();
    let (mut lost, mut down) = (false, false);
    while !(lost && down) {
        match front.next().await {
            Event::Down => down = true,
            Event::Ended(1, Outcome::Lost) => lost = true,
            // The transport may say so before the link notices.
            Event::Ended(1, Outcome::Answered(Some(response::Outcome::Error(error)))) if error.code == "PIT-502" => {
                lost = true;
            }
            other => panic!("{other:?}"),
        }
    }
    let _again = Fake::start_at(address, answer);
    front.up().await;
    front.call(&link, 2, request("room.room.echo"));
    assert!(matches!(front.ended().await, (2, Outcome::Answered(Some(response::Outcome::Body(_))))));
}

#[tokio::test]
async fn the_loss_of_an_idle_connection_is_noticed() {
    let (mut front, mut fake) = (Front::new(), Fake::start(answer));
    let link = front.links.open_unary(&fake.server("room-1", "room"));
    front.up().await;
    fake.die();
    assert!(matches!(front.next().await, Event::Down));
    assert!(link.call(request("room.room.echo"), front.listener.clone(), 0).is_err(), "nothing is taken meanwhile");
}

#[tokio::test]
async fn a_closed_link_answers_what_it_took() {
    let (mut front, mut fake) = (Front::new(), Fake::start(answer));
    let link = front.links.open_unary(&fake.server("room-1", "room"));
    for token in 0..10 {
        front.call(&link, token, request("room.room.echo"));
    }
    front.up().await;
    fake.call().await;
    front.links.close();
    for _ in 0..10 {
        assert!(matches!(front.ended().await, (_, Outcome::Answered(Some(response::Outcome::Body(_))))));
    }
    front.links.closed().await;
    assert!(matches!(front.next().await, Event::Down));
}

#[tokio::test]
async fn a_type_that_changes_its_protocol_gets_another_link() {
    let (front, fake) = (Front::new(), Fake::start(answer));
    let server = fake.server("room-1", "room");
    let unary = front.links.open_unary(&server);
    assert!(Arc::ptr_eq(&unary, &front.links.open_unary(&server)));
    let link = front.links.open(&server);
    assert!(!Arc::ptr_eq(&unary, &link) && unary.is_unary() && !link.is_unary());
}
