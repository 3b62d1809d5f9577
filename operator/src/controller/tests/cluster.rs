//! An API server with a memory, which can be told to fail.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::get};
use cereus_crds::{contract::variables, names::SERVER_LABEL};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{
    Client,
    client::Body,
    core::{DeserializeGuard, DynamicObject},
    runtime::{reflector::store::Writer as CacheWriter, watcher::Event},
};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{SemaphorePermit, watch},
    time::Instant,
};
use tokio_util::task::TaskTracker;
use tower_test::mock::{self, Handle};

use super::at;
use crate::{
    controller::{
        Metrics, Settings, Shared, Writer, after_failure, caches::Caches, context::Context, error::Failure,
        kinds::Kind, reconcile,
    },
    lease::Leadership,
    sessions::Survey,
};

/// The port at which servers are asked: each has an address of its own. No port that is handed out to whoever asks.
const ADMIN_PORT: u16 = 13270;

/// The played API server, and an operator that uses it.
pub(super) struct Cluster {
    api: Arc<Api>,
    shared: Arc<Shared>,
    leads: watch::Sender<Option<Instant>>,
    tasks: TaskTracker,
    server_type: String,
    asked: Arc<AtomicU64>,
}

/// What a webhook does to an object.
type Rewrite = fn(&mut Value);

#[derive(Default)]
struct Api {
    /// By `<plural>/<name>`.
    objects: Mutex<BTreeMap<String, Value>>,
    requests: Mutex<Vec<(String, String)>>,
    events: Mutex<Vec<Value>>,
    failure: Mutex<Option<(String, StatusCode, Value)>>,
    silent: Mutex<Option<String>>,
    /// What is done to objects at this path when they are applied.
    rewrite: Mutex<Option<(String, Rewrite)>>,
    revision: AtomicU64,
}

impl Cluster {
    /// A cluster with this ServerType in it.
    pub(super) fn with(manifest: &str) -> Self {
        let (service, handle) = mock::pair::<Request<Body>, Response<Body>>();
        let client = Client::new(service, "cereus-system");
        let (api, tasks) = (Arc::new(Api::default()), TaskTracker::new());
        tasks.spawn(api.clone().serve(handle));
        let (leads, leadership) = Leadership::until(Some(Instant::now() + Duration::from_hours(1)));
        let metrics = Metrics::new(&mut Registry::default());
        let settings = Settings {
            operator_namespace: "cereus-system".to_owned(),
            admin_namespaces: vec!["cereus-system".to_owned()],
        };
        let writer = Writer::new(client.clone(), leadership, metrics.clone());
        let shared = Shared::new(settings, client, writer, Survey::new(ADMIN_PORT), metrics, 1);
        let manifest: Value = serde_yaml::from_str(manifest).unwrap();
        let server_type = format!("servertypes/{}", manifest["metadata"]["name"].as_str().unwrap());
        api.objects.lock().insert(server_type.clone(), manifest);
        Self { api, shared: Arc::new(shared), leads, tasks, server_type, asked: Arc::default() }
    }

    /// One run with what the cluster holds now; a failure with when it is made again.
    pub(super) async fn run(&self) -> Result<(), (Failure, Duration)> {
        let context = Arc::new(Context { shared: self.shared.clone(), caches: self.api.caches() });
        let object = self.object(&self.server_type).unwrap();
        let object: Arc<DeserializeGuard<_>> = Arc::new(serde_json::from_value(object).unwrap());
        let Err(error) = reconcile(object.clone(), context.clone()).await else { return Ok(()) };
        let action = format!("{:?}", after_failure(object, &error, context));
        // An Action does not tell its delay otherwise: `Action { requeue_after: Some(250ms) }`.
        let delay = action.split(['(', ')']).nth(1).unwrap();
        Err((error.failure(), delay.parse::<cereus_crds::DurationText>().unwrap().get()))
    }

