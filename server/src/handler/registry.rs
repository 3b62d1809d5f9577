use std::{collections::hash_map, sync::Arc};

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::{counters::Counts, entry::Entry, execute::execute, hooks::Hooks, runtime::Runtime, service::Service};
use crate::{
    request::{Context, Kind},
    session::CloseReason,
    wire::{Error, codes},
};

/// Every handler of a server, found by `service.method`. Made once, then only read.
#[derive(Debug, Default)]
pub struct Registry {
    entries: FxHashMap<Box<str>, Arc<Entry>>,
    disconnects: Vec<Arc<Entry>>,
}

/// Why the registered services are no registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Two handlers have one name.
    #[error("the route `{route}` is registered twice: as {first} and as {second}")]
    Duplicate {
        /// `service.method`.
        route: String,
        /// Kind and source of the handler that was registered first.
        first: String,
        /// Kind and source of the other one.
        second: String,
    },
    /// A name cannot be a part of a route.
    #[error(
        "`{name}` cannot be the name of a service or handler: it is blank or has a dot in it (registered as {handler})"
    )]
    Name {
        /// The wrong name.
        name: String,
        /// Kind and source of the handler.
        handler: String,
    },
}

impl Registry {
    /// A registry without handlers, to add services to.
    pub fn builder() -> RegistryBuilder {
        RegistryBuilder::default()
    }

    /// The handler of `service.method`, of whatever kind it is.
    pub fn lookup(&self, service_method: &str) -> Option<&Arc<Entry>> {
        self.entries.get(service_method)
    }

    /// The handler that a message of `kind` for `service.method` runs. Clients do not find what is for servers, nor the
    /// other way round.
    ///
    /// # Errors
    /// The answer that the caller gets instead: PIT-404, or PIT-400 for a request to a handler of notifies.
    pub fn find(&self, kind: Kind, server_type: &str, service_method: &str) -> Result<&Arc<Entry>, Error> {
        let remote = kind == Kind::Remote;
        let found = self.lookup(service_method).filter(|entry| (entry.kind() == Kind::Remote) == remote);
        let Some(entry) = found else {
            return Err(if remote {
                Error::new(codes::NOT_FOUND, "route not found").with("route", service_method)
            } else {
                let text = format!("pitaya/handler: {server_type}.{service_method} not found");
                Error::new(codes::NOT_FOUND, text)
            });
        };
        entry.admit(kind)?;
        Ok(entry)
    }

    /// Whether anything runs when a session ends.
    pub fn has_disconnect(&self) -> bool {
        !self.disconnects.is_empty()
    }

    /// Runs what the services registered for the end of a session, one after the other in the order of registration. Each
    /// gets as much time as is left of the deadline of `context` now.
    pub async fn disconnected(&self, context: Context, reason: CloseReason, runtime: &Runtime) {
        let mut now = Instant::now();
        let time = context.deadline.saturating_duration_since(now);
        for entry in &self.disconnects {
            let context = context.closed(reason, now + time);
            // Nobody waits for an answer; failures are counted and logged where it ran.
            now = execute(Arc::clone(entry), context, runtime, now).await.at;
        }
    }

    /// All handlers that a message can name, sorted by name.
    pub fn entries(&self) -> Vec<&Arc<Entry>> {
        let mut entries: Vec<_> = self.entries.values().collect();
        entries.sort_by_key(|entry| entry.name());
        entries
    }

    /// What became of all calls so far.
    pub fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        for entry in self.entries.values().chain(&self.disconnects) {
            sum += entry.counts();
        }
        sum
    }
}

/// Collects services and the hooks around all of them.
#[derive(Debug, Default)]
#[must_use]
pub struct RegistryBuilder {
    services: Vec<(String, Service)>,
    hooks: Hooks,
}

impl RegistryBuilder {
    /// Add a service. Two of one name share it, as long as their handlers have different names.
    pub fn service(mut self, name: impl Into<String>, service: Service) -> Self {
        self.services.push((name.into(), service));
        self
    }

    /// Whether a request for it is answered by a handler.
    pub(crate) fn answers(&self, service: &str, method: &str) -> bool {
        let drafts = self.services.iter().filter(|(name, _)| name == service).flat_map(|(_, service)| &service.drafts);
        drafts.into_iter().any(|draft| draft.kind == Kind::Request && draft.name == method)
    }

    /// The hooks around every handler: they run outside those of its service.
    pub(crate) fn hooks(&mut self) -> &mut Hooks {
        &mut self.hooks
    }

    /// The finished registry.
    ///
    /// # Errors
    /// Two handlers have one name, or a name cannot stand in a route.
    pub fn build(self) -> Result<Registry, RegistryError> {
        let mut registry = Registry::default();
        for (service_name, service) in self.services {
            let hooks = self.hooks.around(&service.hooks);
            for draft in service.drafts {
                let handler = format!("{} `{}`", draft.kind, draft.path);
                if let Some(name) = [&*service_name, &*draft.name].into_iter().find(|name| !is_route_part(name)) {
                    return Err(RegistryError::Name { name: name.to_owned(), handler });
                }
                let route = format!("{service_name}.{}", draft.name);
                if draft.kind == Kind::Disconnect {
                    registry.disconnects.push(Arc::new(Entry::new(route, draft, Hooks::default())));
                    continue;
                }
                match registry.entries.entry(route.clone().into()) {
                    hash_map::Entry::Vacant(free) => {
                        free.insert(Arc::new(Entry::new(route, draft, hooks.clone())));
                    }
                    hash_map::Entry::Occupied(taken) => {
                        let first = format!("{} `{}`", taken.get().kind(), taken.get().path());
                        return Err(RegistryError::Duplicate { route, first, second: handler });
                    }
                }
            }
        }
        Ok(registry)
    }
}

fn is_route_part(name: &str) -> bool {
    !name.trim().is_empty() && !name.contains('.')
}
