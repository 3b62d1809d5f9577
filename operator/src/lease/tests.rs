use std::{sync::Arc, time::Duration};

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Client, client::Body};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{DURATION, Keeper, PERIOD, TRUSTED};

/// An API server with one Lease; `reachable` false: it fails.
#[derive(Debug, Default)]
struct Server {
    lease: Mutex<Option<Lease>>,
    version: Mutex<u64>,
    unreachable: Mutex<Vec<String>>,
}

impl Server {
    /// A client of it, called `name`.
    fn client(self: &Arc<Self>, name: &'static str) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                if server.unreachable.lock().iter().any(|unreachable| unreachable == name) {
                    return Err("unreachable".into());
                }
                let method = request.method().clone();
                let body = request.into_body().collect().await?.to_bytes();
                let (status, body) = server.answer(&method, &body);
                let response = Response::builder().status(status).body(Body::from(body.to_string().into_bytes()));
                Ok::<_, tower::BoxError>(response?)
            }
        });
        Client::new(service, "cereus-system")
    }

    fn answer(&self, method: &Method, body: &[u8]) -> (StatusCode, Value) {
        let failure = |code: u16, reason: &str| {
            let status =
                json!({ "kind": "Status", "status": "Failure", "message": reason, "reason": reason, "code": code });
            (StatusCode::from_u16(code).unwrap(), status)
        };
        let mut lease = self.lease.lock();
        if method == Method::GET {
            return match &*lease {
                Some(lease) => (StatusCode::OK, serde_json::to_value(lease).unwrap()),
                None => failure(404, "NotFound"),
            };
        }
        let mut new: Lease = serde_json::from_slice(body).unwrap();
        let current = lease.as_ref().and_then(|lease| lease.metadata.resource_version.clone());
        if current != new.metadata.resource_version {
            return failure(409, "Conflict");
        }
        let mut version = self.version.lock();
        *version += 1;
        new.metadata.resource_version = Some(version.to_string());
        *lease = Some(new.clone());
        (StatusCode::OK, serde_json::to_value(new).unwrap())
    }

    fn holder(&self) -> Option<String> {
        self.lease.lock().as_ref()?.spec.as_ref()?.holder_identity.clone()
    }

    fn cut_off(&self, name: &str) {
        self.unreachable.lock().push(name.to_owned());
    }
}

fn keeper(server: &Arc<Server>, name: &'static str) -> Keeper {
    Keeper::new(server.client(name), "cereus-system", "cereus-operator", name.to_owned())
}

#[tokio::test(start_paused = true)]
async fn one_of_two_leads() {
    let server = Arc::new(Server::default());
    let (mut a, mut b) = (keeper(&server, "a"), keeper(&server, "b"));
    let (leads_a, leads_b) = (a.leadership(), b.leadership());
    for _ in 0..20 {
        a.tick().await;
        b.tick().await;
        assert!(leads_a.holds() && !leads_b.holds());
        tokio::time::advance(PERIOD).await;
    }
    assert_eq!(server.holder().as_deref(), Some("a"));
}

/// Through every moment of a leader that loses the API server: never two, and another within 20 s.
#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_stops_before_another_begins() {
    let server = Arc::new(Server::default());
    let (mut a, mut b) = (keeper(&server, "a"), keeper(&server, "b"));
    let (leads_a, leads_b) = (a.leadership(), b.leadership());
    a.tick().await;
    b.tick().await;
    server.cut_off("a");
    let begin = Instant::now();
    let mut stopped = None;
    let mut taken = None;
    for tick in 0.. {
        tokio::time::advance(Duration::from_millis(250)).await;
        if tick % 8 == 3 {
            a.tick().await;
        }
        if tick % 8 == 7 {
            b.tick().await;
        }
        assert!(!(leads_a.holds() && leads_b.holds()), "both lead after {:?}", begin.elapsed());
        if !leads_a.holds() {
            stopped.get_or_insert(begin.elapsed());
        }
        if leads_b.holds() {
            taken = Some(begin.elapsed());
            break;
        }
    }
    assert_eq!(stopped, Some(TRUSTED));
    assert!(taken.unwrap() >= DURATION && taken.unwrap() < Duration::from_secs(16), "{taken:?}");
    assert_eq!(server.lease.lock().as_ref().unwrap().spec.as_ref().unwrap().lease_transitions, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_stops_hands_over_at_once() {
    let server = Arc::new(Server::default());
    let (mut a, mut b) = (keeper(&server, "a"), keeper(&server, "b"));
    let (leads_a, leads_b) = (a.leadership(), b.leadership());
    a.tick().await;
    b.tick().await;
    a.run(std::future::ready(())).await;
    assert!(!leads_a.holds());
    b.tick().await;
    assert!(leads_b.holds());
}

#[tokio::test(start_paused = true)]
async fn of_two_who_see_a_lease_end_one_gets_it() {
    let server = Arc::new(Server::default());
    keeper(&server, "gone").tick().await;
    let (mut a, mut b) = (keeper(&server, "a"), keeper(&server, "b"));
    a.tick().await;
    b.tick().await;
    tokio::time::advance(DURATION).await;
    tokio::join!(a.tick(), b.tick());
    assert!(a.leadership().holds() != b.leadership().holds());
}

#[tokio::test(start_paused = true)]
async fn gaining_and_losing_are_told() {
    let server = Arc::new(Server::default());
    let mut a = keeper(&server, "a");
    let mut leadership = a.leadership();
    a.tick().await;
    leadership.gained().await;
    let begin = Instant::now();
    leadership.lost().await;
    assert_eq!(begin.elapsed(), TRUSTED);
}
