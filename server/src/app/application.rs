//! What a game brings to its servers.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use schemars::{JsonSchema, schema_for};
use serde::de::DeserializeOwned;

use super::admin::Phase;
use super::config::{ConfigError, Loaded};
use super::sockets::CustomAcceptor;
use crate::acceptor::Acceptor;
use crate::agent::Validator;
use crate::handler::{AfterHook, BeforeHook, RegistryBuilder, Service};
use crate::request::AppBuilder;
use crate::router::{Candidate, Question, RoutingFunctions};
use crate::wire::{CustomSerializer, Serializer};

/// A game, put together by the closure given to [`main`](crate::main): its services, and what they need.
#[derive(Default)]
pub struct Application {
    pub(super) registry: RegistryBuilder,
    pub(super) states: Vec<State>,
    pub(super) dictionary: Vec<(String, u16)>,
    pub(super) validators: Vec<Validator>,
    pub(super) functions: RoutingFunctions,
    pub(super) acceptors: Vec<CustomAcceptor>,
    pub(super) serializer: Option<Serializer>,
    pub(super) observers: Vec<Observer>,
    sections: Vec<Section>,
}

type State = Box<dyn FnOnce(AppBuilder) -> AppBuilder + Send>;

/// A part of the configuration that is the game's.
struct Section {
    name: String,
    schema: schemars::Schema,
    read: fn(&str, &Loaded) -> Result<State, ConfigError>,
}

/// Told of each phase of the server's life.
pub(super) type Observer = Box<dyn FnMut(Phase, &Running) + Send>;

/// A server that runs, as observers see it.
#[derive(Debug, Clone)]
pub struct Running {
    /// Its id in the topology.
    pub id: Arc<str>,
    /// Its server type.
    pub server_type: Arc<str>,
    /// Where other servers reach it; none without a topology.
    pub link: Option<SocketAddr>,
    /// Where probes reach it.
    pub admin: Option<SocketAddr>,
    /// Where clients connect: name and address of each acceptor.
    pub acceptors: Vec<(String, String)>,
}

impl Application {
    /// Adds a service; clients reach its handlers as `type.name.method`. The name may be used once.
    pub fn service(&mut self, name: impl Into<String>, service: Service) -> &mut Self {
        self.registry = std::mem::take(&mut self.registry).service(name, service);
        self
    }

    /// Runs `hook` before every handler; it may change the argument or refuse the message.
    pub fn before<F>(&mut self, hook: F) -> &mut Self
    where
        F: for<'a> BeforeHook<'a> + 'static,
    {
        self.registry.hooks().push_before(hook);
        self
    }

    /// Runs `hook` after every handler; it may replace the result.
    pub fn after<F>(&mut self, hook: F) -> &mut Self
    where
        F: for<'a> AfterHook<'a> + 'static,
    {
        self.registry.hooks().push_after(hook);
        self
    }

    /// Keeps a value that handlers take as `State<T>`, shared by all of them.
    pub fn state<T: Send + Sync + 'static>(&mut self, value: T) -> &mut Self {
        self.states.push(Box::new(move |app| app.state(value)));
        self
    }

    /// Adds a section to the configuration. What stands there under `name` is read into a `T`, which handlers take as
    /// `State<T>`; a value that does not fit stops the start. `cereus config` tells its keys with what is documented.
    ///
    /// What may be left out, and whether other keys may stand there, is said by `T`:
    ///
    /// ```
    /// /// How rooms are made.
    /// #[derive(Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// #[serde(default, deny_unknown_fields)]
    /// struct Rooms {
    ///     /// How many players a room holds.
    ///     size: u32,
    /// }
    ///
    /// fn build(app: &mut cereus::Application) {
    ///     app.config::<Rooms>("rooms"); // `rooms: { size: 8 }`, or CEREUS__ROOMS__SIZE=8
    /// }
    /// ```
    pub fn config<T>(&mut self, name: impl Into<String>) -> &mut Self
    where
        T: DeserializeOwned + JsonSchema + Send + Sync + 'static,
    {
        self.sections.push(Section {
            name: name.into(),
            schema: schema_for!(T),
            read: |name, loaded| {
                let section: T = loaded.section(name)?;
                Ok(Box::new(move |app| app.state(section)))
            },
        });
        self
    }

    /// Gives routes short codes, which clients learn in the handshake. A route or code that is used twice stops the start.
    pub fn dictionary<R: Into<String>>(&mut self, routes: impl IntoIterator<Item = (R, u16)>) -> &mut Self {
        self.dictionary.extend(routes.into_iter().map(|(route, code)| (route.into(), code)));
        self
    }

    /// Refuses the handshakes for which a check fails. Validators run in the order in which they were added.
    pub fn validator(&mut self, validator: Validator) -> &mut Self {
        self.validators.push(validator);
        self
    }

    /// Chooses servers of `server_type` by a function, in place of the policy of the manifest: for each message one of the
    /// candidates, or none to refuse it. The example `routing` shows one.
    ///
    /// ```
    /// # fn build(app: &mut cereus::Application) {
    /// app.routing("room", |_, candidates| candidates.iter().min_by_key(|candidate| candidate.pending));
    /// # }
    /// ```
    pub fn routing<F>(&mut self, server_type: impl Into<String>, function: F) -> &mut Self
    where
        F: for<'a, 'b> Fn(&Question<'_>, &'a [Candidate<'b>]) -> Option<&'a Candidate<'b>> + Send + Sync + 'static,
    {
        self.functions.insert(server_type.into(), Arc::new(function));
        self
    }

    /// Accepts clients from a source of the game's own. `bind` runs when the server starts, within the runtime that will
    /// accept; its error stops the start. The example `unix_acceptor` shows one.
    pub fn acceptor<A: Acceptor, E>(&mut self, bind: impl FnOnce() -> Result<A, E> + Send + 'static) -> &mut Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.acceptors.push(CustomAcceptor::new(bind));
        self
    }

    /// Writes and reads bodies by a serializer of the game's own, in place of the one in the settings. Clients are told its
    /// name in the handshake; handlers take and return [`Encoded`](crate::Encoded). The example `messagepack` shows one.
    pub fn serializer(&mut self, serializer: impl CustomSerializer) -> &mut Self {
        self.serializer = Some(Serializer::Custom(Arc::new(serializer)));
        self
    }

    /// Calls `observer` when the server has become ready, begins to drain, and closes. It must not block.
    pub fn observe(&mut self, observer: impl FnMut(Phase, &Running) + Send + 'static) -> &mut Self {
        self.observers.push(Box::new(observer));
        self
    }

    /// The game's own serializer, if it has one.
    pub(crate) fn own_serializer(&self) -> Option<&Serializer> {
        self.serializer.as_ref()
    }

    /// Whether a client may ask for this.
    pub(crate) fn answers(&self, service: &str, method: &str) -> bool {
        self.registry.answers(service, method)
    }

    /// The sections that the game adds to the configuration.
    pub(crate) fn sections(&self) -> impl Iterator<Item = (&str, &schemars::Schema)> {
        self.sections.iter().map(|section| (section.name.as_str(), &section.schema))
    }

    /// Reads the game's sections, for its handlers.
    pub(crate) fn configure(&mut self, loaded: &Loaded) -> Result<(), ConfigError> {
        for section in &self.sections {
            self.states.push((section.read)(&section.name, loaded)?);
        }
        Ok(())
    }
}

impl fmt::Debug for Application {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Application").field("registry", &self.registry).finish_non_exhaustive()
    }
}
