//! A backend, the frontend that calls it, and what the backend does with the frontend's sessions: pushes and pins.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::forward::remote_agent::RemoteAgent;
use crate::forward::testing::{Socket, accept, quiet, request, server, spawner};
use crate::forward::{Events, Incoming, IncomingParts, Pins, RemoteLanes, Sessions};
use crate::handler::{self, Registry, Runtime, Service};
use crate::lanes::{Placement, Spawner};
use crate::request::App;
use crate::router::{self, Router, RoutingFunctions};
use crate::rpc::bench_support::Deaf;
use crate::rpc::tests::support::{Network, identity};
use crate::rpc::{Caller, Config, Families, Link, Links, Outcome, Standing, proto};
use crate::session::{CloseReason, Entity, Entry, Pool, PushError, Record, SessionId};
use crate::topology::{Publisher, Server, Snapshot, Topology};

/// A server of the type `room` that handles what others send it.
pub(super) struct Back {
    pub(super) network: Network,
    pub(super) server: Server,
    pub(super) links: Arc<Links>,
    pub(super) incoming: Arc<Incoming>,
    pub(super) registry: Arc<Registry>,
    pub(super) lanes: Arc<RemoteLanes>,
    pub(super) pins: Arc<Pins>,
    pub(super) placement: Arc<Placement>,
    pub(super) work: Spawner,
}

impl Back {
    /// With `service` as `test`, whose handlers share `state`, and room for 8 requests on a link.
    pub(super) fn start<T: Send + Sync + 'static>(service: Service, state: &Arc<T>) -> Self {
        Self::start_on(&[spawner()], 8, service, state)
    }

    /// As `start`, with workers whose lanes run on `work`, and room for `room` requests on a link.
    pub(super) fn start_on<T: Send + Sync + 'static>(
        work: &[Spawner],
        room: usize,
        service: Service,
        state: &Arc<T>,
    ) -> Self {
        let (network, server) = (Network::default(), server("back", 1));
        let app = App::builder("back", "room").build();
        app.provide(state.clone());
        let registry = Arc::new(Registry::builder().service("test", service).build().unwrap());
        let lanes = Arc::new(RemoteLanes::new());
        let (pins, placement) = (Pins::new(lanes.clone()), Arc::new(Placement::new(work.len())));
        let incoming = Arc::new(Incoming::new(IncomingParts {
            server_type: "room".into(),
            registry: registry.clone(),
            handlers: Arc::new(Runtime::new(handler::Config::default(), tokio::runtime::Handle::current())),
            apps: work.iter().map(|_| app.on_worker()).collect(),
            lanes: lanes.clone(),
            pins: pins.clone(),
            spawners: work.into(),
            placement: placement.clone(),
            worker: 0,
            requests_per_link: room,
            hand_overs: 1,
            refused: AtomicU64::new(0),
        }));
        let families = |links: &Arc<Links>| Families {
            requests: incoming.clone(),
            sessions: Arc::new(crate::rpc::tests::support::Stub::default()),
            links: Arc::new(Events::new(links.clone(), Arc::new(Pool::new()), pins.clone(), Arc::default())),
            channels: Arc::new(Deaf),
        };
        let links = accept(&network, &server, identity("back", "json"), families);
        Self { network, server, links, incoming, registry, lanes, pins, placement, work: work[0].clone() }
    }

    /// The other end of a session, as its handlers have it.
    pub(super) fn entity(&self, session: i64) -> Arc<dyn Entity> {
        let link = self.links.accepted();
        let key = (link.incarnation(), session);
        Arc::new(RemoteAgent::new(link, key, self.pins.clone()))
    }
}

/// A frontend with a link to a backend.
pub(super) struct Front {
    pub(super) router: Arc<Router>,
    pub(super) pool: Arc<Pool>,
    pub(super) publisher: Publisher,
    pub(super) link: Arc<Link>,
    pub(super) ends: Arc<Ends>,
}

