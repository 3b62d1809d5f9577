use std::{collections::BTreeMap, sync::Arc};

use cereus_crds::{ServerType, ServerTypeStatus, Validator};
use jiff::Timestamp;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::core::DeserializeGuard;
use serde_json::{Value, json};

use super::{Standing, describe, events, trouble};
use crate::{
    controller::{build::tests::BACKEND, error::Error, fetch::Observed, validate::validate},
    sessions::Counts,
};

/// What is seen of `room` with this spec, status of its Deployment, and pods.
fn observed(spec: &Value, deployment: Option<Value>, pods: Vec<Value>) -> Observed {
    let mut manifest: Value = serde_yaml::from_str(BACKEND).unwrap();
    for (key, value) in spec.as_object().unwrap() {
        manifest["spec"][key] = value.clone();
    }
    let object: DeserializeGuard<ServerType> = serde_json::from_value(manifest).unwrap();
    let deployment = deployment.map(|status| {
        let value = json!({ "metadata": { "generation": 2 }, "spec": { "replicas": 2, "selector": {}, "template": {} }, "status": status });
        serde_json::from_value::<Deployment>(value).unwrap()
    });
    Observed {
        object: Arc::new(object),
        namespace: "game".to_owned(),
        name: "room".to_owned(),
        existing: BTreeMap::new(),
        deployment,
        certificates: None,
        authority: None,
        pods: pods.into_iter().map(|pod| Arc::new(serde_json::from_value(pod).unwrap())).collect(),
        counts: Counts::of(&[("a", 5), ("b", 7)]),
        missing_secrets: Vec::new(),
        now: Timestamp::UNIX_EPOCH,
    }
}

/// The status after a run without failure, and its conditions as `Ready=True/AllServersReady`.
fn stands(observed: &Observed, before: Option<&ServerTypeStatus>) -> (ServerTypeStatus, Vec<String>) {
    let checked = validate(&observed.object, &Validator::new());
    let standing = Standing::new(observed, &checked);
    let status = describe(&standing, observed, before);
    let conditions = status
        .conditions
        .iter()
        .map(|condition| format!("{}={}/{}", condition.type_, condition.status, condition.reason));
    let conditions = conditions.collect();
    (status, conditions)
}

fn settled() -> Value {
    json!({ "observedGeneration": 2, "replicas": 2, "readyReplicas": 2, "updatedReplicas": 2 })
}

fn pod(name: &str, more: &Value) -> Value {
    let mut pod = json!({ "metadata": { "name": name, "uid": name }, "status": {} });
    if let (Some(pod), Some(more)) = (pod.as_object_mut(), more.as_object()) {
        pod.extend(more.clone());
        pod["metadata"].as_object_mut().unwrap().insert("uid".to_owned(), json!(name));
    }
    pod
}

#[test]
fn conditions_follow_the_deployment() {
    let check = |deployment: Option<Value>, pods: Vec<Value>, expected: [&str; 4]| {
        assert_eq!(stands(&observed(&json!({ "replicas": 2 }), deployment, pods), None).1, expected);
    };
    let fine = "Degraded=False/AsExpected";
    let runs = "Paused=False/NotPaused";
    check(Some(settled()), vec![], ["Ready=True/AllServersReady", "Progressing=False/Settled", fine, runs]);
    check(None, vec![], ["Ready=False/ServersNotReady", "Progressing=True/Starting", fine, runs]);
    // The status tells of the Deployment before.
    let mut old = settled();
    old["observedGeneration"] = json!(1);
    check(Some(old), vec![], ["Ready=False/ServersNotReady", "Progressing=True/Starting", fine, runs]);
    let mut starting = settled();
    starting["readyReplicas"] = json!(1);
    check(Some(starting), vec![], ["Ready=False/ServersNotReady", "Progressing=True/Starting", fine, runs]);
    // Its node does not answer: it is not ready, and not being started either.
    let silent = json!({ "spec": { "nodeName": "node-1", "containers": [] }, "status": { "conditions": [
        { "type": "Ready", "status": "False" }, { "type": "ContainersReady", "status": "True" },
    ] } });
    let mut one_silent = settled();
    one_silent["readyReplicas"] = json!(1);
    check(
        Some(one_silent),
        vec![pod("a", &silent)],
        ["Ready=False/ServersNotReady", "Progressing=False/Settled", "Degraded=True/NodeSilent", runs],
    );
    let mut rolling = settled();
    rolling["replicas"] = json!(3);
    rolling["updatedReplicas"] = json!(1);
    check(Some(rolling), vec![], ["Ready=True/AllServersReady", "Progressing=True/RollingOut", fine, runs]);
    let leaving = json!({ "metadata": { "name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z" } });
    check(
        Some(settled()),
        vec![pod("a", &leaving)],
        ["Ready=True/AllServersReady", "Progressing=True/Draining", fine, runs],
    );
}

