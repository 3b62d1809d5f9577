use std::time::Duration;

use serde::Deserialize as _;

use crate::{
    Acceptor, AcceptorProtocol, AcceptorTls, Drain, DurationText, HashKey, Policy, Protocol, Routing, ServerType,
    ServiceType, Zone, validate,
};

/// A manifest with everything that a cluster may say, known here or not.
const FULL: &str = r#"
apiVersion: cereus.dev/v1alpha1
kind: ServerType
metadata: { name: room }
spec:
  image: registry.example/chat:1.4.0
  replicas: 2
  future: { field: of a newer release }
  protocol: cereus
  frontend:
    acceptors:
      - { name: tcp, protocol: TCP, port: 3250, tls: { secretName: game-tls }, proxyProtocol: true, trustedProxies: [10.0.0.0/8] }
      - { name: ws, protocol: WebSocket, port: 3251 }
    service: { type: LoadBalancer, annotations: {} }
  routing: { policy: hash, key: "data:room", zone: prefer }
  drain: { linger: 5s, deadline: 1m30s }
  disruption: { maxUnavailable: 1 }
  config: { game: { rounds: 3, names: [a, b] } }
  template:
    resources: { limits: { cpu: 2, memory: 1Gi } }
    volumes: [{ name: maps, configMap: { name: maps } }]
    volumeMounts: [{ name: maps, mountPath: /maps }]
  paused: false
"#;

#[test]
fn a_full_manifest_is_read() {
    let room: ServerType = serde_yaml::from_str(FULL).unwrap();
    assert_eq!(room.metadata.name.as_deref(), Some("room"));
    let spec = &room.spec;
    assert_eq!(spec.image.as_deref(), Some("registry.example/chat:1.4.0"));
    assert_eq!(spec.desired_replicas(), 2);
    assert_eq!(
        spec.frontend.as_ref().unwrap().acceptors,
        [
            Acceptor {
                name: "tcp".into(),
                protocol: AcceptorProtocol::Tcp,
                port: 3250,
                tls: Some(AcceptorTls { secret_name: "game-tls".into() }),
                proxy_protocol: true,
                trusted_proxies: vec!["10.0.0.0/8".to_owned()],
            },
            Acceptor {
                name: "ws".into(),
                protocol: AcceptorProtocol::WebSocket,
                port: 3251,
                tls: None,
                proxy_protocol: false,
                trusted_proxies: Vec::new(),
            },
        ]
    );
    assert_eq!(spec.frontend.as_ref().unwrap().service.service_type, ServiceType::LoadBalancer);
    assert_eq!(spec.template.resources.limits.as_ref().unwrap()["cpu"].0, "2");
    assert_eq!(spec.template.volumes[0].name, "maps");
    assert_eq!(spec.drain.termination_grace(), Duration::from_secs(5 + 90 + 30));
    assert_eq!(spec.routing, Routing { policy: Policy::Hash, key: HashKey::Data("room".into()), zone: Zone::Prefer });
    assert_eq!(spec.drain.deadline.get(), Duration::from_secs(90));
    assert_eq!(spec.config["game"]["names"][1], "b");
}

#[test]
fn the_example_is_right() {
    let documents = serde_yaml::Deserializer::from_str(include_str!("../examples/game.yaml"));
    let names = documents.map(|document| {
        let document = serde_json::Value::deserialize(document).unwrap();
        validate(&document, None).unwrap().metadata.name.unwrap()
    });
    assert_eq!(names.collect::<Vec<_>>(), ["connector", "room"]);
}

