use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Path, Problem, Validator, validate};
use crate::{ServerType, names};

/// A ServerType called `room` with this spec, written as YAML.
fn manifest(spec: &str) -> Value {
    let spec: Value = serde_yaml::from_str(spec).unwrap();
    json!({ "apiVersion": "cereus.dev/v1alpha1", "kind": "ServerType", "metadata": { "name": "room" }, "spec": spec })
}

fn problems(result: Result<ServerType, Vec<Problem>>) -> Vec<String> {
    result.err().unwrap_or_default().iter().map(Problem::to_string).collect()
}

/// Each spec with all that is said of it; nothing is said of one that is right.
fn check(table: &[(&str, &[&str])]) {
    let validator = Validator::new();
    for (spec, expected) in table {
        assert_eq!(problems(validator.validate(&manifest(spec), None)), *expected, "{spec}");
    }
}

/// A right spec in which every field is given.
const FULL: &str = "
    image: registry.example/chat:1.4.0
    replicas: 2
    protocol: cereus
    frontend:
      acceptors:
        - { name: tcp, protocol: TCP, port: 3250, tls: { secretName: game-tls }, proxyProtocol: true }
        - { name: ws, protocol: WebSocket, port: 3251 }
      service: { type: LoadBalancer, annotations: { a.example/b: c } }
    routing: { policy: hash, key: 'data:room', zone: prefer }
    drain: { linger: 5s, deadline: 1m30s, spread: 20s }
    disruption: { maxUnavailable: 25% }
    config: { game: { rounds: 3 }, any: [thing] }
    template:
      resources: { requests: { cpu: 500m, memory: 256Mi }, limits: { cpu: 2 } }
      env: [{ name: A, value: b }, { name: C, valueFrom: { fieldRef: { fieldPath: spec.nodeName } } }]
      nodeSelector: { disk: ssd }
      tolerations: [{ key: games, operator: Exists, effect: NoSchedule }]
      affinity: { nodeAffinity: {} }
      labels: { team: blue }
      annotations: { a.example/b: c }
      volumes: [{ name: maps, configMap: { name: maps } }]
      volumeMounts: [{ name: maps, mountPath: /maps, readOnly: true }]
    paused: false
";

#[test]
fn a_full_manifest_is_right_and_read() {
    let room = validate(&manifest(FULL), None).unwrap();
    assert_eq!(room.spec.template.volume_mounts[0].mount_path, "/maps");
    // Every field of the types is one of the schema, and the other way round.
    let written = serde_json::to_value(&room).unwrap();
    assert_eq!(problems(validate(&written, Some(&written))), [""; 0]);
    let mut whole = manifest(FULL);
    whole["status"] = json!({
        "desiredReplicas": 2, "replicas": 2, "readyReplicas": 2, "updatedReplicas": 2, "drainingReplicas": 0,
        "sessions": 5, "selector": names::selector("room"), "version": "1.4.0", "observedGeneration": 3,
        "conditions": [{ "type": "Ready", "status": "True", "reason": "AllReady", "message": "",
                         "lastTransitionTime": "2030-01-31T12:00:00Z" }],
    });
    whole["metadata"]["labels"] = json!({ "a": "b" });
    whole["metadata"]["managedFields"] = json!([{ "fieldsV1": { "f:spec": {} } }]);
    assert_eq!(problems(validate(&whole, None)), [""; 0]);
}

#[test]
fn defaults_are_filled_in() {
    let room = validate(&manifest("{ drain: { linger: 1s }, routing: , disruption: { maxUnavailable: null } }"), None);
    let spec = room.unwrap().spec;
    assert_eq!(spec.drain.deadline.to_string(), "10m");
    assert_eq!(spec, validate(&manifest("{ drain: { linger: 1s } }"), None).unwrap().spec);
}

#[test]
fn what_does_not_exist_is_refused_with_what_does() {
    check(&[
        ("{ replcias: 2 }", &["spec.replcias: unknown field; the nearest is spec.replicas"]),
        ("{ Replicas: 2 }", &["spec.Replicas: unknown field; the nearest is spec.replicas"]),
        ("{ acceptors: [] }", &["spec.acceptors: unknown field; the nearest is spec.frontend.acceptors"]),
        ("{ routing: { linger: 5s } }", &["spec.routing.linger: unknown field; the nearest is spec.drain.linger"]),
        ("{ disruption: { xyz: 1 } }", &["spec.disruption.xyz: unknown field; there are maxUnavailable"]),
        (
            "{ template: { volumes: [{ name: a, confgMap: {} }] } }",
            &["spec.template.volumes[0].confgMap: unknown field; the nearest is spec.template.volumes[0].configMap"],
        ),
        ("{ config: { anything: { goes: [1] } } }", &[]),
    ]);
}