impl Front {
    pub(super) async fn start(back: &Back) -> Self {
        let (publisher, topology) = Topology::channel(Snapshot::new([back.server.clone()], []));
        let links = Links::with_connector(identity("front", "json"), 0, &Config::default(), back.network.clone());
        let router =
            Router::new(router::Config::default(), topology, links.clone(), Arc::new(RoutingFunctions::default()));
        let (pool, pins) = (Arc::new(Pool::new()), Pins::new(Arc::new(RemoteLanes::new())));
        links.attach(Families {
            requests: Arc::new(crate::rpc::tests::support::Stub::default()),
            sessions: Arc::new(Sessions::new(pool.clone(), router.clone())),
            links: Arc::new(Events::new(links.clone(), pool.clone(), pins, Arc::new(Notify::new()))),
            channels: Arc::new(Deaf),
        });
        spawner().spawn(router.clone().follow());
        let link = links.open(&back.server);
        quiet().await;
        assert_eq!(link.standing(), Standing::Live);
        Self { router, pool, publisher, link, ends: Arc::default() }
    }

    /// Sends a request; its token is the count of those before it. Gives the call's id.
    pub(super) fn call(&self, request: proto::Request) -> u64 {
        let mut ends = self.ends.0.lock();
        ends.0 += 1;
        let token = ends.0 - 1;
        drop(ends);
        self.link.call(request, self.ends.clone(), token).unwrap()
    }

    /// How calls ended since the last time, in the order of their ends: token and what came.
    pub(super) fn ends(&self) -> Vec<String> {
        std::mem::take(&mut self.ends.0.lock().1)
    }

    /// A session with a connection that takes everything.
    pub(super) fn session(&self, id: i64) -> Arc<Record> {
        let record = Arc::new(Record::new(SessionId::try_from(id).unwrap()));
        self.pool.insert(Arc::new(Entry { record: record.clone(), entity: Arc::new(Socket) }));
        record
    }
}

/// How many calls were made, and how they ended.
#[derive(Default)]
pub(super) struct Ends(Mutex<(u64, Vec<String>)>);

impl Caller for Ends {
    fn complete(self: Arc<Self>, token: u64, outcome: Outcome) {
        use proto::response::Outcome as Answer;
        let how = match outcome {
            Outcome::Answered(None) => String::new(),
            Outcome::Answered(Some(Answer::Body(body))) => String::from_utf8_lossy(&body).into_owned(),
            Outcome::Answered(Some(Answer::Error(error))) => error.code,
            Outcome::Answered(Some(other)) => format!("{other:?}"),
            Outcome::NotExecuted(_) => "not executed".to_owned(),
            Outcome::Lost => "lost".to_owned(),
        };
        self.0.lock().1.push(format!("{token} {how}"));
    }
}

fn id(session: i64) -> SessionId {
    SessionId::try_from(session).unwrap()
}

async fn pair() -> (Back, Front) {
    let back = Back::start(Service::new(), &Arc::new(()));
    let front = Front::start(&back).await;
    (back, front)
}

#[tokio::test(start_paused = true)]
async fn a_push_that_no_link_takes_is_too_large_and_waits_for_nothing() {
    let (back, _front) = pair().await;
    let entity = back.entity(256);
    let body = Bytes::from(vec![0; Config::default().max_frame]);
    assert_eq!(entity.try_push(id(256), "route", &body), Err(PushError::TooLarge));
}

