//! The ServerType on a real API server.

use cereus_crds::names::selector;
use cereus_tests::process::eventually;
use serde_json::{Value, json};

use crate::{DEFINITION, SOON, cluster, servers::manifest};

/// The cases that `cereus check` is tested with.
const CASES: &str = include_str!("../../../crds/src/validation/cases.yaml");

#[tokio::test]
async fn every_field_is_explained() {
    let cluster = cluster().await;
    let fields = cluster.kubectl(&["explain", "gst.spec", "--recursive"]).await.unwrap();
    for field in ["acceptors\t<[]Object>", "maxUnavailable", "sessionsPerReplica"] {
        assert!(fields.contains(field), "{field} is not in\n{fields}");
    }
    let linger = cluster.kubectl(&["explain", "gst.spec.drain.linger"]).await.unwrap();
    assert!(linger.contains("How long a frontend still takes new clients"), "{linger}");
}

#[tokio::test]
async fn absent_fields_get_their_defaults() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("defaults").await.unwrap();
    namespace.apply(&manifest("room", &json!({ "drain": { "linger": "1s" } }))).await.unwrap();
    let spec = namespace.get("gst/room").await.unwrap()["spec"].take();
    assert_eq!(spec["drain"], json!({ "linger": "1s", "deadline": "10m" }));
    assert_eq!(spec["routing"]["policy"], "leastPending");
    // Beside autoscaling it must not be there.
    assert_eq!(spec["replicas"], Value::Null);
}

#[tokio::test]
async fn the_api_server_and_the_check_come_to_the_same_verdicts() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("verdicts").await.unwrap();
    let rules = rules();
    let cases: Vec<Value> = serde_yaml::from_str(CASES).unwrap();
    let mut differences = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let name = format!("case-{number}");
        let answer = if let Some(was) = case.get("was") {
            namespace.apply(&manifest(&name, was)).await.unwrap();
            // The operator writes the status of what was, between what kubectl reads and what it sends.
            let replaced = || async {
                let answer = namespace.send(&["replace", "--dry-run=server"], &manifest(&name, &case["spec"])).await;
                let overtaken = answer.as_ref().is_err_and(|error| format!("{error:#}").contains("(Conflict)"));
                Ok((!overtaken).then_some(answer))
            };
            eventually("replacement that nobody overtakes", SOON, replaced).await.unwrap()
        } else {
            namespace.send(&["create", "--dry-run=server"], &manifest(&name, &case["spec"])).await
        };
        let says = case["says"].as_array().map(Vec::as_slice).unwrap_or_default();
        let difference = match &answer {
            Ok(_) if says.is_empty() => None,
            Ok(_) => Some("takes it".to_owned()),
            Err(error) if says.is_empty() => Some(format!("{error:#}")),
            Err(error) => {
                let said = format!("{error:#}");
                let missing = says.iter().find(|problem| !agrees(&said, problem.as_str().unwrap(), &rules));
                missing.map(|problem| format!("does not say `{problem}` but {said}"))
            }
        };
        differences.extend(difference.map(|difference| format!("{case}\n    the API server: {difference}")));
    }
    assert!(differences.is_empty(), "\n{}\n", differences.join("\n"));
}

/// Whether the API server says the same: the message of a rule, of anything else the place. Of two items with the same key
/// it names the item.
fn agrees(said: &str, problem: &str, rules: &[String]) -> bool {
    if rules.iter().any(|rule| problem.contains(rule)) {
        let message = problem.split_once(": ").map_or(problem, |(_, message)| message);
        return said.contains(message);
    }
    let place = problem.split([' ', ':']).next().unwrap_or_default();
    let item = place.rsplit_once('.').map_or(place, |(item, _)| item);
    said.contains(place) || said.contains(&format!("{item}: Duplicate value"))
}

/// The messages of all rules, or what they begin with.
fn rules() -> Vec<String> {
    fn collect(value: &Value, messages: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                let message = object.get("message").and_then(Value::as_str).filter(|_| object.contains_key("rule"));
                let expression = object.get("messageExpression").and_then(Value::as_str);
                let expression = expression.and_then(|expression| expression.split('\'').nth(1));
                messages.extend(expression.or(message).map(str::to_owned));
                object.values().for_each(|value| collect(value, messages));
            }
            Value::Array(items) => items.iter().for_each(|value| collect(value, messages)),
            _ => {}
        }
    }
    let mut messages = Vec::new();
    collect(&serde_yaml::from_str(DEFINITION).unwrap(), &mut messages);
    assert!(messages.len() > 10, "{messages:?}");
    messages
}

#[tokio::test]
async fn what_kubectl_shows_and_scales_is_the_spec() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("columns").await.unwrap();
    namespace.apply(&manifest("room", &json!({ "image": "cereus.test/room:1.4.0", "replicas": 2 }))).await.unwrap();
    let table = namespace.kubectl(&["get", "gst"]).await.unwrap();
    let header: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["NAME", "DESIRED", "READY", "DRAINING", "SESSIONS", "VERSION", "AGE"]);
    let all = namespace.kubectl(&["get", "all,cereus", "--output", "name"]).await.unwrap();
    assert!(all.contains("servertype.cereus.dev/room"), "{all}");

    namespace.kubectl(&["scale", "gst/room", "--replicas=3"]).await.unwrap();
    let room = namespace.get("gst/room").await.unwrap();
    assert_eq!(room["spec"]["replicas"], 3);
    let error = namespace.kubectl(&["scale", "gst/room", "--replicas=10001"]).await.unwrap_err();
    assert!(error.to_string().contains("10000") || format!("{error:#}").contains("10000"), "{error:#}");

    // What an autoscaler reads is the operator's, and only the subresource takes it.
    namespace.kubectl(&["patch", "gst/room", "--type=merge", "--patch", r#"{"status":{"sessions":7}}"#]).await.unwrap();
    namespace.wait("gst/room", "jsonpath={.status.desiredReplicas}=3", SOON).await.unwrap();
    assert_ne!(namespace.get("gst/room").await.unwrap()["status"]["sessions"], 7);
    let scale = namespace.kubectl(&["get", "gst/room", "--subresource=scale", "--output=json"]).await.unwrap();
    let scale: Value = serde_json::from_str(&scale).unwrap();
    assert_eq!(scale["status"]["selector"], selector("room"));
    namespace.wait("gst/room", "jsonpath={.status.replicas}=3", SOON).await.unwrap();
}
