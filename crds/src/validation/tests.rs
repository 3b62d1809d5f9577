use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Path, Problem, Validator, validate};
use crate::{ServerType, names};

/// A ServerType called `room` with this spec, written as YAML.
fn manifest(spec: &str) -> Value {
    object(&serde_yaml::from_str(spec).unwrap())
}

fn object(spec: &Value) -> Value {
    json!({ "apiVersion": "cereus.dev/v1alpha1", "kind": "ServerType", "metadata": { "name": "room" }, "spec": spec })
}

fn problems(result: Result<ServerType, Vec<Problem>>) -> Vec<String> {
    result.err().unwrap_or_default().iter().map(Problem::to_string).collect()
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
      imagePullSecrets: [{ name: registry }]
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
fn each_spec_is_said_what_is_wrong_with_it() {
    let validator = Validator::new();
    let cases: Vec<Value> = serde_yaml::from_str(include_str!("cases.yaml")).unwrap();
    for case in cases {
        let result = validator.validate(&object(&case["spec"]), case.get("was").map(object).as_ref());
        assert_eq!(json!(problems(result)), case.get("says").cloned().unwrap_or(json!([])), "{case}");
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
    let tables = [include_str!("cases.yaml"), include_str!("tests.rs")].concat();
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
