//! An API server that keeps two kinds of objects, and misbehaves when it is told to.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Weak},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, Query},
    http::{Request, StatusCode},
    response::{IntoResponse as _, Response},
    routing::get,
};
use futures_util::stream;
use kube::Client;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};
use tower::{ServiceExt as _, service_fn};

use super::{super::Access, PATIENCE};

pub(super) const NAMESPACE: &str = "arena";
pub(super) const SLICES: &str = "endpointslices";
pub(super) const TYPES: &str = "servertypes";

/// A handle on the server; clones are the same server.
#[derive(Clone)]
pub(super) struct Api {
    state: Arc<Mutex<State>>,
    /// Told after each change of the state.
    changed: watch::Sender<()>,
    /// Lets one page after the first of a list out, while pages are held.
    pub(super) pages: Arc<Notify>,
}

#[derive(Default)]
struct State {
    revision: u64,
    objects: BTreeMap<(String, String), Value>,
    log: Vec<Entry>,
    /// Changes up to this revision are forgotten.
    forgotten: u64,
    /// Watches that began in an earlier era are over.
    era: u64,
    mode: Mode,
    page: Option<usize>,
    holds_pages: bool,
    lists: usize,
    watches: usize,
}

/// One line of a watch.
#[derive(Clone)]
struct Entry {
    revision: u64,
    kind: String,
    line: String,
}

/// How requests are answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Mode {
    #[default]
    Well,
    /// With this status.
    Status(u16),
    /// Watches with this status.
    WatchStatus(u16),
    /// What is forgotten is told by a status in place of an event.
    Gone,
    /// Watches end at once.
    ShortWatches,
    /// As if nobody listened.
    Refused,
    /// Never.
    Silent,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parameters {
    watch: Option<bool>,
    resource_version: Option<u64>,
    #[serde(rename = "continue")]
    from: Option<usize>,
    limit: Option<usize>,
    label_selector: Option<String>,
}

impl Api {
    pub(super) fn new() -> Self {
        Self { state: Arc::default(), changed: watch::Sender::new(()), pages: Arc::default() }
    }

    /// How the watching reaches it, without any socket.
    pub(super) fn access(&self) -> Access {
        let (router, state) = (self.router(), Arc::downgrade(&self.state));
        let service = service_fn(move |request: Request<kube::client::Body>| {
            let (router, state) = (router.clone(), Weak::clone(&state));
            async move {
                if state.upgrade().is_none_or(|state| state.lock().mode == Mode::Refused) {
                    return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
                }
                Ok(router.oneshot(request.map(Body::new)).await.unwrap_or_else(|error| match error {}))
            }
        });
        Access { client: Client::new(service, NAMESPACE), namespace: NAMESPACE.into() }
    }

    /// What it serves, for a socket.
    pub(super) fn router(&self) -> Router {
        let api = self.clone();
        let answer = async move |Path((_, _, kind)): Path<(String, String, String)>, Query(parameters)| {
            api.answer(&kind, parameters).await
        };
        Router::new().route("/apis/{group}/{version}/namespaces/arena/{kind}", get(answer))
    }

    /// Add or replace an object.
    pub(super) fn put(&self, kind: &str, mut object: Value) {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        self.change(|state| {
            state.revision += 1;
            object["metadata"]["resourceVersion"] = json!(state.revision.to_string());
            let key = (kind.to_owned(), name);
            let what = if state.objects.contains_key(&key) { "MODIFIED" } else { "ADDED" };
            state.tell(kind, what, &object);
            state.objects.insert(key, object);
        });
    }

    pub(super) fn remove(&self, kind: &str, name: &str) {
        self.change(|state| {
            if let Some(mut object) = state.objects.remove(&(kind.to_owned(), name.to_owned())) {
                state.revision += 1;
                object["metadata"]["resourceVersion"] = json!(state.revision.to_string());
                state.tell(kind, "DELETED", &object);
            }
        });
    }

    /// Tell watches how far they are.
    pub(super) fn bookmark(&self, kind: &str) {
        self.change(|state| {
            let version = state.revision.to_string();
            let object = json!({ "kind": "Any", "apiVersion": "v1", "metadata": { "resourceVersion": version } });
            state.tell(kind, "BOOKMARK", &object);
        });
    }

    /// Send a line as it is to the watches of a kind.
    pub(super) fn say(&self, kind: &str, line: &str) {
        self.change(|state| {
            let (revision, kind, line) = (state.revision, kind.to_owned(), format!("{line}\n"));
            state.log.push(Entry { revision, kind, line });
        });
    }

    /// Break the connections of all watches.
    pub(super) fn cut(&self) {
        self.change(|state| state.era += 1);
    }

    /// Forget all changes so far: whoever asks for them gets a 410.
    pub(super) fn forget(&self) {
        self.change(|state| state.forgotten = state.revision);
    }

