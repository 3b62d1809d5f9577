use std::{fs, path::Path, time::Duration};

use cereus_crds::{HashKey, Policy, Protocol, Routing, Zone};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointSlice};
use proptest::{
    collection::vec,
    option,
    prelude::{Just, ProptestConfig, Strategy, any},
    prop_assert, prop_assert_eq, proptest,
    sample::{Index, select},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time;

use super::{
    DirectoryWriter, Error, Server, Skipped, Snapshot, Topology, TypeSettings, documents,
    files::{Files, Remark},
    merge,
};

fn server(server_type: &str, id: &str, port: u16) -> Server {
    Server::new(id, server_type, ([127, 0, 0, 1], port))
}

/// A slice of type `room` with these endpoints.
fn slice(endpoints: &Value) -> EndpointSlice {
    object(json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": { "name": "room-1", "labels": { "cereus.dev/server-type": "room" } },
        "addressType": "IPv4", "ports": [{ "name": "link", "port": 7000 }],
        "endpoints": endpoints,
    }))
}

fn resource(name: &str, spec: &Value) -> cereus_crds::ServerType {
    object(json!({
        "apiVersion": "cereus.dev/v1alpha1", "kind": "ServerType", "metadata": { "name": name }, "spec": spec,
    }))
}

fn object<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn only(snapshot: &Snapshot) -> &Server {
    assert_eq!(snapshot.all().count(), 1);
    snapshot.all().next().unwrap()
}

#[test]
fn missing_conditions_mean_what_kubernetes_says() {
    // ready, serving, terminating as written; the same as understood
    let table = [
        (json!(null), (true, true, false)),
        (json!({}), (true, true, false)),
        (json!({ "ready": false }), (false, false, false)),
        (json!({ "ready": true, "serving": false }), (true, false, false)),
        (json!({ "ready": false, "serving": true, "terminating": true }), (false, true, true)),
    ];
    for (conditions, expected) in table {
        let endpoint = json!({ "addresses": ["10.0.0.1"], "targetRef": { "uid": "a" }, "conditions": conditions });
        let snapshot = merge(&[slice(&json!([endpoint]))], []);
        let server = only(&snapshot);
        assert_eq!((server.ready, server.serving, server.terminating), expected, "{conditions}");
    }
}

#[test]
fn a_server_has_the_details_of_its_slice_and_endpoint() {
    let mut v6 = slice(&json!([
        { "addresses": ["fd00::7", "fd00::8"], "zone": "east", "targetRef": { "name": "room-x", "uid": "a" } },
        { "addresses": ["fd00::9"], "targetRef": { "name": "room-y" } },
    ]));
    v6.address_type = "IPv6".into();
    v6.metadata.labels.as_mut().unwrap().insert("cereus.dev/version".into(), "1.4.0".into());
    let snapshot = merge(&[v6], []);
    let server = snapshot.server("a").unwrap();
    assert_eq!(server.address, "[fd00::7]:7000".parse().unwrap());
    assert_eq!(server.zone.as_deref(), Some("east"));
    assert_eq!(server.version.as_deref(), Some("1.4.0"));
    // Known by its name where there is no uid.
    assert_eq!(snapshot.server("room-y").unwrap().zone, None);
    assert_eq!(snapshot.servers("room").len(), 2);
    assert!(snapshot.servers("chat").is_empty());
    assert_eq!(snapshot.skipped(), Skipped::default());
}

/// What is skipped of a slice that gives no server at all.
fn count(slice: &EndpointSlice) -> Skipped {
    let snapshot = merge([slice], []);
    assert_eq!(snapshot.all().count(), 0);
    snapshot.skipped()
}

