//! What the charts make of their values. None of it needs a cluster.

use std::{collections::BTreeSet, fs};

use cereus_crds::{Validator, names};
use cereus_tests::kubernetes::helm_alone;
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::{DEFINITION, OPERATOR_NAMESPACE, chart};

/// What the operator's page says of its rights.
const OPERATOR_README: &str = include_str!("../../../operator/README.md");
/// The version of everything.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// A value of each kind that is not there by default.
const EVERYTHING: &str = "
replicas: 3
image:
  repository: registry.example:5000/cereus-operator
  tag: 1.4.0
  digest: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
  pullPolicy: Always
  pullSecrets: [{ name: registry }]
crds: { keep: false }
concurrency: 4
log: { filter: debug, format: text }
monitoringNamespaces: [monitoring]
metrics:
  service: { annotations: { prometheus.io/scrape: 'true' } }
  serviceMonitor: { enabled: true, interval: 1m, labels: { release: prometheus } }
networkPolicy: { enabled: true }
podDisruptionBudget: { maxUnavailable: 50% }
serviceAccount: { name: operator, annotations: { example.com/account: a } }
fullnameOverride: game-operator
labels: { team: platform }
annotations: { example.com/owner: platform }
podLabels: { example.com/pod: operator }
podAnnotations: { example.com/pod: operator }
env: [{ name: HTTPS_PROXY, value: 'http://proxy.example:3128' }]
resources: { limits: { cpu: 1 } }
priorityClassName: system-cluster-critical
nodeSelector: { kubernetes.io/os: linux }
tolerations: [{ key: dedicated, operator: Exists }]
affinity: { podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } }
topologySpreadConstraints:
  - { topologyKey: rack, maxSkew: 1, whenUnsatisfiable: DoNotSchedule, labelSelector: { matchLabels: { a: b } } }
";
/// As little as there can be.
const NOTHING: &str = "
crds: { enabled: false }
podDisruptionBudget: { enabled: false }
serviceAccount: { create: false }
rbac: { create: false }
resources: null
topologySpreadConstraints: []
";

/// What a chart makes of these values, as text.
async fn template(name: &str, values: &str) -> anyhow::Result<String> {
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), values)?;
    let (chart, file) = (chart(name), file.path().display().to_string());
    helm_alone(&["template", "cereus", &chart, "--namespace", OPERATOR_NAMESPACE, "--values", &file]).await
}

/// The same as objects.
async fn objects(name: &str, values: &str) -> Vec<Value> {
    let text = template(name, values).await.unwrap();
    let documents = serde_yaml::Deserializer::from_str(&text).map(|document| Value::deserialize(document).unwrap());
    documents.filter(|object| !object.is_null()).collect()
}