    pub(super) fn set_mode(&self, mode: Mode) {
        self.change(|state| state.mode = mode);
    }

    /// Lists have pages of this size, whatever is asked for; those after the first wait for `pages` when they are held.
    pub(super) fn set_pages(&self, size: usize, are_held: bool) {
        self.change(|state| (state.page, state.holds_pages) = (Some(size), are_held));
    }

    /// How many requests there were: pages of lists, and watches.
    pub(super) fn requests(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.lists, state.watches)
    }

    /// All objects of a kind.
    pub(super) fn objects(&self, kind: &str) -> Vec<Value> {
        let state = self.state.lock();
        state.objects.iter().filter(|((of, _), _)| of == kind).map(|(_, object)| object.clone()).collect()
    }

    /// Wait until it is so.
    pub(super) async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        let mut changes = self.changed.subscribe();
        let wait = async {
            while !is_so(self) {
                changes.changed().await.unwrap();
            }
        };
        assert!(timeout(PATIENCE, wait).await.is_ok(), "there were {:?} requests", self.requests());
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.lock());
        self.changed.send_replace(());
        result
    }

    async fn answer(&self, kind: &str, parameters: Parameters) -> Response {
        // Only slices that are ours are asked for.
        assert_eq!(parameters.label_selector.is_some(), kind == SLICES);
        let is_watch = parameters.watch == Some(true);
        let mode = self.change(|state| {
            *(if is_watch { &mut state.watches } else { &mut state.lists }) += 1;
            state.mode
        });
        match mode {
            Mode::Silent => std::future::pending().await,
            Mode::Status(code) => status(code).into_response(),
            Mode::WatchStatus(code) if is_watch => status(code).into_response(),
            Mode::ShortWatches if is_watch => Body::empty().into_response(),
            Mode::Gone if is_watch && parameters.resource_version < Some(self.state.lock().forgotten) => {
                status(410).into_response()
            }
            _ if is_watch => self.watch(kind, parameters.resource_version.unwrap_or_default()).into_response(),
            _ => self.list(kind, &parameters).await,
        }
    }

    async fn list(&self, kind: &str, parameters: &Parameters) -> Response {
        let from = parameters.from.unwrap_or_default();
        if from > 0 && self.state.lock().holds_pages {
            self.pages.notified().await;
        }
        let objects = self.objects(kind);
        let state = self.state.lock();
        if from > 0 && state.forgotten == state.revision {
            return status(410).into_response();
        }
        let limit = state.page.or(parameters.limit).unwrap_or(usize::MAX);
        let items: Vec<_> = objects.iter().skip(from).take(limit).collect();
        let next = from + items.len();
        let metadata = json!({
            "resourceVersion": state.revision.to_string(),
            "continue": if next < objects.len() { next.to_string() } else { String::new() },
        });
        // As some kinds have it when there are none.
        let items = if items.is_empty() { Value::Null } else { json!(items) };
        axum::Json(json!({ "kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items })).into_response()
    }

    fn watch(&self, kind: &str, version: u64) -> Body {
        struct Watching {
            api: Api,
            changes: watch::Receiver<()>,
            kind: String,
            era: u64,
            is_over: bool,
            next: usize,
        }
        let state = self.state.lock();
        if version < state.forgotten {
            let (_, error) = status(410);
            return Body::from(format!("{}\n", json!({ "type": "ERROR", "object": error.0 })));
        }
        let watching = Watching {
            api: self.clone(),
            changes: self.changed.subscribe(),
            kind: kind.to_owned(),
            era: state.era,
            is_over: false,
            next: state.log.partition_point(|entry| entry.revision <= version),
        };
        Body::from_stream(stream::unfold(watching, async |mut it| {
            while !it.is_over {
                let line: Result<String, io::Error> = {
                    let state = it.api.state.lock();
                    it.is_over = state.era != it.era;
                    let entries = &state.log[it.next..];
                    it.next = state.log.len();
                    if it.is_over {
                        Err(io::ErrorKind::ConnectionReset.into())
                    } else {
                        Ok(entries.iter().filter(|entry| entry.kind == it.kind).map(|entry| &*entry.line).collect())
                    }
                };
                if !line.as_ref().is_ok_and(String::is_empty) {
                    return Some((line.map(Bytes::from), it));
                }
                it.changes.changed().await.ok()?;
            }
            None
        }))
    }
}

impl State {
    fn tell(&mut self, kind: &str, what: &str, object: &Value) {
        let line = format!("{}\n", json!({ "type": what, "object": object }));
        self.log.push(Entry { revision: self.revision, kind: kind.to_owned(), line });
    }
}

fn status(code: u16) -> (StatusCode, axum::Json<Value>) {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!("told to answer {code}"), "reason": "Told", "code": code,
    });
    (StatusCode::from_u16(code).unwrap(), axum::Json(body))
}