#[test]
fn what_cannot_be_used_is_left_out_and_counted() {
    let good = json!({ "addresses": ["10.0.0.1"], "targetRef": { "uid": "a" } });
    let mut unlabelled = slice(&json!([good]));
    unlabelled.metadata.labels = None;
    assert_eq!(count(&unlabelled), Skipped::default());

    let mut no_port = slice(&json!([good, good]));
    no_port.ports.as_mut().unwrap()[0].name = Some("http".into());
    assert_eq!(count(&no_port), Skipped { no_link_port: 2, ..Skipped::default() });
    let mut wrong_port = slice(&json!([good]));
    wrong_port.ports.as_mut().unwrap()[0].port = Some(70_000);
    assert_eq!(count(&wrong_port), Skipped { no_link_port: 1, ..Skipped::default() });

    let mut names = slice(&json!([good]));
    names.address_type = "FQDN".into();
    assert_eq!(count(&names), Skipped { no_address: 1, ..Skipped::default() });
    let other_family = slice(&json!([{ "addresses": ["fd00::1"], "targetRef": { "uid": "a" } }]));
    assert_eq!(count(&other_family), Skipped { no_address: 1, ..Skipped::default() });

    let nameless = slice(&json!([{ "addresses": ["10.0.0.1"] }, { "addresses": ["10.0.0.1"], "targetRef": {} }]));
    assert_eq!(count(&nameless), Skipped { no_target: 2, ..Skipped::default() });
}

#[test]
fn settings_come_from_the_server_type_of_that_name() {
    let room = json!({ "routing": { "policy": "hash", "key": "session", "zone": "prefer" }, "protocol": "pitaya" });
    let snapshot = merge([], &[resource("room", &room), resource("connector", &json!({ "frontend": {} }))]);
    let routing = Routing { policy: Policy::Hash, key: HashKey::Session, zone: Zone::Prefer };
    assert_eq!(snapshot.settings("room"), &TypeSettings { routing, protocol: Protocol::Pitaya, frontend: false });
    assert!(snapshot.settings("connector").frontend);
    assert_eq!(snapshot.settings("unheard-of"), &TypeSettings::default());
}

#[test]
fn of_two_server_types_with_one_name_the_same_one_counts_in_any_order() {
    let one = resource("room", &json!({ "routing": { "policy": "random" } }));
    let two = resource("room", &json!({ "routing": { "policy": "sticky" } }));
    let forth = merge([], [&one, &two]);
    assert!(forth.is_same_view(&merge([], [&two, &one])));
    assert_eq!(forth.skipped().server_types, 1);
}

fn endpoints() -> impl Strategy<Value = Endpoint> {
    let address = select(vec!["10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2", "nonsense"]);
    let conditions = option::of((any::<Option<bool>>(), any::<Option<bool>>(), any::<Option<bool>>()));
    let target = option::weighted(0.9, select(vec!["a", "b", "c", "d"]));
    (address, conditions, target, option::of(select(vec!["east", "west"]))).prop_map(
        |(address, conditions, target, zone)| Endpoint {
            addresses: vec![address.into()],
            conditions: conditions.map(|(ready, serving, terminating)| EndpointConditions {
                ready,
                serving,
                terminating,
            }),
            target_ref: target.map(|uid| object(json!({ "uid": uid }))),
            zone: zone.map(str::to_owned),
            ..Endpoint::default()
        },
    )
}