#[test]
fn values_must_fit_their_field() {
    check(&[
        ("5", &["spec = 5: must be an object"]),
        ("{ replicas: two }", &["spec.replicas = \"two\": must be an integer"]),
        ("{ replicas: 1.5 }", &["spec.replicas = 1.5: must be an integer"]),
        ("{ replicas: null, template: , frontend: }", &[]),
        ("{ template: { labels: { a: null } } }", &[]),
        ("{ frontend: { acceptors: [null] } }", &["spec.frontend.acceptors[0] = null: must be an object"]),
        ("{ replicas: -1 }", &["spec.replicas = -1: must be at least 0"]),
        ("{ replicas: 10001 }", &["spec.replicas = 10001: must be at most 10000"]),
        ("{ image: '' }", &["spec.image: must have at least 1 characters, and has 0"]),
        ("{ paused: yes please }", &["spec.paused = \"yes please\": must be true or false"]),
        ("{ protocol: grpc }", &["spec.protocol = \"grpc\": must be one of cereus, pitaya"]),
        ("{ protocol: Pitaya }", &["spec.protocol = \"Pitaya\": must be one of cereus, pitaya; the nearest is pitaya"]),
        (
            "{ routing: { policy: fastest } }",
            &["spec.routing.policy = \"fastest\": must be one of leastPending, random, roundRobin, hash, sticky"],
        ),
        (
            "{ routing: { policy: hash, key: room } }",
            &["spec.routing.key = \"room\": must be a routing key: uid, session or data:<key>"],
        ),
        (
            "{ drain: { linger: soon } }",
            &["spec.drain.linger = \"soon\": must be a duration such as 300ms, 5s, 1m30s or 1.5h"],
        ),
        ("{ config: [1] }", &["spec.config: must be an object"]),
        ("{ template: { env: { A: b } } }", &["spec.template.env: must be a list"]),
        (
            "{ template: { env: [{ value: b }] } }",
            &["spec.template.env[0].name: is missing (Name of the environment variable)"],
        ),
        (
            "{ template: { env: [{ name: A }, { name: B }, { name: A }] } }",
            &["spec.template.env[2].name = \"A\": must be unique, and spec.template.env[0] is the same"],
        ),
        ("{ template: { labels: { a: 1 } } }", &["spec.template.labels.a = 1: must be text"]),
        (
            "{ template: { resources: { limits: { cpu: 0.5 } } } }",
            &["spec.template.resources.limits.cpu = 0.5: must be an integer or text"],
        ),
        ("{ frontend: {} }", &["spec.frontend.acceptors: a frontend needs an acceptor"]),
        (
            "{ frontend: { acceptors: [{ name: a, protocol: UDP, port: 70000 }] } }",
            &[
                "spec.frontend.acceptors[0].port = 70000: must be at most 65535",
                "spec.frontend.acceptors[0].protocol = \"UDP\": must be one of TCP, WebSocket",
            ],
        ),
    ]);
}