/// The same for people: without the definition of the resource, which is a file of its own, and without the version.
async fn shown(name: &str, values: &str) -> String {
    let text = template(name, values).await.unwrap();
    let documents = text.split("---\n").filter(|document| !document.contains("kind: CustomResourceDefinition"));
    documents.collect::<Vec<_>>().join("---\n").replace(VERSION, "VERSION")
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

#[tokio::test]
async fn helm_finds_no_fault_with_the_charts() {
    helm_alone(&["lint", "--strict", &chart("cereus"), &chart("game")]).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    for name in ["cereus", "game"] {
        helm_alone(&["package", &chart(name), "--destination", folder.path().to_str().unwrap()]).await.unwrap();
        let package = folder.path().join(format!("{name}-{VERSION}.tgz"));
        let told = helm_alone(&["show", "chart", package.to_str().unwrap()]).await.unwrap();
        assert!(told.contains(&format!("\nappVersion: {VERSION}\n")), "{told}");
        // What is packed is all that is needed.
        helm_alone(&["template", package.to_str().unwrap()]).await.unwrap();
    }
}

#[tokio::test]
async fn the_operator_of_all_namespaces() {
    insta::assert_snapshot!(shown("cereus", "").await);
}

#[tokio::test]
async fn the_operator_of_named_namespaces() {
    insta::assert_snapshot!(shown("cereus", "namespaces: [chess, cards]").await);
}

#[tokio::test]
async fn the_operator_with_everything() {
    insta::assert_snapshot!(shown("cereus", EVERYTHING).await);
}

#[tokio::test]
async fn the_operator_with_nothing() {
    insta::assert_snapshot!(shown("cereus", NOTHING).await);
}

#[tokio::test]
async fn with_named_namespaces_there_are_no_rights_on_the_cluster() {
    let objects = objects("cereus", "namespaces: [chess, cards]").await;
    let everywhere: Vec<_> = objects.iter().filter(|object| object["metadata"]["namespace"].is_null()).collect();
    assert_eq!(everywhere.len(), 1, "{everywhere:?}");
    assert_eq!(everywhere[0]["kind"], "CustomResourceDefinition");
    for kind in ["Role", "RoleBinding"] {
        let objects = of_kind(&objects, kind);
        let places = objects.iter().map(|object| object["metadata"]["namespace"].as_str().unwrap());
        assert_eq!(places.collect::<BTreeSet<_>>(), BTreeSet::from(["cards", OPERATOR_NAMESPACE, "chess"]));
    }
}

/// Rules as group, resource and verb, each alone.
fn rights(role: &Value) -> BTreeSet<[String; 3]> {
    let list = |rule: &Value, key: &str| -> Vec<String> {
        rule[key].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let mut rights = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        for group in list(rule, "apiGroups") {
            for resource in list(rule, "resources") {
                rights.extend(list(rule, "verbs").into_iter().map(|verb| [group.clone(), resource.clone(), verb]));
            }
        }
    }
    rights
}

/// The same from a table of the operator's page, below a line.
fn told_rights(heading: &str) -> BTreeSet<[String; 3]> {
    let table = OPERATOR_README.split(heading).nth(1).unwrap().trim_start();
    let rows = table.lines().take_while(|line| line.starts_with('|')).skip(2);
    let mut rights = BTreeSet::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let group = cells[0].trim_matches('`').replace('–', "");
        for resource in cells[1].split(", ") {
            for verb in cells[2].split(':').next().unwrap().split(", ") {
                rights.insert([group.clone(), resource.trim_matches('`').to_owned(), verb.to_owned()]);
            }
        }
    }
    assert!(rights.len() > 5, "no table below {heading}");
    rights
}

#[tokio::test]
async fn the_operator_may_do_what_its_page_says_and_no_more() {
    let watched = told_rights("In each namespace that it watches, or in all:");
    let own = told_rights("In its own namespace:");
    for (values, kind) in [("", "ClusterRole"), ("namespaces: [chess]", "Role")] {
        let objects = objects("cereus", values).await;
        let roles = [of_kind(&objects, "ClusterRole"), of_kind(&objects, "Role")].concat();
        let named = |kind: &str, name: &str| {
            let found = roles.iter().find(|role| role["kind"] == kind && role["metadata"]["name"] == name);
            rights(found.unwrap())
        };
        assert_eq!(named(kind, "cereus-operator"), watched);
        assert_eq!(named("Role", "cereus-operator-own"), own);
    }
}

#[tokio::test]
async fn the_resource_is_the_one_that_is_generated_and_stays() {
    let keep = json!("keep");
    for (values, policy) in [("", &keep), ("crds: { keep: false }", &Value::Null)] {
        let objects = objects("cereus", values).await;
        let installed = of_kind(&objects, "CustomResourceDefinition")[0];
        let generated: Value = serde_yaml::from_str(DEFINITION).unwrap();
        assert_eq!(normal(&installed["spec"]), normal(&generated["spec"]));
        assert_eq!(installed["metadata"]["name"], generated["metadata"]["name"]);
        assert_eq!(&installed["metadata"]["annotations"]["helm.sh/resource-policy"], policy);
    }
}

/// With all numbers written alike.
fn normal(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(normal).collect(),
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), normal(value))).collect(),
        other => other.clone(),
    }
}