fn slices() -> impl Strategy<Value = Vec<EndpointSlice>> {
    let one = (vec(endpoints(), 0..6), any::<bool>(), select(vec!["room", "chat", ""]), 7000..7002_i32).prop_map(
        |(endpoints, is_v4, server_type, port)| {
            let mut slice = slice(&json!([]));
            slice.endpoints = Some(endpoints);
            slice.address_type = if is_v4 { "IPv4" } else { "IPv6" }.into();
            slice.metadata.labels = Some([("cereus.dev/server-type".into(), server_type.into())].into());
            slice.ports.as_mut().unwrap()[0].port = Some(port);
            slice
        },
    );
    vec(one, 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_order_of_slices_does_not_matter(
        (slices, shuffled) in slices().prop_flat_map(|slices| (Just(slices.clone()), Just(slices).prop_shuffle()))
    ) {
        let (one, other) = (merge(&slices, []), merge(&shuffled, []));
        prop_assert!(one.is_same_view(&other), "{one:?} {other:?}");
        prop_assert_eq!(one.skipped(), other.skipped());
    }

    #[test]
    fn the_order_within_a_slice_does_not_matter(slices in slices()) {
        let mut reversed = slices.clone();
        for slice in &mut reversed {
            slice.endpoints.as_mut().unwrap().reverse();
        }
        prop_assert!(merge(&slices, []).is_same_view(&merge(&reversed, [])));
    }

    #[test]
    fn duplicates_collapse(slices in slices(), which in any::<Index>()) {
        let mut more = slices.clone();
        if !slices.is_empty() {
            more.push(which.get(&slices).clone());
        }
        prop_assert!(merge(&slices, []).is_same_view(&merge(&more, [])));
    }

    #[test]
    fn splitting_a_slice_changes_nothing(slices in slices(), which in any::<Index>(), at in any::<Index>()) {
        let mut split = slices.clone();
        if !slices.is_empty() {
            let first = &mut split[which.index(slices.len())];
            let mut second = first.clone();
            let endpoints = first.endpoints.as_mut().unwrap();
            second.endpoints = Some(endpoints.split_off(at.index(endpoints.len() + 1)));
            split.push(second);
        }
        let (one, other) = (merge(&slices, []), merge(&split, []));
        prop_assert!(one.is_same_view(&other), "{one:?} {other:?}");
        prop_assert_eq!(one.skipped(), other.skipped());
    }

    /// Against the rule said in other words: drop what is worse, criterion by criterion.
    #[test]
    fn of_conflicting_entries_the_preferred_one_counts(slices in slices()) {
        let merged = merge(&slices, []);
        for id in ["a", "b", "c", "d"] {
            let mut entries: Vec<Server> = Vec::new();
            for slice in &slices {
                for endpoint in slice.endpoints.as_ref().unwrap() {
                    let mut single = slice.clone();
                    single.endpoints = Some(vec![endpoint.clone()]);
                    entries.extend(merge([&single], []).server(id).map(|server| Server::clone(server)));
                }
            }
            let criteria: [fn(&Server) -> bool; 4] =
                [|it| it.ready, |it| !it.terminating, |it| it.serving, |it| it.address.is_ipv4()];
            for criterion in criteria {
                if entries.iter().any(criterion) {
                    entries.retain(criterion);
                }
            }
            match merged.server(id) {
                Some(server) => prop_assert!(entries.iter().any(|entry| *entry == **server), "{server:?} {entries:?}"),
                None => prop_assert!(entries.is_empty()),
            }
        }
    }

    #[test]
    fn reading_a_file_never_panics(content in vec(any::<u8>(), 0..200), text in "[-a-zA-Z:{}\\[\\]&*!|> \n]{0,120}") {
        let _ = documents::parse(&content);
        let _ = documents::parse(text.as_bytes());
        let _ = documents::parse(format!("kind: ServerType\napiVersion: cereus.dev/v1alpha1\n{text}").as_bytes());
    }
}

const ROOM: &str = "apiVersion: cereus.dev/v1alpha1\nkind: ServerType\nmetadata: { name: room }\nspec:\n  routing: { policy: random }\n";

fn policy(snapshot: &Snapshot) -> Policy {
    snapshot.settings("room").routing.policy
}

#[test]
fn a_file_may_hold_several_documents_of_several_kinds() {
    let text = format!("---\n---\nkind: ConfigMap\napiVersion: v1\nnot: ours\n---\n{ROOM}---\n# nothing\n---\n{ROOM}");
    let found = documents::parse(text.as_bytes()).unwrap();
    assert_eq!((found.server_types.len(), found.slices.len()), (2, 0));
    assert_eq!(documents::parse(b"").unwrap(), documents::Documents::default());
}

#[test]
fn a_wrong_file_is_said_to_be_wrong_at_its_line() {
    let table = [
        (format!("{ROOM}---\n{}", ROOM.replace("random", "fastest")), Some(11), "fastest"),
        (format!("{ROOM}  routing: {{"), Some(7), ""),
        ("a: b\n---\njust words\n".to_owned(), Some(3), "struct Head"),
        (ROOM.replace("v1alpha1", "v9"), None, "cereus.dev/v9"),
    ];
    for (text, line, cause) in table {
        let error = documents::parse(text.as_bytes()).unwrap_err();
        assert!(error.message.contains(cause), "{text}: {error}");
        assert_eq!(error.line, line, "{text}: {error}");
    }
    assert_eq!(documents::parse(b"a: b\n\xff").unwrap_err().line, Some(2));
}

#[test]
fn a_broken_file_keeps_its_last_good_content() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("room.yaml");
    let mut files = Files::new(folder.path().to_owned());

    fs::write(&path, "kind: [").unwrap();
    assert_eq!(files.read().snapshot.skipped().undecodable, 1);
    fs::write(&path, ROOM).unwrap();
    let good = files.read().snapshot;
    assert_eq!((policy(&good), good.skipped().undecodable), (Policy::Random, 0));
    fs::write(&path, "kind: [").unwrap();
    for _ in 0..2 {
        let broken = files.read().snapshot;
        assert_eq!((policy(&broken), broken.skipped().undecodable), (Policy::Random, 1));
    }
    // Back to the very bytes that were good before: they are looked at again.
    fs::write(&path, ROOM).unwrap();
    assert_eq!(files.read().snapshot.skipped().undecodable, 0);
    fs::remove_file(&path).unwrap();
    assert_eq!(policy(&files.read().snapshot), Policy::LeastPending);
}