    /// Take a turn for as long as this is kept; there is one.
    pub(super) fn turn(&self) -> SemaphorePermit<'_> {
        self.shared.limit.try_acquire().unwrap()
    }

    /// Run until everything is written.
    pub(super) async fn settle(&self) {
        for _ in 0..3 {
            self.run().await.unwrap();
        }
        self.requests();
        self.events();
    }

    /// Delete an object, as somebody else.
    pub(super) fn delete(&self, path: &str) {
        self.api.objects.lock().remove(path).unwrap();
    }

    /// The object at `<plural>/<name>`.
    pub(super) fn object(&self, path: &str) -> Option<Value> {
        self.api.objects.lock().get(path).cloned()
    }

    /// Put an object there, as somebody else.
    pub(super) fn put(&self, api_version: &str, path: &str, mut object: Value) {
        object["apiVersion"] = json!(api_version.trim_start_matches("apis/").trim_start_matches("api/"));
        self.api.objects.lock().insert(path.to_owned(), object);
    }

    /// Change an object, as somebody else.
    pub(super) fn edit(&self, path: &str, edit: impl FnOnce(&mut Value)) {
        let mut objects = self.api.objects.lock();
        let object = objects.get_mut(path).unwrap();
        edit(object);
        if at(object, "metadata/resourceVersion").is_some() {
            object["metadata"]["resourceVersion"] = self.api.next_version();
        }
    }

    /// A server that says how many sessions it holds.
    pub(super) async fn server(&self, name: &str, sessions: u64) {
        let (_, server_type) = self.server_type.split_once('/').unwrap();
        let address = self.answers(json!({ "sessions": sessions, "pins": 0 })).await;
        self.put("api/v1", &format!("pods/{name}"), pod(name, server_type, address, &json!([])));
    }

    /// A server that takes messages and does not say how many sessions it holds: nobody accepts its connections.
    pub(super) async fn server_that_hangs(&self, name: &str) -> TcpListener {
        let (_, server_type) = self.server_type.split_once('/').unwrap();
        let address = address();
        self.put("api/v1", &format!("pods/{name}"), pod(name, server_type, address, &json!([])));
        TcpListener::bind((address, ADMIN_PORT)).await.unwrap()
    }

    /// A server in another language, which cannot be asked.
    pub(super) fn silent_server(&self, name: &str) {
        let (_, server_type) = self.server_type.split_once('/').unwrap();
        self.put("api/v1", &format!("pods/{name}"), pod(name, server_type, Ipv4Addr::UNSPECIFIED, &json!([])));
    }

    /// A frontend of another type, which says how many sessions it keeps to which server.
    pub(super) async fn frontend(&self, name: &str, kept: &[(&str, u64)]) {
        let link = |(server, sessions): &(&str, u64)| json!({ "server": server, "sessions": sessions });
        let links: Vec<_> = kept.iter().map(link).collect();
        let address = self.answers(json!({ "sessions": 100, "pins": 0, "links": links })).await;
        let env = json!([{ "name": variables::FRONTEND, "value": "true" }]);
        self.put("api/v1", &format!("pods/{name}"), pod(name, "connector", address, &env));
    }

    /// Answer `/status` on an admin port.
    async fn answers(&self, status: Value) -> Ipv4Addr {
        let address = address();
        let listener = TcpListener::bind((address, ADMIN_PORT)).await.unwrap();
        let asked = self.asked.clone();
        let status = get(async move || {
            asked.fetch_add(1, Ordering::Relaxed);
            axum::Json(status)
        });
        self.tasks.spawn(async move { axum::serve(listener, Router::new().route("/status", status)).await });
        address
    }

    /// How often servers were asked so far.
    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Let requests that begin with `request` fail.
    pub(super) fn fail(&self, request: &str, status: StatusCode, details: &Value) {
        *self.api.failure.lock() = Some((request.to_owned(), status, details.clone()));
    }

    /// Let nothing fail any more.
    pub(super) fn heal(&self) {
        *self.api.failure.lock() = None;
    }

    /// Never answer requests that begin with `request`.
    pub(super) fn hang(&self, request: &str) {
        *self.api.silent.lock() = Some(request.to_owned());
    }

    /// Whenever an object is applied at this path, store something else, as webhooks do.
    pub(super) fn rewrite(&self, path: &str, rewrite: Rewrite) {
        *self.api.rewrite.lock() = Some((path.to_owned(), rewrite));
    }

    /// Another operator leads from now on.
    pub(super) fn depose(&self) {
        self.leads.send_replace(None);
    }

    /// This operator leads again, after another did.
    pub(super) fn lead_again(&self) {
        self.shared.forget_all();
    }

    /// The requests since they were last asked for.
    pub(super) fn requests(&self) -> Vec<String> {
        self.api.requests.lock().drain(..).map(|(request, _)| request).collect()
    }

    /// Those among them that change something.
    pub(super) fn writes(&self) -> Vec<String> {
        self.requests().into_iter().filter(|request| !request.starts_with("GET")).collect()
    }

    /// The queries of those among them that name who they are from.
    pub(super) fn queries(&self) -> Vec<String> {
        let changes = |request: &str| request.starts_with("PATCH") || request.starts_with("POST secrets");
        self.api.requests.lock().drain(..).filter(|(request, _)| changes(request)).map(|(_, query)| query).collect()
    }

    /// The reasons of the events since they were last asked for.
    pub(super) fn events(&self) -> Vec<String> {
        self.told("reason")
    }

    /// What the events since they were last asked for say.
    pub(super) fn notes(&self) -> Vec<String> {
        self.told("note")
    }

    fn told(&self, field: &str) -> Vec<String> {
        self.api.events.lock().drain(..).map(|event| event[field].as_str().unwrap().to_owned()).collect()
    }
}