#[tokio::test]
async fn wrong_values_are_refused_with_their_place() {
    for (name, values, says) in [
        ("cereus", "replica: 2", "at '': additional properties 'replica' not allowed"),
        ("cereus", "replicas: two", "at '/replicas': got string, want integer"),
        ("cereus", "image: { name: x }", "at '/image': additional properties 'name' not allowed"),
        ("cereus", "image: { digest: 9f86 }", "at '/image/digest': '9f86' does not match pattern"),
        ("cereus", "image: { pullPolicy: Sometimes }", "at '/image/pullPolicy': value must be one of 'Always'"),
        ("cereus", "namespaces: chess", "at '/namespaces': got string, want array"),
        ("cereus", "namespaces: [chess, chess]", "at '/namespaces': items at 0 and 1 are equal"),
        ("cereus", "namespaces: [Chess]", "at '/namespaces/0': 'Chess' does not match pattern"),
        ("cereus", "concurrency: 0", "at '/concurrency': minimum: got 0, want 1"),
        ("cereus", "log: { format: xml }", "at '/log/format': value must be one of 'json', 'text'"),
        ("cereus", "crds: { install: true }", "at '/crds': additional properties 'install' not allowed"),
        ("cereus", "metrics: { serviceMonitor: { enabled: 1 } }", "at '/metrics/serviceMonitor/enabled': got number"),
        ("cereus", "resources: { limit: {} }", "at '/resources': additional properties 'limit' not allowed"),
        ("cereus", "labels: { a: 1 }", "at '/labels/a': got number, want string"),
        ("game", "servertypes: {}", "at '': additional properties 'servertypes' not allowed"),
        ("game", "serverTypes: { Room: {} }", "at '/serverTypes': additional properties 'Room' not allowed"),
        (
            "game",
            "serverTypes: { room: { replica: 2 } }",
            "at '/serverTypes/room': additional properties 'replica' not",
        ),
        ("game", "serverTypes: { room: { replicas: -1 } }", "at '/serverTypes/room/replicas': minimum: got -1, want 0"),
        ("game", "defaults: { drain: 10m }", "at '/defaults/drain': got string, want object"),
    ] {
        let error = template(name, values).await.map(|_| ()).unwrap_err();
        assert!(format!("{error:#}").contains(says), "{name} with {values}: {error:#}");
    }
}

#[tokio::test]
async fn the_chat_as_server_types() {
    insta::assert_snapshot!(shown("game", "").await);
}

#[tokio::test]
async fn server_types_of_values_pass_the_check() {
    let values = "
image: { repository: registry.example/chess, tag: 1.4.0 }
defaults: { drain: { deadline: 5m }, template: { labels: { team: chess } } }
labels: { team: chess }
annotations: { example.com/owner: chess }
serverTypes:
  connector: { frontend: { acceptors: [{ name: ws, protocol: WebSocket, port: 8080 }] } }
  room: null
  board: { autoscaling: { maxReplicas: 9, sessionsPerReplica: 100 }, drain: { linger: 1s } }
  bot: { image: 'registry.example/bot:2', protocol: pitaya, replicas: 3 }
";
    insta::assert_snapshot!(shown("game", values).await);
    let validator = Validator::new();
    for values in ["", values, "serverTypes: { room: { autoscaling: { maxReplicas: 9, sessionsPerReplica: 1 } } }"] {
        let server_types = objects("game", values).await;
        assert!(server_types.len() > 1);
        for server_type in server_types {
            validator.validate(&server_type, None).unwrap();
        }
    }
}

#[test]
fn the_values_of_a_game_know_the_fields_and_names_of_server_types() {
    let schema: Value = serde_json::from_str(include_str!("../../../charts/game/values.schema.json")).unwrap();
    let definition: Value = serde_yaml::from_str(DEFINITION).unwrap();
    let spec = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    let fields = |properties: &Value| properties.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let known = &schema["$defs"]["spec"]["properties"];
    assert_eq!(fields(known), fields(spec));
    for field in fields(spec) {
        assert_eq!(known[&field]["type"], spec[&field]["type"], "{field}");
    }
    let pattern = names::NAME_PATTERN.replace("[-a-z0-9]*", &format!("[-a-z0-9]{{0,{}}}", names::MAX_NAME_LENGTH - 2));
    assert!(schema["properties"]["serverTypes"]["patternProperties"][&pattern].is_object(), "{pattern}");
}
