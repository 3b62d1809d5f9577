//! Reading all objects of one kind, and then following their changes.

use std::{error::Error as _, mem, time::Duration};

use futures_util::{Stream, StreamExt as _, stream, stream::BoxStream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::{
    Client, Resource,
    api::{ListParams, WatchEvent, WatchParams},
    core::{NamespaceResourceScope, Request},
};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{self, Instant};

/// How many objects are asked for at once.
const PAGE: u32 = 500;

/// How long a page of a list, or the beginning of a watch, may take.
const REQUEST: Duration = Duration::from_secs(30);

/// How many seconds a watch lasts before another goes on where it ended: some minutes, at random, so that the servers of a
/// cluster do not all come at once. The longest is what `kube` allows.
const LIFETIME: std::ops::Range<u32> = 200..290;

/// How much later than agreed a watch may end.
const OVERTIME: Duration = Duration::from_secs(15);

/// A watch that lasted for so long was a good one: what comes after it needs no pause.
const HEALTHY: Duration = Duration::from_secs(5);

/// The first pause after a failure, and the longest. Each is cut at random, to not less than half.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What the API server told.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Event {
    /// These are all objects there are.
    Listed(Vec<Value>),
    /// This object is new or another than before.
    Changed(Value),
    /// This object is gone.
    Removed(Value),
    /// Changes are followed, and nothing has changed.
    Current,
    /// Changes cannot be followed at the moment.
    Trouble(String),
}

/// All objects of a kind in a namespace.
#[derive(Debug)]
pub(super) struct Target {
    /// As the API calls the kind.
    plural: String,
    request: Request,
    label: Option<&'static str>,
}

impl Target {
    pub(super) fn of<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(namespace: &str) -> Self {
        let request = Request::new(K::url_path(&(), Some(namespace)));
        Self { plural: K::plural(&()).into_owned(), request, label: None }
    }

    /// Only those that have the label.
    pub(super) fn with_label(self, label: &'static str) -> Self {
        Self { label: Some(label), ..self }
    }
}

/// Tell all objects, and then every change, for ever. After a list was read anew, what is not in it is gone.
pub(super) fn follow(client: Client, target: Target) -> impl Stream<Item = Event> + Send {
    let state = ListWatch { client, target, position: Position::Nowhere, pause: None, failures: 0 };
    stream::unfold(state, async |mut state| Some((state.next().await, state)))
}

struct ListWatch {
    client: Client,
    target: Target,
    position: Position,
    /// To be made before the next request.
    pause: Option<Duration>,
    /// In a row.
    failures: u32,
}

#[derive(Default)]
enum Position {
    /// Nothing is known, or it is too old to go on from.
    #[default]
    Nowhere,
    /// Everything up to this resource version is told.
    At(String),
    Watching(Watch),
}

struct Watch {
    events: BoxStream<'static, kube::Result<WatchEvent<Value>>>,
    /// Everything up to this resource version is told.
    version: String,
    begun: Instant,
    end: Instant,
}

/// Why a request gave nothing.
enum Failure {
    /// The place to go on from is forgotten at the server.
    Gone,
    Other(String),
}

impl ListWatch {
    async fn next(&mut self) -> Event {
        loop {
            if let Some(pause) = self.pause.take() {
                time::sleep(pause).await;
            }
            let event = match mem::take(&mut self.position) {
                Position::Nowhere => Some(self.list().await),
                Position::At(version) => self.watch(version).await,
                Position::Watching(watch) => self.read(watch).await,
            };
            if let Some(event) = event {
                return event;
            }
        }
    }

    /// List, and remember where the list ends.
    async fn list(&mut self) -> Event {
        match self.all().await {
            Ok((objects, version)) => {
                self.position = Position::At(version);
                Event::Listed(objects)
            }
            Err(Failure::Gone) => self.trouble("listed", "the list changed too fast to be read"),
            Err(Failure::Other(cause)) => self.trouble("listed", &cause),
        }
    }

