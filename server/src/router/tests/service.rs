//! The router of a server, and the links that it opens and closes as the topology changes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use cereus_crds::{Policy, Routing, Zone};
use parking_lot::Mutex;

use crate::router::{Candidate, Config, Question, Router, RoutingFunction};
use crate::rpc::bench_support::Deaf;
use crate::rpc::tests::support::{Network, Node, Stub, identity, settle};
use crate::rpc::{Families, Link, Links, Standing};
use crate::session::{Record, SessionId};
use crate::topology::{Publisher, Server, Snapshot, Topology, TypeSettings};
use tokio_util::task::TaskTracker;

/// A router, the servers that it may choose, and the topology that lists them.
struct Rig {
    network: Network,
    router: Arc<Router>,
    publisher: Publisher,
    nodes: Vec<Node>,
}

fn snapshot(nodes: &[&Node]) -> Snapshot {
    let routing = Routing { policy: Policy::RoundRobin, ..Routing::default() };
    let settings = TypeSettings { routing, ..TypeSettings::default() };
    Snapshot::new(nodes.iter().map(|node| Server::clone(&node.server)), [("room".into(), settings)])
}

impl Rig {
    /// With `count` servers, the topology listing the first `listed`.
    fn start(count: u16, listed: usize, function: Option<Arc<RoutingFunction>>) -> Self {
        let network = Network::default();
        let nodes: Vec<_> = (0..count).map(|at| Node::start(&network, &format!("room-{at}"), 100 + at)).collect();
        let links = Links::with_connector(identity("near", "json"), 0, &crate::rpc::Config::default(), network.clone());
        let stub = Arc::new(Stub::default());
        links.attach(Families {
            requests: stub.clone(),
            sessions: stub.clone(),
            links: stub,
            channels: Arc::new(Deaf),
        });
        let (publisher, topology) = Topology::channel(snapshot(&nodes.iter().take(listed).collect::<Vec<_>>()));
        let functions: HashMap<_, _> = function.map(|function| ("room".to_owned(), function)).into_iter().collect();
        let router = Router::new(Config::default(), topology, links, Arc::new(functions));
        TaskTracker::new().spawn(router.clone().follow());
        Self { network, router, publisher, nodes }
    }

    async fn publish(&self, nodes: &[usize]) {
        self.publisher.publish(snapshot(&nodes.iter().map(|at| &self.nodes[*at]).collect::<Vec<_>>()));
        settle().await;
    }

    /// The links that are open, by server.
    fn open(&self) -> Vec<(String, Standing)> {
        let servers = self.nodes.iter().map(|node| &node.server.id);
        let links: Vec<Arc<Link>> = servers.filter_map(|id| self.router.link(id)).collect();
        links.iter().map(|link| (link.server().to_string(), link.standing())).collect()
    }

    fn choose(&self) -> Result<String, String> {
        let record = Record::new(SessionId::try_from(256).unwrap());
        let link = self.router.choose("room", &record, "room.hall.enter", b"body");
        link.map(|link| link.server().to_string()).map_err(|error| error.message().to_owned())
    }
}