#[tokio::test(start_paused = true)]
async fn a_push_on_a_link_that_closes_is_closed_and_waits_for_nothing() {
    let (back, _front) = pair().await;
    let entity = back.entity(256);
    back.links.close();
    assert_eq!(entity.try_push(id(256), "route", &Bytes::new()), Err(PushError::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_pin_holds_both_ends_until_it_is_undone() {
    let (back, front) = pair().await;
    let (record, entity) = (front.session(256), back.entity(256));
    let (pinned, again) = tokio::join!(entity.pin(id(256)), entity.pin(id(256)));
    pinned.and(again).unwrap();
    assert_eq!((back.pins.len(), record.pinned("room").as_deref()), (1, Some("back")));
    // The topology lists the server no more: the link stays for the pin.
    front.publisher.publish(Snapshot::default());
    quiet().await;
    entity.unpin(id(256));
    quiet().await;
    assert_eq!((back.pins.len(), record.pinned("room").as_deref()), (1, Some("back")));
    assert_eq!(front.link.standing(), Standing::Live);
    entity.unpin(id(256));
    quiet().await;
    assert_eq!((back.pins.len(), record.pinned("room")), (0, None));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(front.link.standing(), Standing::Down);
}

#[tokio::test(start_paused = true)]
async fn a_pin_of_a_session_that_ends_meanwhile_is_not_left_behind() {
    let (back, front) = pair().await;
    let (record, entity) = (front.session(256), back.entity(256));
    let pinning = spawner().spawn(entity.pin(id(256)));
    // The frontend grants the pin, and says in the same breath that the session has ended.
    while record.pinned("room").is_none() {
        tokio::task::yield_now().await;
    }
    let session = request(256, "", "").session;
    front.link.send(proto::Closed { session, reason: CloseReason::ClientClosed.number() }.into());
    quiet().await;
    pinning.await.unwrap().unwrap();
    assert_eq!(back.pins.len(), 0);
    assert!(back.lanes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_pin_that_is_not_granted_is_none() {
    let (back, front) = pair().await;
    assert_eq!(back.entity(256).pin(id(256)).await.unwrap_err().message(), "session not found");
    assert_eq!(back.pins.len(), 0);
    // An unpin too many undoes nobody's pin.
    let record = front.session(512);
    record.pin(&"room".into(), &"back".into());
    back.entity(512).unpin(id(512));
    quiet().await;
    assert_eq!(record.pinned("room").as_deref(), Some("back"));
}

#[tokio::test(start_paused = true)]
async fn a_lost_link_ends_the_pins_on_both_ends() {
    let (back, front) = pair().await;
    let (record, entity) = (front.session(256), back.entity(256));
    entity.pin(id(256)).await.unwrap();
    back.network.cut();
    quiet().await;
    assert_eq!((back.pins.len(), record.pinned("room")), (0, None));
    // The hold of the link is gone with it: nothing keeps it once the server has left.
    front.publisher.publish(Snapshot::default());
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(front.router.link("back").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_pin_over_a_new_link_outlives_the_link_before() {
    let (back, front) = pair().await;
    front.session(256);
    let key = (back.links.accepted().incarnation(), 256);
    let stale = back.entity(256);
    stale.pin(id(256)).await.unwrap();
    // The frontend has another link before the loss of the first is noticed here.
    let again = Front::start(&back).await;
    let record = again.session(256);
    let entity = RemoteAgent::new(back.links.accepted(), key, back.pins.clone());
    entity.pin(id(256)).await.unwrap();
    front.publisher.publish(Snapshot::default());
    quiet().await;
    front.link.release();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((front.link.standing(), back.pins.len()), (Standing::Down, 1));
    // Somebody has kept a handle of before: it has no way to the frontend, and undoes what there is.
    assert_eq!(stale.pin(id(256)).await.unwrap_err().code(), "PIT-502");
    assert_eq!((back.pins.len(), record.pinned("room").as_deref()), (1, Some("back")));
    stale.unpin(id(256));
    quiet().await;
    assert_eq!((back.pins.len(), record.pinned("room")), (0, None));
}

#[tokio::test(start_paused = true)]
async fn a_pin_that_one_link_did_not_grant_takes_none_from_the_next() {
    let (back, front) = pair().await;
    let key = (back.links.accepted().incarnation(), 256);
    let refused = back.entity(256).pin(id(256));
    let again = Front::start(&back).await;
    again.session(256);
    let entity = RemoteAgent::new(back.links.accepted(), key, back.pins.clone());
    entity.pin(id(256)).await.unwrap();
    assert_eq!(refused.await.unwrap_err().message(), "session not found");
    assert_eq!((back.pins.len(), front.pool.len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_pin_outlives_the_link_that_its_own_has_replaced() {
    let (back, front) = pair().await;
    let record = front.session(256);
    back.network.hold();
    front.publisher.publish(Snapshot::default());
    quiet().await;
    assert!(!front.link.is_taking());
    // The server is listed again before its link has ended.
    front.publisher.publish(Snapshot::new([back.server.clone()], []));
    let link = front.router.link_to("back").unwrap();
    assert_eq!(front.link.standing(), Standing::Live);
    link.hold();
    record.pin(&"room".into(), &"back".into());
    quiet().await;
    back.network.release();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((front.link.standing(), link.standing()), (Standing::Down, Standing::Live));
    assert_eq!(record.pinned("room").as_deref(), Some("back"));
}