/// Each rule with what breaks it and what just does not.
#[test]
#[allow(clippy::too_many_lines, reason = "it is one table")]
fn rules_hold() {
    let frontend = |acceptors: &str| format!("{{ frontend: {{ acceptors: [{acceptors}] }} }}");
    let same_port = frontend("{ name: a, protocol: TCP, port: 1 }, { name: b, protocol: TCP, port: 1 }");
    let two_ports = frontend("{ name: a, protocol: TCP, port: 1 }, { name: b, protocol: TCP, port: 2 }");
    let same_name = frontend("{ name: a, protocol: TCP, port: 1 }, { name: a, protocol: TCP, port: 2 }");
    let none = frontend("");
    let link = frontend("{ name: link, protocol: TCP, port: 1 }");
    let admin = frontend("{ name: links, protocol: TCP, port: 3270 }");
    let linger = "spec.drain.deadline = \"3s\": must be at least drain.linger, which is 5s";
    check(&[
        (
            "{ replicas: 1, autoscaling: { maxReplicas: 2, sessionsPerReplica: 9 } }",
            &[
                "spec.replicas = 1: replicas and autoscaling exclude each other: with autoscaling the number follows the sessions",
            ],
        ),
        ("{ autoscaling: { maxReplicas: 2, sessionsPerReplica: 9 } }", &[]),
        (
            "{ autoscaling: { minReplicas: 3, maxReplicas: 2, sessionsPerReplica: 9 } }",
            &["spec.autoscaling.minReplicas = 3: must be at most maxReplicas"],
        ),
        ("{ autoscaling: { minReplicas: 2, maxReplicas: 2, sessionsPerReplica: 9 } }", &[]),
        (
            "{ autoscaling: { maxReplicas: 2, sessionsPerReplica: 9, scaleDownDelay: 25h } }",
            &["spec.autoscaling.scaleDownDelay = \"25h\": must be at most 24h"],
        ),
        (
            "{ autoscaling: { maxReplicas: 2, sessionsPerReplica: 9, scaleDownDelay: 0 } }",
            &["spec.autoscaling.scaleDownDelay = 0: must be text"],
        ),
        ("{ autoscaling: { maxReplicas: 2, sessionsPerReplica: 9, scaleDownDelay: '0' } }", &[]),
        (&same_port, &["spec.frontend.acceptors: two acceptors must not have the same port"]),
        (&two_ports, &[]),
        (
            &same_name,
            &["spec.frontend.acceptors[1].name = \"a\": must be unique, and spec.frontend.acceptors[0] is the same"],
        ),
        (&none, &["spec.frontend.acceptors: a frontend needs an acceptor"]),
        (
            &link,
            &[
                "spec.frontend.acceptors[0].name = \"link\": `link` and `admin` are names of ports that every server has",
            ],
        ),
        (
            &admin,
            &[
                "spec.frontend.acceptors[0].port = 3270: 3260 and 3270 are ports on which every server listens for servers and probes",
            ],
        ),
        (
            "{ protocol: pitaya, frontend: { acceptors: [{ name: a, protocol: TCP, port: 1 }] } }",
            &["spec.frontend: a server type with protocol pitaya is a backend: it has no frontend"],
        ),
        ("{ protocol: pitaya }", &[]),
        (
            "{ routing: { key: uid } }",
            &["spec.routing.key = \"uid\": only the policy hash has a key, and the policy is leastPending"],
        ),
        ("{ routing: { policy: hash, key: uid } }", &[]),
        ("{ routing: { policy: hash } }", &[]),
        ("{ drain: { deadline: 3s } }", &[linger]),
        ("{ drain: { linger: 3s, deadline: 3s } }", &[]),
        ("{ drain: { linger: 0s, deadline: '0' } }", &[]),
        (
            "{ drain: { linger: 601s } }",
            &[
                "spec.drain.linger = \"601s\": must be at most 10m",
                "spec.drain.deadline = \"10m\": must be at least drain.linger, which is 601s",
            ],
        ),
        ("{ drain: { deadline: 24h1ms } }", &["spec.drain.deadline = \"24h1ms\": must be at most 24h"]),
        ("{ drain: { deadline: 24h } }", &[]),
        ("{ drain: { spread: 11m } }", &["spec.drain.spread = \"11m\": must be at most drain.deadline, which is 10m"]),
        ("{ drain: { spread: 1.5m } }", &[]),
        ("{ disruption: { maxUnavailable: -1 } }", &["spec.disruption.maxUnavailable = -1: must be at least 0"]),
        (
            "{ disruption: { maxUnavailable: half } }",
            &["spec.disruption.maxUnavailable = \"half\": must be a number from 0, or a share from 0% to 100%"],
        ),
        (
            "{ disruption: { maxUnavailable: 101% } }",
            &["spec.disruption.maxUnavailable = \"101%\": must be a number from 0, or a share from 0% to 100%"],
        ),
        ("{ disruption: { maxUnavailable: 100% } }", &[]),
        ("{ disruption: { maxUnavailable: 0 } }", &[]),
        (
            "{ template: { env: [{ name: CEREUS__SERVER__ID, value: a }] } }",
            &["spec.template.env: a variable that the image contract sets cannot be set here"],
        ),
        ("{ template: { env: [{ name: CEREUS__AGENT__HEARTBEAT, value: 9s }] } }", &[]),
        (
            "{ template: { labels: { cereus.dev/replica-of: other } } }",
            &["spec.template.labels: labels that begin with `cereus.dev/` belong to the operator"],
        ),
        (
            "{ template: { annotations: { cereus.dev/x: '' } } }",
            &["spec.template.annotations: annotations that begin with `cereus.dev/` belong to the operator"],
        ),
        ("{ template: { labels: { example.cereus.dev/x: '' }, annotations: { cereus: '' } } }", &[]),
        (
            "{ template: { volumes: [{ name: cereus-a }] } }",
            &["spec.template.volumes: names of volumes that begin with `cereus-` belong to the operator"],
        ),
        (
            "{ template: { volumeMounts: [{ name: a, mountPath: /a }], volumes: [{ name: b }] } }",
            &["spec.template.volumeMounts: each mount names one of template.volumes"],
        ),
        (
            "{ template: { volumeMounts: [{ name: a, mountPath: /a }] } }",
            &["spec.template.volumeMounts: each mount names one of template.volumes"],
        ),
        (
            "{ template: { volumeMounts: [{ name: a, mountPath: /etc/cereus/x }], volumes: [{ name: a }] } }",
            &["spec.template.volumeMounts: the folder /etc/cereus belongs to the operator"],
        ),
        ("{ template: { volumeMounts: [{ name: a, mountPath: /etc/cereus2 }], volumes: [{ name: a }] } }", &[]),
    ]);
}