/// Says what the lifetimes of a closure are.
fn routing<F>(function: F) -> Arc<RoutingFunction>
where
    F: for<'a, 'b> Fn(&Question<'_>, &'a [Candidate<'b>]) -> Option<&'a Candidate<'b>> + Send + Sync + 'static,
{
    Arc::new(function)
}

fn live(servers: &[&str]) -> Vec<(String, Standing)> {
    servers.iter().map(|server| ((*server).to_owned(), Standing::Live)).collect()
}

#[tokio::test(start_paused = true)]
async fn links_open_on_the_first_use_of_a_type_and_to_servers_that_appear_later() {
    let rig = Rig::start(3, 2, None);
    settle().await;
    assert_eq!((rig.open(), rig.network.attempts()), (vec![], 0));
    assert_eq!(&*rig.router.server_type("room").unwrap(), "room");
    settle().await;
    assert_eq!(rig.open(), live(&["room-0", "room-1"]));
    rig.publish(&[0, 1, 2]).await;
    assert_eq!(rig.open(), live(&["room-0", "room-1", "room-2"]));
    assert_eq!(rig.network.attempts(), 3);
}

#[tokio::test(start_paused = true)]
async fn links_to_servers_that_are_gone_close_when_nothing_is_in_flight() {
    let rig = Rig::start(2, 2, None);
    rig.router.server_type("room").unwrap();
    settle().await;
    let (link, stub) = (rig.router.link("room-0").unwrap(), rig.nodes[0].stub.clone());
    rig.nodes[0].call(&link, "hold", "x", 1).unwrap();
    settle().await;
    rig.publish(&[1]).await;
    assert_eq!(rig.open(), live(&["room-0", "room-1"]), "one call is in flight");
    assert_eq!([rig.choose(), rig.choose()], [Ok("room-1".to_owned()), Ok("room-1".to_owned())]);
    stub.release();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(rig.open(), live(&["room-1"]));
    // It comes back, and gets a link again.
    rig.publish(&[0, 1]).await;
    assert_eq!(rig.open(), live(&["room-0", "room-1"]));
}

#[tokio::test(start_paused = true)]
async fn servers_in_the_zone_where_the_topology_sees_this_one_come_first() {
    let rig = Rig::start(3, 3, None);
    rig.router.server_type("room").unwrap();
    let publish = async |own: Option<&str>| {
        let near = Server { zone: own.map(Into::into), ..Server::new("near", "connector", ([127, 0, 0, 1], 1)) };
        let rooms = rig.nodes.iter().zip(["west", "east", "west"]);
        let rooms = rooms.map(|(node, zone)| Server { zone: Some(zone.into()), ..Server::clone(&node.server) });
        let routing = Routing { policy: Policy::RoundRobin, zone: Zone::Prefer, ..Routing::default() };
        let settings = TypeSettings { routing, ..TypeSettings::default() };
        rig.publisher.publish(Snapshot::new(rooms.chain([near]), [("room".into(), settings)]));
        settle().await;
        (0..3).map(|_| rig.choose().unwrap()).collect::<BTreeSet<_>>()
    };
    let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(publish(Some("east")).await, named(&["room-1"]));
    assert_eq!(publish(Some("west")).await, named(&["room-0", "room-2"]));
    assert_eq!(publish(None).await, named(&["room-0", "room-1", "room-2"]));
}

#[tokio::test(start_paused = true)]
async fn a_type_without_servers_is_an_error_until_it_has_one() {
    let rig = Rig::start(1, 0, None);
    let unknown = rig.router.server_type("room").unwrap_err();
    assert_eq!((unknown.code(), unknown.message()), ("PIT-500", "no servers available of this type"));
    rig.publish(&[0]).await;
    rig.router.server_type("room").unwrap();
    assert_eq!(rig.choose(), Ok("room-0".to_owned()));
    rig.publish(&[]).await;
    assert_eq!(rig.choose(), Err("no servers available of this type".to_owned()));
    assert!(rig.router.link_to("room-0").is_err());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_drains_or_is_lost_is_left_at_once() {
    let rig = Rig::start(2, 2, None);
    rig.router.server_type("room").unwrap();
    settle().await;
    rig.nodes[0].links.drain(std::time::Duration::from_mins(1));
    settle().await;
    assert_eq!([rig.choose(), rig.choose()], [Ok("room-1".to_owned()), Ok("room-1".to_owned())]);
    rig.nodes[1].links.drain(std::time::Duration::from_mins(1));
    settle().await;
    assert_eq!(rig.choose(), Err("no servers available of this type".to_owned()), "never one that drains");
    rig.network.cut();
    settle().await;
    let lost = rig.router.link("room-0").unwrap();
    assert!(!rig.router.is_usable("room", &lost));
}

#[tokio::test(start_paused = true)]
async fn a_function_chooses_also_among_one_and_knows_what_the_message_is_about() {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let notes = asked.clone();
    let function = routing(move |question, candidates| {
        let body = String::from_utf8_lossy(question.body);
        notes.lock().push(format!(
            "{} {} {body} {:?} {}",
            question.server_type,
            question.route,
            question.session,
            candidates.len()
        ));
        candidates.get(1)
    });
    let rig = Rig::start(2, 1, Some(function));
    rig.router.server_type("room").unwrap();
    assert_eq!(rig.choose(), Err("no servers available of this type".to_owned()), "it refuses");
    rig.publish(&[0, 1]).await;
    assert_eq!(rig.choose(), Ok("room-1".to_owned()));
    rig.router.choose_any("room", "room.hall.enter", b"argument").unwrap();
    let expected =
        ["room hall.enter body Some(256) 1", "room hall.enter body Some(256) 2", "room hall.enter argument None 2"];
    assert_eq!(*asked.lock(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_function_that_panics_refuses_the_message() {
    let rig = Rig::start(2, 2, Some(routing(|_, _| panic!("as it was asked to"))));
    rig.router.server_type("room").unwrap();
    assert_eq!(rig.choose(), Err("no servers available of this type".to_owned()));
}

/// Lets `first` begin and come to the lock of the router's types, changes the topology, and lets `first` go on.
fn overtaken(rig: &Rig, nodes: &[usize], first: impl FnOnce(&Router) + Send + 'static) {
    let (router, taken) = (rig.router.clone(), rig.router.hold());
    let waiting = std::thread::spawn(move || first(&router));
    // Who waits to change the types keeps out who comes to read them.
    while rig.router.is_free() {
        assert!(!waiting.is_finished(), "it did not come to the lock");
        std::thread::yield_now();
    }
    rig.publisher.publish(snapshot(&nodes.iter().map(|at| &rig.nodes[*at]).collect::<Vec<_>>()));
    drop(taken);
    waiting.join().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_type_that_is_first_asked_for_while_the_topology_changes_has_its_servers_of_now() {
    let rig = Rig::start(2, 1, None);
    overtaken(&rig, &[0, 1], |router| drop(router.server_type("room").unwrap()));
    assert_eq!(rig.open().len(), 2, "the topology has been followed by nobody else yet");
}

#[tokio::test(start_paused = true)]
async fn following_the_topology_never_goes_back_to_an_older_view() {
    let rig = Rig::start(3, 1, None);
    rig.router.server_type("room").unwrap();
    rig.publisher.publish(snapshot(&[&rig.nodes[0], &rig.nodes[1]]));
    overtaken(&rig, &[0, 1, 2], Router::adopt);
    assert_eq!(rig.open().len(), 3, "the topology has been followed by nobody else yet");
}

#[tokio::test(start_paused = true)]
async fn a_call_by_id_never_opens_a_link_to_a_server_that_has_just_left() {
    let rig = Rig::start(1, 1, None);
    overtaken(&rig, &[], |router| drop(router.link_to("room-0")));
    assert_eq!((rig.open(), rig.network.attempts()), (vec![], 0), "nobody would close it");
}