#[test]
fn what_is_wrong_is_said_once_per_change() {
    let folder = TempDir::new().unwrap();
    let directory = folder.path().join("topology");
    fs::create_dir(&directory).unwrap();
    let path = directory.join("room.yaml");
    let mut files = Files::new(directory.clone());
    for policy in ["fastest", "slowest"] {
        fs::write(&path, ROOM.replace("random", policy)).unwrap();
        let remarks = files.read().remarks;
        let [Remark::Broken(file, problem)] = &remarks[..] else { panic!("{remarks:?}") };
        assert_eq!((file, problem.line), (&path, Some(5)));
        assert!(problem.cause.contains(policy), "{problem:?}");
        assert_eq!(files.read().remarks, []);
    }
    fs::write(&path, ROOM).unwrap();
    assert_eq!(files.read().remarks, [Remark::Mended(path)]);
    assert_eq!(files.read().remarks, []);
    fs::remove_dir_all(&directory).unwrap();
    assert!(matches!(&files.read().remarks[..], [Remark::Lost(_)]));
    assert_eq!(files.read().remarks, []);
}

#[test]
fn a_lost_directory_keeps_its_last_view() {
    let folder = TempDir::new().unwrap();
    let inner = folder.path().join("topology");
    DirectoryWriter::new(&inner).unwrap().write(&server("room", "a", 7001)).unwrap();
    let mut files = Files::new(inner.clone());
    assert_eq!(files.read().snapshot.servers("room").len(), 1);
    fs::remove_dir_all(&inner).unwrap();
    assert_eq!(files.read().snapshot.servers("room").len(), 1);
}

#[test]
fn only_topology_files_are_read() {
    let folder = TempDir::new().unwrap();
    for name in [".hidden.yaml", "room.yaml.bak", "room"] {
        fs::write(folder.path().join(name), ROOM).unwrap();
    }
    fs::create_dir(folder.path().join("folder.yaml")).unwrap();
    let mut files = Files::new(folder.path().to_owned());
    let snapshot = files.read().snapshot;
    assert_eq!((policy(&snapshot), snapshot.skipped().total()), (Policy::LeastPending, 0));
    fs::write(folder.path().join("room.json"), serde_json::to_string(&resource("room", &json!({}))).unwrap()).unwrap();
    assert_eq!(files.read().snapshot.types().count(), 1);
}

#[test]
fn a_written_server_reads_back_as_it_was() {
    let folder = TempDir::new().unwrap();
    let writer = DirectoryWriter::new(folder.path()).unwrap();
    let mut files = Files::new(folder.path().to_owned());
    let plain = server("room", "7", 7001);
    let detailed = Server {
        address: "[::1]:7002".parse().unwrap(),
        zone: Some("east".into()),
        version: Some("1.0".into()),
        ready: false,
        terminating: true,
        ..server("chat", "5f0c-_.X", 0)
    };
    writer.write(&plain).unwrap();
    writer.write(&detailed).unwrap();
    assert!(files.read().snapshot.is_same_view(&Snapshot::new([plain.clone(), detailed.clone()], [])));
    writer.remove("7").unwrap();
    writer.remove("7").unwrap();
    assert!(files.read().snapshot.is_same_view(&Snapshot::new([detailed], [])));
    // Nothing but the one file is left behind.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    for id in ["", "../a", "a/b", "ä"] {
        let error = writer.write(&Server { id: id.into(), ..plain.clone() }).unwrap_err();
        assert!(matches!(error, Error::IllegalId { .. }), "{id}: {error}");
    }
}

