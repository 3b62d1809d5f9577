//! A worker whose conversations only take notes.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::{sync::mpsc, time::Instant};

use super::{Config, Settings, SettingsParts, Validator, Worker};
use crate::{
    dispatch::{Client, Conversation, Conversations},
    session::{CloseReason, Entity, Frontend, Pool, Record, SessionIds},
    wire::{self, Dictionary, Error, Message, Outbound, PacketKind, Serializer, encode_packet, encode_request},
};

/// What a conversation was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Message(Message),
    Expired,
    Closed(CloseReason),
}

/// Takes notes of one conversation, and holds the other ends.
pub(crate) struct Notes {
    pub(crate) record: Arc<Record>,
    pub(crate) entity: Arc<dyn Entity>,
    pub(crate) client: Arc<dyn Client>,
    pub(crate) deadline: Mutex<Option<Instant>>,
    /// How many more messages there is room for.
    pub(crate) room: AtomicUsize,
    /// An answer is owed.
    pub(crate) owing: AtomicBool,
    /// Answer every request with its own body, at once.
    pub(crate) echo: AtomicBool,
    events: mpsc::Sender<Event>,
    pub(crate) told: tokio::sync::Mutex<mpsc::Receiver<Event>>,
}

impl Notes {
    /// The next thing it is told.
    pub(crate) async fn next(&self) -> Event {
        self.told.lock().await.recv().await.expect("the notes keep the sender")
    }

    /// The next thing, which must be a message.
    pub(crate) async fn next_message(&self) -> Message {
        match self.next().await {
            Event::Message(message) => message,
            other => panic!("{other:?} is no message"),
        }
    }

    /// The next thing, which must be the end.
    pub(crate) async fn next_close(&self) -> CloseReason {
        match self.next().await {
            Event::Closed(reason) => reason,
            other => panic!("{other:?} is not the end"),
        }
    }

    /// What it was told so far and nobody has asked for.
    pub(crate) fn so_far(&self) -> Vec<Event> {
        let mut told = self.told.try_lock().expect("nobody else asks");
        std::iter::from_fn(|| told.try_recv().ok()).collect()
    }

    pub(crate) fn push(&self, route: &str, body: &'static str) -> Result<(), crate::session::PushError> {
        self.entity.try_push(self.record.id(), route, &Bytes::from_static(body.as_bytes()))
    }

    fn note(&self, event: Event) {
        self.events.try_send(event).expect("the notes have room");
    }
}

impl Conversation for Notes {
    fn message(&self, message: Message, _now: Instant) -> bool {
        assert!(!self.is_full(), "a message came although there was no room");
        self.room.fetch_sub(1, SeqCst);
        if self.echo.load(SeqCst) && message.id != 0 {
            self.client.respond(message.id, Ok::<_, Error>(message.body.clone()));
        }
        self.note(Event::Message(message));
        !self.is_full()
    }

    fn is_full(&self) -> bool {
        self.room.load(SeqCst) == 0
    }

    fn finish(&self) -> bool {
        self.room.store(0, SeqCst);
        self.owing.load(SeqCst)
    }

    fn next_deadline(&self) -> Option<Instant> {
        *self.deadline.lock()
    }

    fn expire(&self, now: Instant) {
        let mut deadline = self.deadline.lock();
        assert!(deadline.is_some_and(|deadline| deadline <= now), "nothing is over yet");
        *deadline = None;
        self.note(Event::Expired);
    }

    fn close(&self, reason: CloseReason) {
        self.note(Event::Closed(reason));
    }
}

/// Opens conversations that take notes.
pub(crate) struct Opener {
    opened: mpsc::Sender<Arc<Notes>>,
}

impl Conversations for Opener {
    fn open(&self, record: Arc<Record>, entity: Arc<dyn Entity>, client: Arc<dyn Client>) -> Arc<dyn Conversation> {
        let (events, told) = mpsc::channel(100_000);
        let notes = Arc::new(Notes {
            record,
            entity,
            client,
            deadline: Mutex::default(),
            room: AtomicUsize::new(1_000_000),
            owing: AtomicBool::default(),
            echo: AtomicBool::default(),
            events,
            told: told.into(),
        });
        self.opened.try_send(Arc::clone(&notes)).expect("few connections at a time");
        notes
    }
}

/// A worker for tests, and the conversations that are opened on it.
pub(crate) struct Bench {
    pub(crate) worker: Arc<Worker>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) opened: mpsc::Receiver<Arc<Notes>>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Config::default(), Vec::new())
    }

    pub(crate) fn with(config: Config, validators: Vec<Validator>) -> Self {
        let frontend = Frontend { id: Arc::from("one"), server_type: Arc::from("connector") };
        let dictionary = Dictionary::new([("room.room.join", 1), ("onMessage", 4)]).expect("it is well-formed");
        let parts = SettingsParts {
            config,
            wire: wire::Config::default(),
            dictionary,
            serializer: Serializer::Json,
            validators,
            frontend,
        };
        let (sender, opened) = mpsc::channel(30_000);
        let pool = Arc::new(Pool::new());
        let settings = Arc::new(Settings::new(parts).expect("the dictionary is small"));
        let conversations = Arc::new(Opener { opened: sender });
        let worker = Worker::new(settings, conversations, Arc::clone(&pool), SessionIds::new(0));
        Self { worker, pool, opened }
    }

    /// The next conversation.
    pub(crate) async fn opened(&mut self) -> Arc<Notes> {
        self.opened.recv().await.expect("the worker lives")
    }

    /// How many connections ended for each reason, those with none left out.
    pub(crate) fn closed(&self) -> Vec<(CloseReason, u64)> {
        let counts = CloseReason::ALL.iter().map(|&reason| (reason, self.worker.counts().closed(reason)));
        counts.filter(|(_, count)| *count > 0).collect()
    }
}

/// One packet.
pub(crate) fn packet(kind: PacketKind, body: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    encode_packet(kind, body, &mut out).expect("it is small");
    out.to_vec()
}

/// A handshake with such a body.
pub(crate) fn handshake(body: &str) -> Vec<u8> {
    packet(PacketKind::Handshake, body.as_bytes())
}

/// The Ack.
pub(crate) const ACK: [u8; 4] = PacketKind::Ack.empty();

/// The heartbeat.
pub(crate) const HEARTBEAT: [u8; 4] = PacketKind::Heartbeat.empty();

/// A request as a client sends it.
pub(crate) fn request(id: u64, route: &str, body: &str) -> Vec<u8> {
    let mut out = BytesMut::new();
    let dictionary = Dictionary::default();
    encode_request(id, route, body.as_bytes(), &dictionary, Outbound::PLAIN, &mut out).expect("it is small");
    out.to_vec()
}
