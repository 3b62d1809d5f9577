use std::{
    any::{Any, TypeId},
    fmt,
    sync::Arc,
};

use arc_swap::ArcSwap;
use rustc_hash::FxHashMap;

use tokio::time::Instant;

use crate::session::SessionId;
use crate::wire::Serializer;

/// The server that a handler runs in: its name, its type, and what the game shares between its handlers.
///
/// A clone costs one reference count. Every worker has an `App` of its own with values of its own in front of the shared
/// ones, so that what handlers use most is not shared between threads.
#[derive(Clone)]
pub struct App {
    inner: Arc<Inner>,
    deadline: Option<Instant>,
    /// What keeps an order of its own: the session whose message is handled.
    lane: Option<SessionId>,
}

struct Inner {
    shared: Arc<Shared>,
    /// A worker's own copy: every session handle counts on it.
    serializer: Arc<Serializer>,
    /// Present when this is the app of one worker.
    worker: Option<Extensions>,
}

struct Shared {
    server_id: Arc<str>,
    server_type: Arc<str>,
    serializer: Arc<Serializer>,
    frontend: bool,
    extensions: Extensions,
}

impl App {
    /// Start to describe the server `server_id` of type `server_type`: a backend that speaks JSON, until told otherwise.
    pub fn builder(server_id: impl Into<Arc<str>>, server_type: impl Into<Arc<str>>) -> AppBuilder {
        AppBuilder {
            shared: Shared {
                server_id: server_id.into(),
                server_type: server_type.into(),
                serializer: Arc::default(),
                frontend: false,
                extensions: Extensions::default(),
            },
        }
    }

    /// The app of one worker: sees everything shared, and first what is [provided](Self::provide) to itself.
    #[must_use]
    pub fn on_worker(&self) -> Self {
        let shared = Arc::clone(&self.inner.shared);
        let serializer = Arc::new(Serializer::clone(&shared.serializer));
        Self {
            inner: Arc::new(Inner { shared, serializer, worker: Some(Extensions::default()) }),
            deadline: None,
            lane: None,
        }
    }

    /// This handle for the work of one request: calls made with it end by `deadline`.
    #[must_use]
    pub fn until(&self, deadline: Instant) -> Self {
        Self { inner: self.inner.clone(), deadline: Some(deadline), lane: self.lane }
    }

    /// This handle for messages of one session: what is published with it keeps the order of that session's lane.
    #[must_use]
    pub(crate) fn in_lane(mut self, session: SessionId) -> Self {
        self.lane = Some(session);
        self
    }

    /// The session whose messages this handle was given to.
    pub(crate) fn lane(&self) -> Option<SessionId> {
        self.lane
    }

    /// When the request that this handle was given to has to be answered.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The id of this server; unique in the cluster.
    pub fn server_id(&self) -> &Arc<str> {
        &self.inner.shared.server_id
    }

    /// The type of this server, the first part of the routes it handles.
    pub fn server_type(&self) -> &Arc<str> {
        &self.inner.shared.server_type
    }

    /// How payloads are written on this server.
    pub fn serializer(&self) -> &Arc<Serializer> {
        &self.inner.serializer
    }

    /// Whether this server accepts clients.
    pub fn is_frontend(&self) -> bool {
        self.inner.shared.frontend
    }

    /// The value of type `T` that was provided to this worker, or else to all.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let own = self.inner.worker.as_ref().and_then(Extensions::get);
        own.or_else(|| self.inner.shared.extensions.get())
    }

    /// Make `value` available to handlers; the last one of a type counts. Provided to the app of a worker it is seen there
    /// only, provided to any other app it is seen by all workers.
    ///
    /// A value that itself holds this app keeps both alive: hold what leads back to the app weakly.
    pub fn provide<T: Send + Sync + 'static>(&self, value: Arc<T>) {
        let value: Arc<dyn Any + Send + Sync> = value;
        self.inner.worker.as_ref().unwrap_or(&self.inner.shared.extensions).insert(TypeId::of::<T>(), &value);
    }
}

impl fmt::Debug for App {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("App")
            .field("server_id", self.server_id())
            .field("server_type", self.server_type())
            .field("frontend", &self.is_frontend())
            .finish_non_exhaustive()
    }
}

/// Describes an [`App`] before it is used.
#[must_use]
pub struct AppBuilder {
    shared: Shared,
}

impl AppBuilder {
    /// How payloads are written; the same on all servers behind one frontend type.
    pub fn serializer(mut self, serializer: Serializer) -> Self {
        self.shared.serializer = Arc::new(serializer);
        self
    }

    /// The server accepts clients.
    pub fn frontend(mut self) -> Self {
        self.shared.frontend = true;
        self
    }

    /// Share `value` with all handlers, which take it as [`State<T>`](crate::request::State).
    pub fn state<T: Send + Sync + 'static>(self, value: T) -> Self {
        let value: Arc<dyn Any + Send + Sync> = Arc::new(value);
        self.shared.extensions.insert(TypeId::of::<T>(), &value);
        self
    }

    /// The app, not yet of any worker.
    pub fn build(self) -> App {
        let serializer = Arc::clone(&self.shared.serializer);
        App {
            inner: Arc::new(Inner { shared: Arc::new(self.shared), serializer, worker: None }),
            deadline: None,
            lane: None,
        }
    }
}

impl fmt::Debug for AppBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AppBuilder").field("server_id", &self.shared.server_id).finish_non_exhaustive()
    }
}

type AnyMap = FxHashMap<TypeId, Arc<dyn Any + Send + Sync>>;

/// Values by their type; read for every message, written while the server starts.
#[derive(Default)]
struct Extensions(ArcSwap<AnyMap>);

impl Extensions {
    fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let value = self.0.load().get(&TypeId::of::<T>()).cloned()?;
        value.downcast().ok()
    }

    fn insert(&self, key: TypeId, value: &Arc<dyn Any + Send + Sync>) {
        self.0.rcu(|values| {
            let mut values = AnyMap::clone(values);
            values.insert(key, Arc::clone(value));
            values
        });
    }
}