impl Api {
    async fn serve(self: Arc<Self>, mut handle: Handle<Request<Body>, Response<Body>>) {
        let mut unanswered = Vec::new();
        while let Some((request, reply)) = handle.next_request().await {
            let (parts, body) = request.into_parts();
            if self.silent.lock().as_ref().is_some_and(|silent| shown(&parts).starts_with(silent)) {
                unanswered.push(reply);
                continue;
            }
            let body = body.collect().await.unwrap().to_bytes();
            let (status, body) = self.answer(&parts, serde_json::from_slice(&body).unwrap_or_default());
            let body = Body::from(body.to_string().into_bytes());
            reply.send_response(Response::builder().status(status).body(body).unwrap());
        }
    }

    fn answer(&self, request: &http::request::Parts, body: Value) -> (StatusCode, Value) {
        let (path, shown) = (path(request), shown(request));
        self.requests.lock().push((shown.clone(), request.uri.query().unwrap_or_default().to_owned()));
        if let Some((failing, status, details)) = &*self.failure.lock()
            && shown.starts_with(failing)
        {
            return failure(*status, details);
        }
        let mut objects = self.objects.lock();
        match request.method {
            Method::GET => objects.get(path).map_or_else(not_found, |object| (StatusCode::OK, object.clone())),
            Method::DELETE => objects.remove(path).map_or_else(not_found, |object| (StatusCode::OK, object)),
            Method::POST if path == "events" => {
                if body["note"].as_str().unwrap().len() > 1024 {
                    return failure(StatusCode::UNPROCESSABLE_ENTITY, &json!({}));
                }
                self.events.lock().push(body.clone());
                (StatusCode::CREATED, body)
            }
            Method::POST => {
                let path = format!("{path}/{}", body["metadata"]["name"].as_str().unwrap());
                objects.insert(path, self.stored(body.clone()));
                (StatusCode::CREATED, body)
            }
            Method::PATCH => {
                let status = path.strip_suffix("/status");
                let merge = request.headers["content-type"].to_str().unwrap().contains("merge-patch");
                let object = objects.entry(status.unwrap_or(path).to_owned()).or_default();
                match status {
                    Some(_) => object["status"] = body["status"].clone(),
                    None if merge => object["metadata"]["annotations"] = body["metadata"]["annotations"].clone(),
                    None => self.apply(path, object, body),
                }
                (StatusCode::OK, object.clone())
            }
            _ => failure(StatusCode::METHOD_NOT_ALLOWED, &json!({})),
        }
    }