#[test]
fn an_empty_spec_has_the_documented_defaults() {
    let text = "{apiVersion: cereus.dev/v1alpha1, kind: ServerType, metadata: {name: room}, spec: {}}";
    let room: ServerType = serde_yaml::from_str(text).unwrap();
    assert_eq!(room.spec.desired_replicas(), 1);
    assert_eq!(room.spec.protocol, Protocol::Cereus);
    assert_eq!(room.spec.frontend, None);
    assert_eq!(room.spec.routing, Routing { policy: Policy::LeastPending, key: HashKey::Uid, zone: Zone::Ignore });
    assert_eq!(room.spec.drain.linger.get(), Duration::from_secs(5));
    assert_eq!(room.spec.drain.deadline.get(), Duration::from_mins(10));
    assert_eq!(room.spec.drain.spread(), Duration::from_secs(30));
    assert!(room.spec.template.is_empty());
}

#[test]
fn what_is_left_is_closed_over_a_part_of_the_deadline() {
    let table = [("4s", None, 1), ("10m", None, 30), ("10m", Some("1m"), 60), ("10s", Some("1m"), 10), ("0s", None, 0)];
    for (deadline, spread, expected) in table {
        let deadline = deadline.parse().unwrap();
        let drain = Drain { deadline, spread: spread.map(|text| text.parse().unwrap()), ..Drain::default() };
        assert_eq!(drain.spread(), Duration::from_secs(expected), "{drain:?}");
    }
}

#[test]
fn what_is_written_reads_back() {
    let room: ServerType = serde_yaml::from_str(FULL).unwrap();
    let again: ServerType = serde_yaml::from_str(&serde_yaml::to_string(&room).unwrap()).unwrap();
    assert_eq!(room, again);
}

#[test]
fn wrong_values_are_refused_with_what_would_be_right() {
    let table = [
        ("routing: { policy: fastest }", "leastPending"),
        ("routing: { policy: hash, key: room }", "uid, session or data:<key>"),
        ("routing: { policy: hash, key: 'data:' }", "uid, session or data:<key>"),
        ("drain: { linger: soon }", "is not a duration"),
        ("frontend: { acceptors: [{ name: a, protocol: UDP, port: 1 }] }", "WebSocket"),
        ("frontend: { acceptors: [{ name: a, protocol: TCP, port: 70000 }] }", "u16"),
        ("protocol: grpc", "pitaya"),
        ("config: [1]", "map"),
    ];
    for (spec, expected) in table {
        let text = format!("apiVersion: cereus.dev/v1alpha1\nkind: ServerType\nmetadata: {{}}\nspec:\n  {spec}\n");
        let error = serde_yaml::from_str::<ServerType>(&text).unwrap_err().to_string();
        assert!(error.contains(expected), "{spec}: {error}");
    }
}

#[test]
fn reads_what_people_write_and_writes_what_it_reads() {
    let table = [
        ("0", Duration::ZERO, "0s"),
        ("0s", Duration::ZERO, "0s"),
        ("5s", Duration::from_secs(5), "5s"),
        ("300ms", Duration::from_millis(300), "300ms"),
        ("90s", Duration::from_secs(90), "1m30s"),
        ("1m30s", Duration::from_secs(90), "1m30s"),
        ("1.5s", Duration::from_millis(1500), "1s500ms"),
        ("1.5h", Duration::from_mins(90), "1h30m"),
        ("10m", Duration::from_mins(10), "10m"),
        ("7us5ns", Duration::from_nanos(7005), "7us5ns"),
        ("0.0000000001s", Duration::ZERO, "0s"),
    ];
    for (text, expected, written) in table {
        let duration: DurationText = text.parse().unwrap();
        assert_eq!(duration.get(), expected, "{text}");
        assert_eq!(duration.to_string(), written, "{text}");
        assert_eq!(written.parse(), Ok(duration), "{text}");
    }
}

#[test]
fn refuses_what_has_no_meaning() {
    for text in ["", "5", "s", "5 s", "-1s", "+1s", "1..5s", "1.s", ".5s", "5x", "1e3s", "infs", "99999999999999h"] {
        let error = text.parse::<DurationText>().unwrap_err().to_string();
        assert!(error.contains("is not a duration"), "{text}: {error}");
    }
}