#[test]
fn more_servers_than_there_are_to_be_are_no_part_of_them() {
    let check = |ready: i32, expected: &str| {
        let mut deployment = settled();
        deployment["readyReplicas"] = json!(ready);
        let (status, _) = stands(&observed(&json!({ "replicas": 2 }), Some(deployment), vec![]), None);
        assert_eq!(status.conditions[0].message, expected);
    };
    check(1, "1 of 2 servers take messages");
    check(2, "2 of 2 servers take messages");
    check(5, "5 servers take messages; there are to be 2");
}

#[test]
fn a_manifest_that_cannot_be_carried_out_and_a_pause_are_said() {
    let (status, conditions) = stands(&observed(&json!({ "image": null }), Some(settled()), vec![]), None);
    assert_eq!(
        conditions,
        [
            "Ready=False/ImageMissing",
            "Progressing=False/Settled",
            "Degraded=True/ImageMissing",
            "Paused=False/NotPaused"
        ]
    );
    assert!(status.conditions[0].message.contains("spec.image is missing: set it"), "{status:?}");
    let (status, conditions) = stands(&observed(&json!({ "drain": { "deadline": "1s" } }), None, vec![]), None);
    assert_eq!(conditions[2], "Degraded=True/InvalidManifest");
    assert!(status.conditions[2].message.contains("must be at least drain.linger, which is 5s"), "{status:?}");
    let (_, conditions) = stands(&observed(&json!({ "paused": true }), Some(settled()), vec![]), None);
    assert_eq!(conditions[3], "Paused=True/PausedByManifest");
}

#[test]
fn numbers_are_those_of_the_deployment_and_of_the_servers() {
    let leaving = json!({ "metadata": { "name": "b", "deletionTimestamp": "2026-01-01T00:00:00Z" } });
    let pods = vec![pod("a", &json!({})), pod("b", &leaving), pod("c", &json!({}))];
    let (status, _) = stands(&observed(&json!({}), Some(settled()), pods), None);
    assert_eq!((status.desired_replicas, status.replicas, status.ready_replicas), (Some(2), 2, 2));
    assert_eq!((status.draining_replicas, status.sessions), (1, Some(12)));
    assert_eq!(status.selector.as_deref(), Some("cereus.dev/replica-of=room"));
    assert_eq!((status.version.as_deref(), status.observed_generation), (Some("1.4.0"), Some(1)));
}

#[test]
fn a_status_says_the_same_as_long_as_nothing_changes_and_each_transition_is_an_event() {
    let mut seen = observed(&json!({ "replicas": 2 }), Some(settled()), vec![]);
    let (first, _) = stands(&seen, None);
    seen.now = Timestamp::from_second(100).unwrap();
    let (again, _) = stands(&seen, Some(&first));
    assert_eq!(again, first);
    let told = |before: &ServerTypeStatus, after: &ServerTypeStatus| -> Vec<String> {
        events::transitions(&before.conditions, &after.conditions).into_iter().map(|event| event.reason).collect()
    };
    assert_eq!(told(&ServerTypeStatus::default(), &first), ["AllServersReady"]);
    assert!(told(&first, &again).is_empty());
    let mut fewer = settled();
    fewer["readyReplicas"] = json!(1);
    let seen = Observed { now: seen.now, ..observed(&json!({ "replicas": 2 }), Some(fewer), vec![]) };
    let (worse, _) = stands(&seen, Some(&first));
    assert_eq!(told(&first, &worse), ["ServersNotReady", "Starting"]);
    assert_eq!(worse.conditions[0].last_transition_time.0, seen.now);
    assert_eq!(worse.conditions[2].last_transition_time, first.conditions[2].last_transition_time);
}

