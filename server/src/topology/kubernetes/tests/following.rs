//! Following a cluster that answers: lists, pages, changes, and objects of every kind.

use std::time::Duration;

use cereus_crds::Policy;
use serde_json::json;
use tokio::{
    net::TcpListener,
    time::{sleep, timeout},
};

use super::{
    super::{super::Skipped, WINDOW},
    Access, Api, NAMESPACE, PATIENCE, SLICES, Server, TYPES, Topology, followed, rooms, server_type, slice, until,
};

use crate::topology::Source as _;

#[tokio::test(start_paused = true)]
async fn the_first_view_is_shown_when_all_pages_of_both_lists_are_read() {
    let api = Api::new();
    for (name, id) in [("one", "a"), ("two", "b"), ("three", "c")] {
        api.put(SLICES, slice(name, &[id]));
    }
    api.put(TYPES, server_type("room", "sticky"));
    api.set_pages(1, true);
    let (topology, watch) = Topology::kubernetes(api.access());
    // The server types, and two pages of slices of which one is held.
    api.until(|api| api.requests().0 == 3).await;
    assert!(!watch.status().synced);
    assert_eq!(topology.current().all().count(), 0);
    assert_eq!(topology.current().types().count(), 0);
    api.pages.notify_one();
    api.until(|api| api.requests().0 == 4).await;
    assert!(!watch.status().synced);
    api.pages.notify_one();
    timeout(PATIENCE, watch.synced()).await.unwrap();
    assert_eq!(rooms(&topology.current()), "abc");
    assert_eq!(topology.current().settings("room").routing.policy, Policy::Sticky);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_without_any_object_is_a_complete_view() {
    let (topology, watch) = followed(&Api::new()).await;
    assert_eq!(topology.current().all().count(), 0);
    let status = watch.status();
    assert_eq!((status.source, &*status.place, status.lists), ("kubernetes", NAMESPACE, Some(2)));
    assert_eq!((status.synced, status.trouble), (true, None));
}

#[tokio::test(start_paused = true)]
async fn every_change_is_followed() {
    let api = Api::new();
    let (mut topology, watch) = followed(&api).await;
    api.put(SLICES, slice("one", &["a", "b"]));
    until(&mut topology, |view| rooms(view) == "ab").await;
    api.put(SLICES, slice("one", &["b"]));
    api.put(SLICES, slice("two", &["c"]));
    until(&mut topology, |view| rooms(view) == "bc").await;
    api.remove(SLICES, "one");
    until(&mut topology, |view| rooms(view) == "c").await;

    let policy = |topology: &Topology| topology.current().settings("room").routing.policy;
    api.put(TYPES, server_type("room", "random"));
    until(&mut topology, |view| view.types().count() == 1).await;
    assert_eq!(policy(&topology), Policy::Random);
    api.put(TYPES, server_type("room", "sticky"));
    until(&mut topology, |view| view.settings("room").routing.policy == Policy::Sticky).await;
    api.remove(TYPES, "room");
    until(&mut topology, |view| view.types().count() == 0).await;
    assert_eq!(watch.status().lists, Some(2), "it was listed again");

    drop(watch);
    timeout(PATIENCE, topology.closed()).await.expect("the watching has not ended");
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_one_view_and_what_moves_between_slices_is_never_gone() {
    let api = Api::new();
    api.put(SLICES, slice("one", &["a", "b"]));
    let (mut topology, _watch) = followed(&api).await;
    // The first view is the one that it was, and is seen now.
    assert_eq!(rooms(&*topology.changed().await), "ab");

    api.put(SLICES, slice("one", &["a"]));
    sleep(WINDOW / 2).await;
    api.put(SLICES, slice("two", &["b"]));
    for number in 0..50 {
        api.put(SLICES, slice(&format!("more-{number}"), &[&format!("c{number}")]));
    }
    let view = topology.changed().await;
    assert_eq!(view.all().count(), 52);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_not_understood_is_left_out_and_counted() {
    let api = Api::new();
    let mut bad = slice("bad", &["x"]);
    bad["endpoints"] = json!("many");
    let mut worse = slice("worse", &["y"]);
    worse["metadata"]["labels"] = json!([1, 2]);
    api.put(SLICES, slice("good", &["a"]));
    api.put(SLICES, bad.clone());
    api.put(SLICES, worse);
    api.put(TYPES, server_type("chat", "fastest"));
    api.put(TYPES, server_type("room", "random"));
    let (mut topology, _watch) = followed(&api).await;
    let view = topology.current();
    assert_eq!((&*rooms(&view), view.types().count()), ("a", 1));
    assert_eq!(view.skipped(), Skipped { undecodable: 3, ..Skipped::default() });

    // One of the good ones turns bad, one of the bad ones good.
    bad["metadata"]["name"] = json!("good");
    api.put(SLICES, slice("bad", &["x"]));
    api.put(SLICES, bad);
    until(&mut topology, |view| rooms(view) == "x").await;
    api.put(TYPES, server_type("chat", "sticky"));
    until(&mut topology, |view| view.types().count() == 2).await;
    assert_eq!(topology.current().skipped().undecodable, 2);
    api.remove(SLICES, "good");
    api.remove(SLICES, "worse");
    api.remove(SLICES, "bad");
    until(&mut topology, |view| rooms(view).is_empty()).await;
    assert_eq!(topology.current().skipped().undecodable, 0);
}

#[tokio::test(start_paused = true)]
async fn slices_of_both_ip_families_make_one_view() {
    let api = Api::new();
    let mut v6 = slice("six", &["a", "b"]);
    v6["addressType"] = json!("IPv6");
    for endpoint in v6["endpoints"].as_array_mut().unwrap() {
        endpoint["addresses"] = json!(["fd00::1"]);
    }
    api.put(SLICES, v6);
    api.put(SLICES, slice("four", &["a"]));
    let (topology, _watch) = followed(&api).await;
    let view = topology.current();
    let expected = [
        Server::new("a", "room", ([10, 0, 0, 1], 3260)),
        Server::new("b", "room", ([0xFD00, 0, 0, 0, 0, 0, 0, 1], 3260)),
    ];
    assert!(view.is_same_view(&super::Snapshot::new(expected, [])), "{view:?}");
}

#[tokio::test(start_paused = true)]
async fn a_bookmark_moves_the_place_to_go_on_from() {
    let api = Api::new();
    api.put(SLICES, slice("one", &["a"]));
    let (mut topology, watch) = followed(&api).await;
    // Something else happens in the cluster, and what was before that is forgotten.
    for policy in ["random", "sticky"] {
        api.put(TYPES, server_type("room", policy));
    }
    until(&mut topology, |view| view.types().count() == 1).await;
    api.bookmark(SLICES);
    api.bookmark(TYPES);
    sleep(Duration::from_secs(1)).await;
    api.forget();
    api.cut();
    api.put(SLICES, slice("one", &["b"]));
    until(&mut topology, |view| rooms(view) == "b").await;
    assert_eq!(watch.status().lists, Some(2), "it was listed again");
}

#[tokio::test]
async fn a_cluster_is_followed_over_a_socket() {
    let api = Api::new();
    api.put(SLICES, slice("one", &["a"]));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = tokio::task::JoinSet::new();
    let router = api.router();
    server.spawn(async move { axum::serve(listener, router).await });
    let config = kube::Config::new(format!("http://{address}").parse().unwrap());
    let (mut topology, watch) = Topology::kubernetes(Access::with(&config, Some(NAMESPACE)).unwrap());
    timeout(PATIENCE, watch.synced()).await.unwrap();
    assert_eq!(rooms(&topology.current()), "a");
    api.put(SLICES, slice("one", &["b"]));
    until(&mut topology, |view| rooms(view) == "b").await;
    api.cut();
    api.put(SLICES, slice("one", &["c"]));
    until(&mut topology, |view| rooms(view) == "c").await;
    assert_eq!(watch.status().lists, Some(2), "it was listed again");
}