    async fn all(&mut self) -> Result<(Vec<Value>, String), Failure> {
        let mut objects = Vec::new();
        let mut page = ListParams { limit: Some(PAGE), ..ListParams::default() };
        page.label_selector = self.target.label.map(str::to_owned);
        loop {
            let request = self.target.request.list(&page).map_err(|error| Failure::Other(error.to_string()))?;
            let Page { metadata, items } = within(REQUEST, self.client.request(request)).await?;
            objects.extend(items.unwrap_or_default());
            page.continue_token = metadata.continue_.filter(|token| !token.is_empty());
            if page.continue_token.is_none() {
                let version = metadata.resource_version.filter(|version| !version.is_empty());
                let missing = || Failure::Other("the list has no resource version".to_owned());
                return Ok((objects, version.ok_or_else(missing)?));
            }
        }
    }

    /// Begin a watch at `version`.
    async fn watch(&mut self, version: String) -> Option<Event> {
        let lifetime = rand::random_range(LIFETIME);
        let parameters = WatchParams {
            label_selector: self.target.label.map(str::to_owned),
            timeout: Some(lifetime),
            ..WatchParams::default()
        };
        let request = match self.target.request.watch(&parameters, &version) {
            Ok(request) => request,
            Err(error) => return Some(self.trouble("watched", &error.to_string())),
        };
        match within(REQUEST, self.client.request_events(request)).await {
            Ok(events) => {
                let begun = Instant::now();
                let end = begun + Duration::from_secs(lifetime.into()) + OVERTIME;
                let events = events.boxed();
                self.position = Position::Watching(Watch { events, version, begun, end });
                Some(Event::Current)
            }
            Err(Failure::Gone) => {
                self.pause = Some(self.next_pause());
                None
            }
            Err(Failure::Other(cause)) => {
                self.position = Position::At(version);
                Some(self.trouble("watched", &cause))
            }
        }
    }

    /// The next event of a watch; none when it has ended.
    async fn read(&mut self, mut watch: Watch) -> Option<Event> {
        let position = match time::timeout_at(watch.end, watch.events.next()).await {
            Ok(Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)))) => {
                return Some(self.go_on(watch, version(&object), Event::Changed(object)));
            }
            Ok(Some(Ok(WatchEvent::Deleted(object)))) => {
                return Some(self.go_on(watch, version(&object), Event::Removed(object)));
            }
            Ok(Some(Ok(WatchEvent::Bookmark(bookmark)))) => {
                return Some(self.go_on(watch, Some(bookmark.metadata.resource_version), Event::Current));
            }
            // Too old, or a fault that says nothing of what was missed.
            Ok(Some(Ok(WatchEvent::Error(_)) | Err(kube::Error::Api(_) | kube::Error::SerdeError(_)))) => {
                Position::Nowhere
            }
            // The connection is lost, or the agreed time over.
            Ok(Some(Err(_)) | None) | Err(_) => Position::At(watch.version),
        };
        self.position = position;
        if watch.begun.elapsed() >= HEALTHY {
            self.failures = 0;
        } else {
            self.pause = Some(self.next_pause());
        }
        None
    }

    fn go_on(&mut self, watch: Watch, version: Option<String>, event: Event) -> Event {
        let version = version.filter(|version| !version.is_empty()).unwrap_or(watch.version);
        self.position = Position::Watching(Watch { version, ..watch });
        event
    }

    fn trouble(&mut self, what: &str, cause: &str) -> Event {
        self.pause = Some(self.next_pause());
        Event::Trouble(format!("{} cannot be {what}: {cause}", self.target.plural))
    }

    fn next_pause(&mut self) -> Duration {
        let doubled = PAUSE.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1);
        doubled.min(LONGEST_PAUSE).mul_f64(rand::random_range(0.5..1.0))
    }
}

/// A page of a list. The items are looked at one by one later, so that a bad one spoils nothing but itself.
#[derive(Clone, Deserialize)]
struct Page {
    #[serde(default)]
    metadata: ListMeta,
    items: Option<Vec<Value>>,
}

fn version(object: &Value) -> Option<String> {
    object.pointer("/metadata/resourceVersion").and_then(Value::as_str).map(str::to_owned)
}

async fn within<T>(limit: Duration, request: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
    match time::timeout(limit, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) if status.code == 410 => Err(Failure::Gone),
        Ok(Err(error)) => Err(Failure::Other(cause(&error))),
        Err(_) => Err(Failure::Other(format!("no answer within {} s", limit.as_secs()))),
    }
}

/// What is wrong, with all that lies behind it.
fn cause(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return format!("{} ({})", status.message, status.code);
    }
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
