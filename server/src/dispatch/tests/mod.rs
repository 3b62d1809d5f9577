//! One connection's conversation, with handlers of its own type and servers of another that answer as the test says.

mod model;
mod ordering;
mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::conversation::Dialogue;
use super::{Client, Conversation, Dispatcher, DispatcherParts};
use crate::forward::testing::{Far, Journal, Near, Socket, note, quiet, spawner, wait};
use crate::handler::{self, Registry, Runtime, Service, concurrent};
use crate::request::{App, State};
use crate::rpc::tests::support::Network;
use crate::session::{CloseReason, Entry, Record, SessionId};
use crate::wire::{Error, Message, MessageKind, Text};

const TIMEOUT: Duration = Duration::from_secs(10);
/// How many messages a session may have open here.
const BOUND: usize = 8;
const SESSION: i64 = 256;

/// What the client was answered.
#[derive(Default)]
struct Answers {
    given: Mutex<Vec<String>>,
    wakes: AtomicUsize,
}

impl Client for Answers {
    fn respond(&self, id: u64, answer: Result<Bytes, Error>) {
        let answer = answer.map_or_else(|error| error.code().to_owned(), |body| String::from_utf8_lossy(&body).into());
        self.given.lock().push(format!("{id} {answer}"));
    }

    fn wake(&self) {
        self.wakes.fetch_add(1, Relaxed);
    }
}

/// A frontend with one connection.
struct Desk {
    network: Network,
    fars: [Far; 2],
    near: Near,
    dispatcher: Arc<Dispatcher>,
    registry: Arc<Registry>,
    record: Arc<Record>,
    dialogue: Arc<Dialogue>,
    client: Arc<Answers>,
    journal: Arc<Journal>,
}

async fn fail() -> Result<(), Error> {
    panic!("as it was asked to")
}

async fn told(State(journal): State<Journal>) {
    journal.note("told");
}

async fn ended(State(journal): State<Journal>, reason: CloseReason) {
    journal.note(format!("closed {}", reason.as_str()));
}

impl Desk {
    async fn start() -> Self {
        let network = Network::default();
        let fars = [Far::start(&network, "a", 1), Far::start(&network, "b", 2)];
        let near = Near::start(&network, &[&fars[0], &fars[1]]);
        let journal = Journal::new();
        let app = App::builder("near", "front").build();
        app.provide(journal.clone());
        let service = Service::new()
            .request("wait", wait)
            .request("note", note)
            .request("concurrent", concurrent(wait))
            .request("fail", fail)
            .notify("told", told)
            .on_disconnect(ended);
        let registry = Arc::new(Registry::builder().service("test", service).build().unwrap());
        let dispatcher = Dispatcher::new(DispatcherParts {
            server_type: "front".into(),
            app,
            registry: registry.clone(),
            handlers: Arc::new(Runtime::new(handler::Config::default(), Handle::current())),
            router: near.router.clone(),
            spawner: spawner(),
            request_timeout: TIMEOUT,
            session_messages: BOUND,
        });
        let record = Arc::new(Record::new(SessionId::try_from(SESSION).unwrap()));
        near.pool.insert(Arc::new(Entry { record: record.clone(), entity: Arc::new(Socket) }));
        let client = Arc::new(Answers::default());
        let dialogue = Dialogue::new(dispatcher.clone(), record.clone(), Arc::new(Socket), client.clone());
        near.router.server_type("room").unwrap();
        quiet().await;
        Self { network, fars, near, dispatcher, registry, record, dialogue, client, journal }
    }

    /// A message as the client sends it; the body is the id.
    fn send(&self, kind: MessageKind, id: u64, route: &str) {
        let body = Bytes::from(id.to_string());
        self.dialogue.message(Message { kind, id, route: Text::copied(route), body, error: false }, Instant::now());
    }

    fn request(&self, id: u64, route: &str) {
        self.send(MessageKind::Request, id, route);
    }

    /// The answers given so far.
    async fn answers(&self) -> Vec<String> {
        quiet().await;
        self.client.given.lock().clone()
    }

    fn wakes(&self) -> usize {
        self.client.wakes.load(Relaxed)
    }

    /// Lets time pass, and expires what is over as the agent does.
    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
        self.expire();
    }

    fn expire(&self) {
        let now = Instant::now();
        if self.dialogue.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.dialogue.expire(now);
            assert!(self.dialogue.next_deadline().is_none_or(|deadline| deadline > now));
        }
    }

    /// Of the servers of the type `room` the one that has messages, and the other.
    fn busy(&self) -> (&Far, &Far) {
        match (self.fars[0].taken().is_empty(), self.fars[1].taken().is_empty()) {
            (false, true) => (&self.fars[0], &self.fars[1]),
            (true, false) => (&self.fars[1], &self.fars[0]),
            _ => panic!("one server has messages: {:?} {:?}", self.fars[0].taken(), self.fars[1].taken()),
        }
    }
}
