use std::{cell::RefCell, collections::BTreeSet, io, net::SocketAddr, path::Path, time::Duration};

use serde_json::json;

use super::{
    CONFIG_FILE, Id, MountSource, Place, Security, VariableValue, arguments, bind, environment, mounts, ports, probes,
    termination_grace, variables,
};
use crate::{Protocol, ServerTypeSpec, names};

fn spec(text: &str) -> ServerTypeSpec {
    serde_yaml::from_str(text).unwrap()
}

const FRONTEND: &str = "
    frontend:
      acceptors:
        - { name: tcp, protocol: TCP, port: 3250, tls: { secretName: game-tls }, proxyProtocol: true, trustedProxies: ['fd00::/8'] }
        - { name: ws, protocol: WebSocket, port: 3251 }
    drain: { linger: 1s, deadline: 90s, spread: 2s }
";

fn shown(name: &str, spec: &ServerTypeSpec, place: &Place) -> Vec<(String, String)> {
    let variables = environment(name, spec, place);
    variables.iter().map(|set| (set.name.to_owned(), said(&set.value))).collect()
}

fn said(value: &VariableValue) -> String {
    match value {
        VariableValue::Text(text) => text.clone(),
        VariableValue::PodUid => "the pod's uid".to_owned(),
        VariableValue::PodNamespace => "the pod's namespace".to_owned(),
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_pod_is_told_what_it_is() {
    let listen = json!([
        { "name": "tcp", "protocol": "TCP", "address": "[::]:3250", "proxy_protocol": true, "trusted_proxies": ["fd00::/8"],
          "tls": { "certificate": "/etc/cereus/tls/tcp/tls.crt", "key": "/etc/cereus/tls/tcp/tls.key" } },
        { "name": "ws", "protocol": "WebSocket", "address": "[::]:3251" },
    ]);
    let expected = pairs(&[
        ("CEREUS__SERVER__TYPE", "connector"),
        ("CEREUS__SERVER__ID", "the pod's uid"),
        ("CEREUS__SERVER__NAMESPACE", "the pod's namespace"),
        ("CEREUS__SERVER__FRONTEND", "true"),
        ("CEREUS__LINK__LISTEN", "[::]:3260"),
        ("CEREUS__LINK__CERTIFICATES", "/etc/cereus/certificates"),
        ("CEREUS__ADMIN__LISTEN", "[::]:3270"),
        ("CEREUS__ACCEPTOR__LISTEN", &listen.to_string()),
        ("CEREUS__DRAIN__LINGER", "1s"),
        ("CEREUS__DRAIN__DEADLINE", "1m30s"),
        ("CEREUS__DRAIN__SPREAD", "2s"),
    ]);
    assert_eq!(shown("connector", &spec(FRONTEND), &Place::pod()), expected);
}

#[test]
fn a_process_is_told_the_same_with_other_addresses() {
    let address = |text: &str| text.parse().unwrap();
    let place = Place::process("room-1", address("127.0.0.1:9001"), address("127.0.0.1:9002"), Path::new("/tmp/t"));
    let expected = pairs(&[
        ("CEREUS__SERVER__TYPE", "room"),
        ("CEREUS__SERVER__ID", "room-1"),
        ("CEREUS__LINK__LISTEN", "127.0.0.1:9001"),
        ("CEREUS__ADMIN__LISTEN", "127.0.0.1:9002"),
        ("CEREUS__DRAIN__LINGER", "5s"),
        ("CEREUS__DRAIN__DEADLINE", "10m"),
        ("CEREUS__TOPOLOGY__DIRECTORY", "/tmp/t"),
    ]);
    assert_eq!(shown("room", &spec("{}"), &place), expected);
    let place = Place { client_ports: vec![("ws".to_owned(), 9)], security: Security::None, ..place };
    let told = shown("room", &spec(FRONTEND), &place);
    let told = |name: &str| told.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    assert!(told(variables::ACCEPTOR_LISTEN).unwrap().contains("127.0.0.1:9\""));
    assert_eq!(told(variables::LINK_INSECURE).as_deref(), Some("true"));
}

#[test]
fn a_backend_in_another_language_has_no_admin_port() {
    let spec = spec("protocol: pitaya");
    let told = shown("room", &spec, &Place::pod());
    assert!(!told.iter().any(|(name, _)| name == variables::ADMIN_LISTEN), "{told:?}");
    assert_eq!(ports(&spec).len(), 1);
    assert_eq!(arguments(Protocol::Pitaya, CONFIG_FILE), [""; 0]);
}

#[test]
fn everything_that_is_set_is_listed_once() {
    let all: BTreeSet<&str> = variables::SET.into();
    assert_eq!(all.len(), variables::SET.len());
    assert_eq!(variables::MEANINGS.map(|(name, _)| name), variables::SET);
    for place in [Place::pod(), Place { id: Id::Name("a".to_owned()), ..Place::pod() }] {
        let set = environment("room", &spec(FRONTEND), &place);
        let names: BTreeSet<&str> = set.iter().map(|variable| variable.name).collect();
        assert_eq!(names.len(), set.len(), "{set:?}");
        assert!(names.is_subset(&all), "{set:?}");
        assert!(set.iter().all(|variable| variable.value != VariableValue::Text(String::new())));
    }
    for (name, _) in variables::MEANINGS {
        assert!(super::document().contains(&format!("`{name}`")), "{name}");
        assert!(name.starts_with("CEREUS__") && name.matches("__").count() == 2, "{name}");
    }
}

#[test]
fn each_certificate_has_a_folder() {
    let security = Place::pod().security;
    let mounts = mounts("connector", &spec(FRONTEND), "connector-config-1", &security);
    let shown: Vec<_> =
        mounts.iter().map(|mount| (mount.volume.as_str(), mount.path.to_str().unwrap(), &mount.source)).collect();
    let secret = |name: &str| MountSource::Secret(name.to_owned());
    assert_eq!(
        shown,
        [
            ("cereus-config", "/etc/cereus/config", &MountSource::ConfigMap("connector-config-1".to_owned())),
            ("cereus-temporary", "/tmp", &MountSource::Empty),
            ("cereus-certificates", "/etc/cereus/certificates", &secret("connector-certificates")),
            ("cereus-tls-tcp", "/etc/cereus/tls/tcp", &secret("game-tls")),
        ]
    );
    assert_eq!(super::mounts("room", &spec("{}"), "room-config-1", &Security::Loopback).len(), 2);
}

#[test]
fn ports_and_probes_go_together() {
    let spec = spec(FRONTEND);
    let ports = ports(&spec);
    let names: Vec<_> = ports.iter().map(|port| (port.name.as_str(), port.number)).collect();
    assert_eq!(names, [("link", 3260), ("admin", 3270), ("tcp", 3250), ("ws", 3251)]);
    for protocol in [Protocol::Cereus, Protocol::Pitaya] {
        let spec = ServerTypeSpec { protocol, ..ServerTypeSpec::default() };
        let names: Vec<_> = super::ports(&spec).into_iter().map(|port| port.name).collect();
        let probes = probes(protocol);
        for probe in [probes.startup, probes.readiness, probes.liveness] {
            let (super::ProbeKind::Http { port, .. } | super::ProbeKind::Tcp { port }) = probe.kind;
            assert!(names.iter().any(|name| name == port), "{protocol:?}: {port}");
        }
    }
    assert_eq!(termination_grace(&spec), Duration::from_secs(1 + 90 + 30));
}

#[test]
fn names_of_objects_fit() {
    let longest = "a".repeat(names::MAX_NAME_LENGTH);
    for name in [
        names::deployment,
        names::link_service,
        names::client_service,
        names::service_account,
        names::role,
        names::role_binding,
        names::disruption_budget,
        names::link_network_policy,
        names::client_network_policy,
        names::certificates,
    ] {
        let name = name(&longest);
        assert!(name.len() <= names::MAX_NAME_LENGTH + names::LONGEST_SUFFIX, "{name}");
    }
    assert!(names::config_map(&longest, "85944171f73967e8").len() <= 253);
}

#[test]
fn versions_are_legal_labels() {
    let table = [
        ("chat", None),
        ("chat:1.4.0", Some("1.4.0")),
        ("host:5000/a/chat", None),
        ("host:5000/a/chat:v1_2", Some("v1_2")),
        ("chat:1@sha256:0123456789abcdef0123", Some("1")),
        ("chat@sha256:0123456789abcdef0123", Some("0123456789ab")),
        ("chat:-", None),
        ("chat:1+2.", Some("1-2")),
    ];
    for (image, expected) in table {
        assert_eq!(names::version(image).as_deref(), expected, "{image}");
    }
}

#[test]
fn what_a_pod_listens_on_is_there_without_ipv6() {
    let (missing, in_use) = (rustix::io::Errno::AFNOSUPPORT, rustix::io::Errno::ADDRINUSE);
    for (address, fails_with, expected) in [
        ("[::]:3260", missing, Ok("0.0.0.0:3260")),
        ("[::]:3260", in_use, Err(in_use)),
        ("[::1]:3260", missing, Err(missing)),
        ("127.0.0.1:3260", missing, Ok("127.0.0.1:3260")),
    ] {
        // A kernel that does not take IPv6.
        let tried = RefCell::new(Vec::new());
        let kernel = |address: SocketAddr| {
            tried.borrow_mut().push(address.to_string());
            if address.is_ipv6() { Err(io::Error::from(fails_with)) } else { Ok(address.to_string()) }
        };
        let bound = bind(address.parse().unwrap(), kernel).map_err(|error| error.raw_os_error());
        assert_eq!(bound, expected.map(str::to_owned).map_err(|error| Some(error.raw_os_error())), "{address}");
        assert_eq!(tried.borrow()[0], address);
    }
    assert_eq!(bind(Place::pod().link, Ok).unwrap(), Place::pod().link);
}