    /// What is there already is not stored again.
    fn apply(&self, path: &str, object: &mut Value, mut body: Value) {
        if let Some((at, rewrite)) = &*self.rewrite.lock()
            && at == path
        {
            rewrite(&mut body);
        }
        let mut applied = self.stored(body);
        let version = std::mem::take(&mut applied["metadata"]["resourceVersion"]);
        let before = at(object, "metadata/resourceVersion").cloned();
        applied["metadata"]["resourceVersion"] = before.unwrap_or_default();
        if applied != *object {
            applied["metadata"]["resourceVersion"] = version;
            *object = applied;
        }
    }

    /// What the API server adds to what it is given: it says where an object is, and that a Deployment was carried out.
    fn stored(&self, mut object: Value) -> Value {
        let authority = object["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("authority-"));
        object["metadata"]["namespace"] = json!(if authority { "cereus-system" } else { "game" });
        object["metadata"]["resourceVersion"] = self.next_version();
        if object["kind"] == "Deployment" {
            let replicas = object["spec"]["replicas"].clone();
            object["status"] = json!({ "replicas": replicas, "readyReplicas": replicas, "updatedReplicas": replicas, "availableReplicas": replicas });
        }
        object
    }

    fn next_version(&self) -> Value {
        json!(self.revision.fetch_add(1, Ordering::Relaxed).to_string())
    }

    /// What watches would have seen by now.
    fn caches(&self) -> Caches {
        let objects = self.objects.lock();
        let named = |plural: &str| -> Vec<Value> {
            objects
                .iter()
                .filter(|(path, _)| path.split('/').next() == Some(plural))
                .map(|(_, object)| object.clone())
                .collect()
        };
        let ours =
            |object: &Value| at(object, "metadata/labels").is_some_and(|labels| labels.get(SERVER_LABEL).is_some());
        let kinds = Kind::ALL.map(|kind| {
            let resource = kind.resource();
            let found = named(&resource.plural).into_iter().filter(ours);
            (kind, fill(CacheWriter::<DynamicObject>::new(resource), found.collect()).as_reader())
        });
        Caches {
            objects: kinds.into(),
            pods: fill(CacheWriter::<Pod>::default(), named("pods")).as_reader(),
            authorities: fill(CacheWriter::<Secret>::default(), named("secrets")).as_reader(),
        }
    }
}

/// The path of a request within its namespace.
fn path(request: &http::request::Parts) -> &str {
    let path = request.uri.path();
    path.split_once("/namespaces/").and_then(|(_, rest)| rest.split_once('/')).map_or(path, |(_, rest)| rest)
}

/// A request as tests name it: `PATCH deployments/room`.
fn shown(request: &http::request::Parts) -> String {
    format!("{} {}", request.method, path(request))
}

/// An address of this process' own that no other test has.
fn address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, high, low, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A pod that takes messages.
fn pod(name: &str, server_type: &str, address: Ipv4Addr, env: &Value) -> Value {
    let container = json!({
        "name": "server", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": { "running": {} },
    });
    json!({
        "metadata": { "name": name, "namespace": "game", "uid": name, "labels": { SERVER_LABEL: server_type } },
        "spec": { "containers": [{ "name": "server", "env": env }] },
        "status": {
            "podIP": address.to_string(),
            "conditions": [{ "type": "Ready", "status": "True" }],
            "containerStatuses": [container],
        },
    })
}

fn fill<K>(mut writer: CacheWriter<K>, objects: Vec<Value>) -> CacheWriter<K>
where
    K: kube::Resource + Clone + DeserializeOwned + 'static,
    K::DynamicType: std::hash::Hash + Eq + Clone,
{
    writer.apply_watcher_event(&Event::Init);
    for object in objects {
        writer.apply_watcher_event(&Event::InitApply(serde_json::from_value(object).unwrap()));
    }
    writer.apply_watcher_event(&Event::InitDone);
    writer
}

fn not_found() -> (StatusCode, Value) {
    failure(StatusCode::NOT_FOUND, &json!({}))
}

fn failure(code: StatusCode, details: &Value) -> (StatusCode, Value) {
    let reason = code.canonical_reason().unwrap().replace(' ', "");
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": reason, "reason": reason,
        "code": code.as_u16(), "details": details,
    });
    (code, status)
}