#[test]
fn what_cannot_change_is_compared_with_what_was() {
    let validator = Validator::new();
    let frontend = "{ frontend: { acceptors: [{ name: a, protocol: TCP, port: 1 }] } }";
    let other_port = "{ frontend: { acceptors: [{ name: a, protocol: TCP, port: 2 }] } }";
    let kinds = "spec.frontend: a backend cannot become a frontend, nor a frontend a backend, because both would run side \
                 by side; make another ServerType";
    let table: [(&str, &str, &[&str]); 7] = [
        (
            "{}",
            "{ protocol: pitaya }",
            &[
                "spec.protocol = \"pitaya\": cannot be changed, because servers of both kinds would run side by side; make \
             another ServerType",
            ],
        ),
        // The default and what it stands for are the same.
        ("{}", "{ protocol: cereus }", &[]),
        ("{ protocol: cereus }", "{}", &[]),
        ("{}", frontend, &[kinds]),
        (frontend, "{}", &[kinds]),
        (frontend, other_port, &[]),
        ("{ replicas: 1 }", "{ replicas: 5, drain: { linger: 1s } }", &[]),
    ];
    for (old, new, expected) in table {
        let result = validator.validate(&manifest(new), Some(&manifest(old)));
        assert_eq!(problems(result), expected, "{old} -> {new}");
    }
}

#[test]
fn an_object_says_what_it_is() {
    let named = |name: &str| json!({ "apiVersion": "cereus.dev/v1alpha1", "kind": "ServerType", "metadata": { "name": name }, "spec": {} });
    let long = "a".repeat(names::MAX_NAME_LENGTH + 1);
    let pattern = |name: &str| {
        vec![format!("metadata.name = {name:?}: must be lower-case letters, digits and `-`, a letter first")]
    };
    let table = [
        (named("a"), vec![]),
        (named(&"a".repeat(names::MAX_NAME_LENGTH)), vec![]),
        (named(&long), vec!["metadata.name: must have at most 46 characters, and has 47".to_owned()]),
        (named("room.eu"), pattern("room.eu")),
        (named("1room"), pattern("1room")),
        (named("Room"), pattern("Room")),
        (named("room-"), pattern("room-")),
        (
            json!({ "apiVersion": "cereus.dev/v2", "kind": "Room", "metadata": {}, "spec": {}, "sepc": {} }),
            vec![
                "apiVersion = \"cereus.dev/v2\": must be cereus.dev/v1alpha1".to_owned(),
                "kind = \"Room\": must be ServerType".to_owned(),
                "metadata.name: is missing; it is the first part of the routes that these servers handle".to_owned(),
                "sepc: unknown field; the nearest is spec".to_owned(),
            ],
        ),
        (
            json!({ "apiVersion": "cereus.dev/v1alpha1", "kind": "ServerType",
                    "metadata": { "name": "a", "lables": {}, "labels": { "a": 1 } } }),
            vec![
                "metadata.labels.a = 1: must be text".to_owned(),
                "metadata.lables: unknown field; the nearest is metadata.labels".to_owned(),
                "spec: is missing (What a kind of server runs, how it is reached, and how many of it there are to be)"
                    .to_owned(),
            ],
        ),
        (
            json!([]),
            vec![
                "apiVersion: is missing; it must be cereus.dev/v1alpha1".to_owned(),
                "kind: is missing; it must be ServerType".to_owned(),
                "must be an object".to_owned(),
            ],
        ),
    ];
    for (document, expected) in table {
        assert_eq!(problems(validate(&document, None)), expected, "{document}");
    }
}