#[test]
fn only_another_view_wakes_those_who_wait() {
    let (publisher, topology) = Topology::channel(Snapshot::default());
    let mut waiting = topology.clone();
    let mut changed = tokio_test::task::spawn(waiting.changed());
    assert!(changed.poll().is_pending());

    let skipped = Skipped { undecodable: 1, ..Skipped::default() };
    assert!(!publisher.publish(Snapshot::default().with_skipped(skipped)));
    assert!(!changed.is_woken());
    assert_eq!(topology.current().skipped(), skipped);

    let view = || Snapshot::new([server("room", "a", 7001)], []);
    assert!(publisher.publish(view()));
    assert!(!publisher.publish(view()));
    tokio_test::assert_ready!(changed.poll());
    assert_eq!(topology.current().servers("room").len(), 1);
}

#[test]
fn a_fixed_view_is_waited_for_in_vain() {
    let mut topology = Topology::fixed(Snapshot::default());
    tokio_test::assert_pending!(tokio_test::task::spawn(topology.changed()).poll());
}

/// The next view, or a failure when the operating system never tells of it.
async fn next(topology: &mut Topology) -> std::sync::Arc<Snapshot> {
    time::timeout(Duration::from_secs(20), topology.changed()).await.expect("the change was not seen")
}

fn replace(directory: &Path, name: &str, text: &str) {
    let draft = directory.join(".draft");
    fs::write(&draft, text).unwrap();
    fs::rename(draft, directory.join(name)).unwrap();
}

#[tokio::test]
async fn a_directory_is_followed() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("room.yaml"), ROOM).unwrap();
    let (mut topology, watch) = Topology::directory(folder.path()).unwrap();
    assert_eq!(policy(&topology.current()), Policy::Random);

    let writer = DirectoryWriter::new(folder.path()).unwrap();
    let mut room = server("room", "a", 7001);
    writer.write(&room).unwrap();
    assert_eq!(next(&mut topology).await.servers("room"), [room.clone().into()]);
    room.ready = false;
    writer.write(&room).unwrap();
    assert!(!next(&mut topology).await.server("a").unwrap().ready);

    // The same view in other bytes is no news: the change after it is the next that is seen.
    replace(folder.path(), "room.yaml", &format!("# a remark\n{ROOM}"));
    replace(folder.path(), "room.yaml", &ROOM.replace("random", "sticky"));
    assert_eq!(policy(&*next(&mut topology).await), Policy::Sticky);
    // In place, without a rename.
    fs::write(folder.path().join("room.yaml"), ROOM).unwrap();
    assert_eq!(policy(&*next(&mut topology).await), Policy::Random);
    writer.remove("a").unwrap();
    assert!(next(&mut topology).await.servers("room").is_empty());

    drop(watch);
    // The task ends, and with it the only one who could publish.
    let mut ended = topology.clone();
    time::timeout(Duration::from_secs(20), ended.closed()).await.expect("the watch has not ended");
}

#[tokio::test]
async fn a_link_to_another_folder_is_followed_as_a_mounted_config_map_changes() {
    let folder = TempDir::new().unwrap();
    for (name, policy) in [("..1", "random"), ("..2", "sticky")] {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("room.yaml"), ROOM.replace("random", policy)).unwrap();
    }
    std::os::unix::fs::symlink("..1", folder.path().join("..data")).unwrap();
    std::os::unix::fs::symlink("..data/room.yaml", folder.path().join("room.yaml")).unwrap();
    let (mut topology, _watch) = Topology::directory(folder.path()).unwrap();
    assert_eq!(policy(&topology.current()), Policy::Random);
    std::os::unix::fs::symlink("..2", folder.path().join("..tmp")).unwrap();
    fs::rename(folder.path().join("..tmp"), folder.path().join("..data")).unwrap();
    assert_eq!(policy(&*next(&mut topology).await), Policy::Sticky);
}

#[test]
fn a_directory_that_cannot_be_followed_is_an_error() {
    let folder = TempDir::new().unwrap();
    assert!(matches!(Topology::directory(folder.path()), Err(Error::NoRuntime(_))));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let missing = folder.path().join("missing");
    let error = Topology::directory(&missing).unwrap_err();
    assert!(matches!(&error, Error::Directory { path, .. } if *path == missing), "{error}");
}
