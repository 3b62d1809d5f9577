//! What the benches need of this module: one conversation whose requests are handled here, without a socket.

use std::{
    error::Error as StdError,
    fmt,
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    runtime::{Builder, Runtime},
    sync::Notify,
    time::Instant,
};

use super::{Conversation, Conversations, Dispatcher, DispatcherParts};
pub use crate::rpc::bench_support::*;
use crate::{
    handler::{self, Registry, Service},
    lanes::Spawner,
    request::App,
    router::{self, Router},
    rpc::{self, Identity, Links},
    session::{BoxFuture, Changes, Entity, Frontend, KickReason, PushError, Record, SaveError, SessionId, SessionIds},
    topology::{Snapshot, Topology},
    wire::{Error, Message, Text},
};

const SERVER: &str = "one";
const SERVER_TYPE: &str = "game";

/// A worker of the type `game` with one client, whose requests for `bench.echo` are answered with their body.
pub struct LocalRequests {
    runtime: Runtime,
    conversation: Arc<dyn Conversation>,
    client: Arc<Answers>,
}

impl LocalRequests {
    /// A worker that has handled nothing yet.
    pub fn new() -> Result<Self, Box<dyn StdError>> {
        let runtime = Builder::new_current_thread().enable_time().build()?;
        let entered = runtime.enter();
        let identity = Identity {
            server_id: SERVER.into(),
            incarnation: 1,
            server_type: SERVER_TYPE.into(),
            serializer: "json".into(),
        };
        let links = Links::new(Arc::new(identity), 0, &rpc::Config::default());
        let topology = Topology::fixed(Snapshot::default());
        let echo = Service::new().request("echo", |body: Bytes| ready(body));
        let dispatcher = Dispatcher::new(DispatcherParts {
            server_type: SERVER_TYPE.into(),
            app: App::builder(SERVER, SERVER_TYPE).frontend().build().on_worker(),
            registry: Arc::new(Registry::builder().service("bench", echo).build()?),
            handlers: Arc::new(handler::Runtime::new(handler::Config::default(), runtime.handle().clone())),
            router: Router::new(router::Config::default(), topology, links, Arc::default()),
            spawner: Spawner::new(0, runtime.handle().clone()),
            request_timeout: Duration::from_secs(10),
            session_messages: 64,
        });
        let client = Arc::new(Answers::default());
        let record = Arc::new(Record::new(SessionIds::new(0).next()));
        let conversation = dispatcher.open(record, Arc::new(Nowhere), client.clone());
        drop(entered);
        Ok(Self { runtime, conversation, client })
    }

    /// Hands `messages` to the conversation at once and runs the worker until they are answered; gives the last answer,
    /// `None` when that is an error.
    pub fn requests(&self, messages: Vec<Message>) -> Option<Bytes> {
        self.client.left.store(messages.len(), Relaxed);
        self.runtime.block_on(async {
            let now = Instant::now();
            for message in messages {
                self.conversation.message(message, now);
            }
            self.client.answered.notified().await;
        });
        self.client.last.lock().take()
    }
}

impl fmt::Debug for LocalRequests {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LocalRequests").finish_non_exhaustive()
    }
}

/// Keeps the last answer, and says when there are no more to come.
#[derive(Default)]
struct Answers {
    left: AtomicUsize,
    last: Mutex<Option<Bytes>>,
    answered: Notify,
}

impl super::Client for Answers {
    fn respond(&self, _: u64, answer: Result<Bytes, Error>) {
        *self.last.lock() = answer.ok();
        if self.left.fetch_sub(1, Relaxed) == 1 {
            self.answered.notify_one();
        }
    }

    fn wake(&self) {}
}

/// The other end of a session that nobody pushes to or changes.
struct Nowhere;

impl Entity for Nowhere {
    fn try_push(&self, _: SessionId, _: &str, _: &Bytes) -> Result<(), PushError> {
        Err(PushError::Closed)
    }

    fn writable(&self) -> BoxFuture<'static, ()> {
        Box::pin(ready(()))
    }

    fn kick(&self, _: SessionId, _: KickReason) {}

    fn bind(&self, _: SessionId, _: Text) -> BoxFuture<'static, Result<u64, Error>> {
        Box::pin(ready(Err(PushError::Closed.into())))
    }

    fn save(&self, _: SessionId, _: Changes) -> BoxFuture<'static, Result<u64, SaveError>> {
        Box::pin(ready(Err(SaveError::Gone)))
    }

    fn pin(&self, _: SessionId) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(ready(Err(PushError::Closed.into())))
    }

    fn unpin(&self, _: SessionId) {}

    fn address(&self) -> Frontend {
        Frontend { id: SERVER.into(), server_type: SERVER_TYPE.into() }
    }
}