/// What a pod tells, the reason that is given, and what the message says.
#[test]
fn what_is_wrong_with_a_pod_is_said_with_what_to_do() {
    let container = |state: Value, last: Value| {
        pod(
            "room-1",
            &json!({ "status": { "containerStatuses": [{
            "name": "server", "image": "registry.example/chat:x", "imageID": "", "ready": false, "restartCount": 3,
            "state": state, "lastState": last,
        }] } }),
        )
    };
    let ended = |code: i32, message: &str| json!({ "terminated": { "exitCode": code, "message": message } });
    let waiting = |reason: &str, message: &str| json!({ "waiting": { "reason": reason, "message": message } });
    let back_off = || waiting("CrashLoopBackOff", "back-off 5m0s restarting failed container");
    let check = |pod: Value, reason: &str, said: &[&str]| {
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let trouble = trouble::of_pods([&pod]).unwrap();
        assert_eq!(trouble.reason.as_str(), reason, "{}", trouble.message);
        for part in said {
            assert!(trouble.message.contains(part), "{part} in {}", trouble.message);
        }
    };
    let config =
        "starting\nerror: /etc/cereus/config/config.yaml: unknown key drain.liner; the nearest is drain.linger\n";
    let refused = ["unknown key drain.liner; the nearest is drain.linger", "room-1", "correct spec.config"];
    check(container(back_off(), ended(1, config)), "ConfigRefused", &refused);
    check(container(ended(1, config), json!({})), "ConfigRefused", &refused);
    check(container(json!({ "running": {} }), ended(1, config)), "ConfigRefused", &refused);
    let port = "error: the admin port cannot listen on [::]:3270: Address already in use (os error 98)";
    check(container(back_off(), ended(1, port)), "PortInUse", &["[::]:3270", "spec.frontend.acceptors"]);
    let port = "error: acceptor tcp cannot listen on [::]:80: Permission denied (os error 13)";
    check(container(back_off(), ended(1, port)), "PortForbidden", &["[::]:80", "take a port from 1024 on"]);
    check(container(back_off(), ended(2, "")), "ServerFailed", &["code 2;", "image contract"]);
    check(container(back_off(), ended(101, "oh")), "ServerFailed", &["code 101: oh;", "kubectl logs --previous"]);
    let killed = json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled" } });
    check(container(back_off(), killed), "OutOfMemory", &["raise the limit of memory"]);
    let image = waiting("ImagePullBackOff", "not found");
    check(
        container(image, json!({})),
        "ImageNotPulled",
        &["registry.example/chat:x", "not found", "correct spec.image"],
    );
    let secret = waiting("CreateContainerConfigError", "secret \"redis\" not found");
    check(container(secret, json!({})), "SecretMissing", &["\"redis\" not found", "create what is missing"]);
    let mut silent = container(json!({ "running": {} }), ended(101, "oh"));
    silent["spec"] = json!({ "nodeName": "node-1", "containers": [] });
    silent["status"]["conditions"] =
        json!([{ "type": "Ready", "status": "False" }, { "type": "ContainersReady", "status": "True" }]);
    check(silent, "NodeSilent", &["room-1", "kubectl describe node node-1"]);
    let unscheduled = json!({ "status": { "conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: Insufficient cpu",
    }] } });
    check(pod("room-1", &unscheduled), "NoRoom", &["Insufficient cpu", "spec.template.resources"]);
}

/// The API server counts bytes, and refuses events whose note has more than 1024.
#[test]
fn a_message_is_no_longer_than_the_note_of_an_event_may_be() {
    let mut pod = pod("room-1", &json!({}));
    let said = format!("error: {}", "größe".repeat(1000));
    pod["status"] = json!({ "containerStatuses": [{
        "name": "server", "image": "", "imageID": "", "ready": false, "restartCount": 3,
        "state": { "terminated": { "exitCode": 1, "message": said } },
    }] });
    let (status, _) = stands(&observed(&json!({}), Some(settled()), vec![pod]), None);
    let message = &status.conditions[2].message;
    assert!((1021..=1024).contains(&message.len()), "{} bytes", message.len());
}

#[test]
fn a_server_that_starts_or_takes_messages_or_was_told_to_stop_is_no_trouble() {
    let is_well = |pod: Value| {
        let pod: Pod = serde_json::from_value(pod).unwrap();
        assert_eq!(trouble::of_pods([&pod]), None);
    };
    let container = |state: Value| json!([{ "name": "server", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state }]);
    is_well(pod(
        "a",
        &json!({ "status": { "containerStatuses": container(json!({ "waiting": { "reason": "ContainerCreating" } })) } }),
    ));
    is_well(pod("a", &json!({ "status": { "containerStatuses": container(json!({ "running": {} })) } })));
    let ended = container(json!({ "terminated": { "exitCode": 1 } }));
    let ready = json!([{ "type": "Ready", "status": "True" }]);
    is_well(pod("a", &json!({ "status": { "containerStatuses": ended, "conditions": ready } })));
    is_well(pod(
        "a",
        &json!({
            "metadata": { "name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z" },
            "status": { "containerStatuses": ended },
        }),
    ));
}

#[test]
fn missing_secrets_failures_and_a_stuck_rollout_degrade() {
    let degraded = |observed: &Observed, failure: Option<(Error, u32)>| {
        let checked = validate(&observed.object, &Validator::new());
        let mut standing = Standing::new(observed, &checked);
        if let Some((error, before)) = failure {
            standing.failed::<()>(&Err(error), before);
        }
        let condition = describe(&standing, observed, None).conditions.remove(2);
        format!("{}: {}", condition.reason, condition.message)
    };
    let mut seen = observed(&json!({}), Some(settled()), vec![]);
    let slow = || Error::Slow { action: "apply Deployment room".to_owned() };
    assert_eq!(degraded(&seen, Some((slow(), 0))), "AsExpected: nothing is wrong");
    assert!(degraded(&seen, Some((slow(), 5))).starts_with("ApiFailing: cannot apply Deployment room"));
    let taken = Error::NameTaken { kind: "Service", name: "room".to_owned() };
    assert!(degraded(&seen, Some((taken, 0))).starts_with("NameTaken: there is a Service room that was not made for"));
    seen.missing_secrets = vec!["game-tls".to_owned()];
    assert!(
        degraded(&seen, None)
            .starts_with("SecretMissing: servers wait for Secrets that are not there: game-tls; create")
    );
    let mut stuck = settled();
    stuck["conditions"] = json!([{ "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out" }]);
    assert!(degraded(&observed(&json!({}), Some(stuck), vec![]), None).starts_with("RolloutStuck: new servers"));
}