/// A rule that is never broken by the tables above would be a rule that nobody has tried.
#[test]
fn every_rule_is_in_the_tables() {
    let definition = serde_json::to_value(crate::definition()).unwrap();
    let mut rules = Vec::new();
    collect(&definition, &mut rules);
    let tables = include_str!("tests.rs").replace(" \\\n", " ");
    let tables: String = tables.split_whitespace().collect::<Vec<_>>().join(" ");
    let untried: Vec<_> = rules.iter().filter(|message| !tables.contains(message.as_str())).collect();
    assert!(untried.is_empty(), "{untried:#?}");
}

fn collect(value: &Value, messages: &mut Vec<String>) {
    if let Some(rules) = value.get("x-kubernetes-validations").and_then(Value::as_array) {
        messages.extend(rules.iter().map(|rule| match (&rule["message"], &rule["messageExpression"]) {
            (Value::String(text), _) => text.clone(),
            // `'a text' + self.field`
            (_, expression) => expression.as_str().unwrap().split('\'').nth(1).unwrap().to_owned(),
        }));
    }
    match value {
        Value::Object(object) => object.values().for_each(|value| collect(value, messages)),
        Value::Array(items) => items.iter().for_each(|value| collect(value, messages)),
        _ => {}
    }
}

#[test]
fn places_are_found_by_what_is_written() {
    let document = json!({ "a": { "b.c/d": [1, { "e": 2 }] } });
    let path = Path::parse("a.b.c/d[1].e", &document);
    assert_eq!(path.to_string(), "a[\"b.c/d\"][1].e");
    assert_eq!(path.find(&document), Some(&json!(2)));
    // What is not there is split at dots.
    assert_eq!(Path::parse("a.x.y[3]", &document), Path::default().key("a").key("x").key("y").index(3));
    assert_eq!(Path::parse("", &document), Path::default());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z0-9.:%/-]{0,12}".prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        "[0-9]{1,20}(h|m|s|ns)".prop_map(Value::from),
    ];
    let keys = prop_oneof![
        "[a-zA-Z]{1,8}",
        proptest::sample::select(vec![
            "apiVersion",
            "kind",
            "metadata",
            "name",
            "spec",
            "frontend",
            "acceptors",
            "port",
            "protocol",
            "drain",
            "linger",
            "deadline",
            "spread",
            "routing",
            "policy",
            "key",
            "template",
            "env",
            "volumes",
            "volumeMounts",
            "mountPath",
            "labels",
            "disruption",
            "maxUnavailable",
            "autoscaling",
            "minReplicas",
            "status",
        ])
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(6, 48, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((keys.clone(), inner), 0..8)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

#[test]
fn nothing_makes_it_panic() {
    let validator = Validator::new();
    let config = ProptestConfig { cases: 500, ..ProptestConfig::default() };
    proptest!(config, |(document in any_json(), spec in any_json(), old in any_json())| {
        let _ = validator.validate(&document, Some(&old));
        let spec = json!({ "apiVersion": "cereus.dev/v1alpha1", "kind": "ServerType", "metadata": { "name": "a" }, "spec": spec });
        let _ = validator.validate(&spec, Some(&spec));
        // Old objects were right by the rules of their time, but they may be anything here.
        let _ = validator.validate(&manifest(FULL), Some(&old));
    });
}

#[test]
fn any_drain_in_bounds_is_right() {
    let validator = Validator::new();
    let config = ProptestConfig { cases: 100, ..ProptestConfig::default() };
    proptest!(config, |(linger in 0u64..600, more in 0u64..1000, part in 0u64..100)| {
        let deadline = linger + more;
        let spec = format!("drain: {{ linger: {linger}s, deadline: {deadline}s, spread: {}s }}", deadline * part / 100);
        prop_assert_eq!(problems(validator.validate(&manifest(&spec), None)), Vec::<String>::new());
    });
}

/// The operator holds one for all its tasks.
#[test]
fn a_validator_is_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Validator>();
}
