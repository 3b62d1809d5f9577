//! Whole runs against an API server that is played by the test.

mod cluster;
mod faults;

use std::{pin::pin, time::Duration};

use cereus_crds::names::{DELETION_COST_ANNOTATION, FIELD_MANAGER};
use futures_util::poll;
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use self::cluster::Cluster;
use crate::controller::{
    build::tests::{BACKEND, FRONTEND, PITAYA},
    error::Failure,
};

/// What one run over a new backend writes, in this order.
const FIRST_RUN: [&str; 11] = [
    "POST secrets",
    "PATCH secrets/room-certificates",
    "PATCH configmaps/room-config-c735ad1983dc7ddd",
    "PATCH serviceaccounts/room-server",
    "PATCH roles/room-server",
    "PATCH rolebindings/room-server",
    "PATCH networkpolicies/room-link",
    "PATCH services/room-link",
    "PATCH deployments/room",
    "PATCH poddisruptionbudgets/room",
    "PATCH servertypes/room/status",
];

#[tokio::test]
async fn a_new_server_type_gets_its_objects_and_a_second_run_writes_nothing() {
    let cluster = Cluster::with(BACKEND);
    cluster.run().await.unwrap();
    let mut writes = cluster.writes();
    writes.retain(|write| write != "POST events");
    assert_eq!(writes, FIRST_RUN);
    // The first run could not know yet that its changes are carried out; the status says so with the second.
    cluster.run().await.unwrap();
    cluster.writes();
    for _ in 0..3 {
        cluster.run().await.unwrap();
        assert_eq!(cluster.requests(), [""; 0], "a run with nothing to do asks for nothing");
    }
}

#[tokio::test]
async fn a_field_that_somebody_changed_is_put_right_and_what_somebody_added_stays() {
    let cluster = Cluster::with(BACKEND);
    cluster.settle().await;
    cluster.edit("services/room-link", |service| service["spec"]["sessionAffinity"] = json!("None"));
    cluster.run().await.unwrap();
    assert_eq!(cluster.writes(), [""; 0]);
    cluster.edit("services/room-link", |service| service["spec"]["ports"][0]["port"] = json!(1));
    cluster.run().await.unwrap();
    assert_eq!(cluster.writes(), ["PATCH services/room-link"]);
}

#[tokio::test]
async fn what_the_manifest_does_not_ask_for_any_more_is_deleted_and_what_is_not_ours_is_not() {
    let cluster = Cluster::with(FRONTEND);
    cluster.settle().await;
    let mut orphan = cluster.object("services/connector").unwrap();
    orphan["metadata"]["name"] = json!("connector-old");
    orphan["metadata"]["uid"] = json!("orphan");
    cluster.put("api/v1", "services/connector-old", orphan.clone());
    orphan["metadata"]["name"] = json!("connector-foreign");
    orphan["metadata"]["ownerReferences"][0]["uid"] = json!("another");
    cluster.put("api/v1", "services/connector-foreign", orphan);
    cluster.run().await.unwrap();
    assert_eq!(cluster.writes(), ["DELETE services/connector-old"]);
    assert!(cluster.object("services/connector-foreign").is_some());
}

/// A container that starts again reads the file that its pod was made for.
#[tokio::test]
async fn a_configuration_stays_for_as_long_as_a_server_may_start_with_it() {
    let cluster = Cluster::with(BACKEND);
    cluster.settle().await;
    let mounted = || cluster.object("deployments/room").unwrap()["spec"]["template"]["spec"]["volumes"].clone();
    let before = mounted();
    let path = format!("configmaps/{}", before[0]["configMap"]["name"].as_str().unwrap());
    cluster.server("room-0", 0).await;
    cluster.edit("pods/room-0", |pod| pod["spec"]["volumes"] = before.clone());
    let configure = |config: Value| cluster.edit("servertypes/room", |room| room["spec"]["config"] = config);
    let deletes = || cluster.writes().into_iter().filter(|write| write.starts_with("DELETE")).collect::<Vec<_>>();
    // One that was never used, because the Deployment could not be written, goes with the next run.
    cluster.fail("PATCH deployments", StatusCode::INTERNAL_SERVER_ERROR, &json!({}));
    configure(json!({ "game": { "rooms": 1 } }));
    cluster.run().await.unwrap_err();
    cluster.heal();
    assert_eq!(deletes(), [""; 0]);
    configure(json!({ "game": { "rooms": 2 } }));
    cluster.run().await.unwrap();
    assert!(matches!(&deletes()[..], [one] if *one != format!("DELETE {path}")));
    assert_ne!(mounted(), before);
    // The server drains, and is gone; before the new one takes messages Kubernetes may make another like it.
    cluster.edit("pods/room-0", |pod| pod["metadata"]["deletionTimestamp"] = json!("2100-01-01T00:00:00Z"));
    cluster.run().await.unwrap();
    cluster.delete("pods/room-0");
    cluster.edit("deployments/room", |deployment| deployment["status"]["availableReplicas"] = json!(0));
    cluster.run().await.unwrap();
    assert_eq!(deletes(), [""; 0]);
    cluster.edit("deployments/room", |deployment| {
        deployment["status"]["availableReplicas"] = deployment["spec"]["replicas"].clone();
    });
    cluster.run().await.unwrap();
    assert_eq!(deletes(), [format!("DELETE {path}")]);
    // Back, it is there again before the pods that need it.
    configure(json!({}));
    cluster.run().await.unwrap();
    let writes = cluster.writes();
    assert_eq!(writes[..2], [format!("PATCH {path}"), "PATCH deployments/room".to_owned()]);
    assert_eq!(mounted(), before);
    assert!(!writes.iter().any(|write| write.starts_with("DELETE")), "the Deployment was just written: {writes:?}");
}

#[tokio::test]
async fn a_run_waits_for_its_turn() {
    let cluster = Cluster::with(BACKEND);
    let turn = cluster.turn();
    let mut run = pin!(cluster.run());
    assert!(poll!(run.as_mut()).is_pending());
    tokio::task::yield_now().await;
    assert!(poll!(run.as_mut()).is_pending());
    assert_eq!(cluster.requests(), [""; 0]);
    drop(turn);
    run.await.unwrap();
}

/// Servers take new certificates while they run.
#[tokio::test]
async fn a_new_authority_means_new_certificates_and_no_other_change() {
    let cluster = Cluster::with(BACKEND);
    cluster.settle().await;
    let certificate = || cluster.object("secrets/room-certificates").unwrap()["data"]["tls.crt"].clone();
    let before = certificate();
    cluster.delete("secrets/authority-game");
    cluster.run().await.unwrap();
    assert_ne!(certificate(), before);
    assert_eq!(cluster.writes(), ["POST secrets", "PATCH secrets/room-certificates"]);
    cluster.run().await.unwrap();
    assert_eq!(cluster.writes(), [""; 0]);
}

#[tokio::test]
async fn a_conflict_ends_the_run_and_the_next_one_succeeds() {
    let cluster = Cluster::with(BACKEND);
    cluster.fail("POST secrets", StatusCode::CONFLICT, &json!({}));
    let (failure, delay) = cluster.run().await.unwrap_err();
    assert_eq!(failure, Failure::Conflict);
    assert!(delay <= Duration::from_millis(250), "{delay:?}");
    assert!(!cluster.writes().contains(&"PATCH deployments/room".to_owned()));
    cluster.heal();
    cluster.run().await.unwrap();
    assert_eq!(cluster.writes()[..10], FIRST_RUN[..10]);
}

#[tokio::test]
async fn an_api_server_that_has_too_much_to_do_is_left_alone_for_as_long_as_it_asks() {
    let cluster = Cluster::with(BACKEND);
    cluster.fail("PATCH deployments", StatusCode::TOO_MANY_REQUESTS, &json!({ "retryAfterSeconds": 7 }));
    let (failure, delay) = cluster.run().await.unwrap_err();
    assert_eq!((failure, delay), (Failure::Throttled, Duration::from_secs(7)));
}

#[tokio::test]
async fn after_a_failure_in_the_middle_only_what_was_left_is_done() {
    let cluster = Cluster::with(BACKEND);
    cluster.fail("PATCH services", StatusCode::INTERNAL_SERVER_ERROR, &json!({}));
    let mut delays = Vec::new();
    for _ in 0..10 {
        let (failure, delay) = cluster.run().await.unwrap_err();
        assert_eq!(failure, Failure::Server);
        delays.push(delay);
    }
    // Longer each time, up to a bound; half of it is left to chance.
    assert!(delays[0] <= Duration::from_millis(250) && delays[4] >= Duration::from_secs(2), "{delays:?}");
    assert!(delays[9] >= Duration::from_secs(15) && delays[9] <= Duration::from_secs(30), "{delays:?}");
    let status = &cluster.object("servertypes/room").unwrap()["status"];
    assert_eq!(status["conditions"][2]["reason"], "ApiFailing");
    assert!(cluster.object("deployments/room").is_none());
    cluster.writes();
    cluster.heal();
    cluster.run().await.unwrap();
    assert_eq!(cluster.writes()[..3], FIRST_RUN[7..10]);
}

#[tokio::test]
async fn what_the_api_server_refuses_is_a_condition_and_an_event() {
    let cluster = Cluster::with(BACKEND);
    cluster.fail("PATCH roles", StatusCode::FORBIDDEN, &json!({}));
    assert_eq!(cluster.run().await.unwrap_err().0, Failure::Forbidden);
    let status = &cluster.object("servertypes/room").unwrap()["status"];
    let degraded = &status["conditions"][2];
    assert_eq!((&degraded["status"], &degraded["reason"]), (&json!("True"), &json!("ObjectRefused")));
    assert!(degraded["message"].as_str().unwrap().starts_with("cannot apply Role room-server: "), "{degraded}");
    assert!(cluster.events().contains(&"ObjectRefused".to_owned()));
    cluster.heal();
    cluster.settle().await;
    let status = &cluster.object("servertypes/room").unwrap()["status"];
    assert_eq!(status["conditions"][2]["reason"], "AsExpected");
}

#[tokio::test]
async fn an_event_that_could_not_be_written_comes_with_the_next_run_unless_it_is_refused() {
    let cluster = Cluster::with(BACKEND);
    cluster.settle().await;
    let pause = |paused: bool| cluster.edit("servertypes/room", |object| object["spec"]["paused"] = json!(paused));
    cluster.fail("POST events", StatusCode::INTERNAL_SERVER_ERROR, &json!({}));
    for paused in [true, false] {
        pause(paused);
        cluster.run().await.unwrap();
    }
    assert_eq!(cluster.events(), [""; 0]);
    cluster.heal();
    cluster.run().await.unwrap();
    assert_eq!(cluster.events(), ["PausedByManifest", "NotPaused"]);
    cluster.fail("POST events", StatusCode::FORBIDDEN, &json!({}));
    pause(true);
    cluster.run().await.unwrap();
    cluster.heal();
    cluster.writes();
    cluster.run().await.unwrap();
    assert_eq!(cluster.writes(), [""; 0]);
}

#[tokio::test]
async fn an_object_of_somebody_else_is_left_alone() {
    let cluster = Cluster::with(BACKEND);
    cluster.put("apis/apps/v1", "deployments/room", json!({ "metadata": { "name": "room", "labels": {} } }));
    assert_eq!(cluster.run().await.unwrap_err().0, Failure::NameTaken);
    assert!(!cluster.writes().contains(&"PATCH deployments/room".to_owned()));
    let status = &cluster.object("servertypes/room").unwrap()["status"];
    let message = status["conditions"][2]["message"].as_str().unwrap();
    assert!(
        message.starts_with("there is a Deployment room that was not made for this ServerType; rename"),
        "{message}"
    );
}

#[tokio::test]
async fn who_does_not_lead_changes_nothing() {
    let cluster = Cluster::with(BACKEND);
    cluster.depose();
    assert_eq!(cluster.run().await.unwrap_err().0, Failure::NotLeading);
    assert_eq!(cluster.writes(), [""; 0]);
}

#[tokio::test]
async fn a_paused_server_type_is_left_as_it_is() {
    let cluster = Cluster::with(BACKEND);
    cluster.settle().await;
    let edit = |paused: bool, replicas: i32| {
        cluster.edit("servertypes/room", |object| {
            object["spec"]["paused"] = json!(paused);
            object["spec"]["replicas"] = json!(replicas);
        });
    };
    edit(true, 3);
    cluster.run().await.unwrap();
    assert_eq!(cluster.writes(), ["PATCH servertypes/room/status", "POST events"]);
    // Its servers need a certificate that others trust.
    cluster.edit("secrets/room-certificates", |secret| secret["data"]["tls.crt"] = json!(""));
    cluster.run().await.unwrap();
    assert_eq!(cluster.writes(), ["PATCH secrets/room-certificates"]);
    cluster.delete("secrets/room-certificates");
    cluster.run().await.unwrap();
    assert_eq!(cluster.writes(), [""; 0]);
    edit(false, 3);
    cluster.run().await.unwrap();
    assert!(cluster.writes().contains(&"PATCH deployments/room".to_owned()));
}

#[tokio::test]
async fn a_manifest_that_cannot_be_read_is_told_once_and_keeps_nothing_up() {
    let cluster = Cluster::with(BACKEND);
    cluster.settle().await;
    cluster.edit("servertypes/room", |object| object["spec"]["drain"] = json!("soon"));
    for code in [StatusCode::TOO_MANY_REQUESTS, StatusCode::INTERNAL_SERVER_ERROR] {
        cluster.fail("PATCH servertypes/room/status", code, &json!({}));
        cluster.run().await.unwrap_err();
    }
    cluster.heal();
    cluster.run().await.unwrap();
    let status = &cluster.object("servertypes/room").unwrap()["status"];
    assert_eq!(status["conditions"][2]["reason"], "InvalidManifest");
    cluster.writes();
    cluster.run().await.unwrap();
    assert_eq!(cluster.writes(), [""; 0]);
}

/// Its node does not answer: the pod stays until somebody removes that.
#[tokio::test]
async fn a_server_that_was_lost_with_its_node_counts_no_more() {
    let cluster = Cluster::with(BACKEND);
    cluster.settle().await;
    cluster.server("room-0", 4).await;
    cluster.server("room-1", 9).await;
    let told_to_go = |ago: SignedDuration| {
        let gone_by = Timestamp::now() - ago;
        cluster.edit("pods/room-1", |pod| pod["metadata"]["deletionTimestamp"] = json!(gone_by.to_string()));
    };
    let status = || cluster.object("servertypes/room").unwrap()["status"].clone();
    for (ago, draining, sessions) in [(SignedDuration::ZERO, 1, 13), (SignedDuration::from_mins(2), 0, 4)] {
        told_to_go(ago);
        cluster.run().await.unwrap();
        assert_eq!((&status()["drainingReplicas"], &status()["sessions"]), (&json!(draining), &json!(sessions)));
    }
}

/// The servers answer on three addresses of this machine, and hold 9, 0 and 4 sessions. They came after servers were asked
/// for the last time.
#[tokio::test]
async fn before_a_scale_down_each_pod_is_told_what_it_holds_then() {
    let cluster = Cluster::with(BACKEND);
    cluster.edit("servertypes/room", |object| object["spec"]["replicas"] = json!(3));
    cluster.settle().await;
    for (index, sessions) in [(0, 9), (1, 0), (2, 4)] {
        cluster.server(&format!("room-{index}"), sessions).await;
    }
    cluster.edit("servertypes/room", |object| object["spec"]["replicas"] = json!(1));
    cluster.run().await.unwrap();
    let writes = cluster.writes();
    let deployment = writes.iter().position(|write| write == "PATCH deployments/room").unwrap();
    for (index, cost) in ["9", "0", "4"].into_iter().enumerate() {
        let path = format!("pods/room-{index}");
        assert_eq!(cluster.object(&path).unwrap()["metadata"]["annotations"][DELETION_COST_ANNOTATION], cost);
        assert!(writes.iter().position(|write| *write == format!("PATCH {path}")).unwrap() < deployment, "{writes:?}");
    }
    assert_eq!(cluster.object("servertypes/room").unwrap()["status"]["sessions"], 13);
}

#[tokio::test]
async fn servers_are_asked_once_for_a_scale_down_however_often_it_fails() {
    let cluster = Cluster::with(BACKEND);
    let replicas = |replicas: u32| cluster.edit("servertypes/room", |room| room["spec"]["replicas"] = json!(replicas));
    replicas(4);
    cluster.settle().await;
    cluster.server("room-0", 9).await;
    cluster.run().await.unwrap();
    assert_eq!(cluster.asked(), 1);
    cluster.fail("PATCH deployments", StatusCode::INTERNAL_SERVER_ERROR, &json!({}));
    // As long as it is the same change they are asked no more often than for a drain.
    for (wanted, asked) in [(3, 2), (3, 2), (3, 2), (2, 3), (2, 3), (4, 3), (2, 4), (2, 4)] {
        replicas(wanted);
        let _ = cluster.run().await;
        assert_eq!(cluster.asked(), asked, "for {wanted}");
    }
}

/// The first is so busy that it does not answer, and Kubernetes still has what it was said to hold before an earlier
/// scale-down; the third does not take messages yet.
#[tokio::test]
async fn before_a_scale_down_a_pod_of_which_nothing_is_known_is_the_last_to_go() {
    let cluster = Cluster::with(BACKEND);
    cluster.edit("servertypes/room", |object| object["spec"]["replicas"] = json!(3));
    cluster.settle().await;
    let _hangs = cluster.server_that_hangs("room-0").await;
    cluster.edit("pods/room-0", |pod| pod["metadata"]["annotations"] = json!({ DELETION_COST_ANNOTATION: "0" }));
    cluster.server("room-1", 4).await;
    cluster.silent_server("room-2");
    cluster.edit("pods/room-2", |pod| pod["status"]["conditions"] = json!([]));
    cluster.edit("servertypes/room", |object| object["spec"]["replicas"] = json!(1));
    cluster.run().await.unwrap();
    let cost = |index: u8| {
        let pod = cluster.object(&format!("pods/room-{index}")).unwrap();
        pod["metadata"]["annotations"][DELETION_COST_ANNOTATION].as_str().map(str::to_owned)
    };
    assert_eq!([cost(0), cost(1), cost(2)], [Some(i32::MAX.to_string()), Some("4".to_owned()), None]);
}

/// Which of them holds least is not known, so none goes for what was known of it once.
#[tokio::test]
async fn before_a_scale_down_servers_in_another_language_are_equal_when_no_frontend_told_of_them() {
    let cluster = Cluster::with(PITAYA);
    cluster.edit("servertypes/ranking", |object| object["spec"]["replicas"] = json!(2));
    for index in 0..2 {
        cluster.silent_server(&format!("ranking-{index}"));
    }
    cluster.edit("pods/ranking-0", |pod| pod["metadata"]["annotations"] = json!({ DELETION_COST_ANNOTATION: "0" }));
    cluster.settle().await;
    cluster.edit("servertypes/ranking", |object| object["spec"]["replicas"] = json!(1));
    cluster.run().await.unwrap();
    for index in 0..2 {
        let pod = cluster.object(&format!("pods/ranking-{index}")).unwrap();
        assert_eq!(pod["metadata"]["annotations"][DELETION_COST_ANNOTATION], i32::MAX.to_string());
    }
}

#[tokio::test]
async fn autoscaling_follows_the_sessions_and_leaves_the_spec_alone() {
    let cluster = Cluster::with(BACKEND);
    let autoscaling = json!({ "minReplicas": 1, "maxReplicas": 5, "sessionsPerReplica": 10 });
    cluster.edit("servertypes/room", |object| object["spec"]["autoscaling"] = autoscaling.clone());
    cluster.server("room-0", 31).await;
    cluster.run().await.unwrap();
    assert_eq!(cluster.object("deployments/room").unwrap()["spec"]["replicas"], 4);
    let object = cluster.object("servertypes/room").unwrap();
    assert_eq!(object["status"]["desiredReplicas"], 4);
    assert_eq!(object["spec"].get("replicas"), None);
    assert_eq!(object["spec"]["autoscaling"], autoscaling);
}

/// The sessions need 4 servers; another leader found out that they need 6, and has not waited for the delay yet.
#[tokio::test]
async fn an_operator_that_leads_again_begins_with_what_the_leader_before_chose() {
    let cluster = Cluster::with(BACKEND);
    cluster.edit("servertypes/room", |object| {
        object["spec"]["autoscaling"] = json!({ "minReplicas": 1, "maxReplicas": 9, "sessionsPerReplica": 10 });
    });
    cluster.server("room-0", 31).await;
    cluster.settle().await;
    assert_eq!(cluster.object("deployments/room").unwrap()["spec"]["replicas"], 4);
    cluster.edit("servertypes/room", |object| object["status"]["desiredReplicas"] = json!(6));
    cluster.edit("deployments/room", |object| object["spec"]["replicas"] = json!(6));
    cluster.lead_again();
    cluster.run().await.unwrap();
    assert_eq!(cluster.object("deployments/room").unwrap()["spec"]["replicas"], 6);
}

/// The sessions need 4 servers, and did before the pause. Somebody scaled the Deployment meanwhile.
#[tokio::test]
async fn after_a_pause_autoscaling_begins_with_what_is_there() {
    let cluster = Cluster::with(BACKEND);
    let pause = |paused: bool| cluster.edit("servertypes/room", |object| object["spec"]["paused"] = json!(paused));
    cluster.edit("servertypes/room", |object| {
        object["spec"]["autoscaling"] = json!({ "minReplicas": 1, "maxReplicas": 9, "sessionsPerReplica": 10 });
    });
    cluster.server("room-0", 31).await;
    cluster.settle().await;
    pause(true);
    cluster.run().await.unwrap();
    cluster.edit("deployments/room", |object| object["spec"]["replicas"] = json!(6));
    cluster.run().await.unwrap();
    pause(false);
    cluster.run().await.unwrap();
    assert_eq!(cluster.object("deployments/room").unwrap()["spec"]["replicas"], 6);
}

#[tokio::test]
async fn servers_in_another_language_hold_what_frontends_keep_to_them() {
    let cluster = Cluster::with(PITAYA);
    for index in 0..3 {
        cluster.silent_server(&format!("ranking-{index}"));
    }
    cluster.frontend("connector-0", &[("ranking-0", 5), ("ranking-2", 1)]).await;
    cluster.frontend("connector-1", &[("ranking-0", 4), ("room-0", 9)]).await;
    cluster.settle().await;
    assert_eq!(cluster.object("servertypes/ranking").unwrap()["status"]["sessions"], 10);
    cluster.edit("servertypes/ranking", |object| object["spec"]["replicas"] = json!(1));
    cluster.run().await.unwrap();
    for (index, cost) in ["9", "0", "1"].into_iter().enumerate() {
        let pod = cluster.object(&format!("pods/ranking-{index}")).unwrap();
        assert_eq!(pod["metadata"]["annotations"][DELETION_COST_ANNOTATION], cost);
    }
    cluster.edit("servertypes/ranking", |object| {
        object["spec"] = json!({ "image": "a", "protocol": "pitaya", "autoscaling": {
            "minReplicas": 1, "maxReplicas": 9, "sessionsPerReplica": 4,
        } });
    });
    cluster.run().await.unwrap();
    assert_eq!(cluster.object("deployments/ranking").unwrap()["spec"]["replicas"], 3);
}

#[tokio::test]
async fn every_write_names_the_operator() {
    let cluster = Cluster::with(FRONTEND);
    cluster.run().await.unwrap();
    for query in cluster.queries() {
        assert!(query.contains(&format!("fieldManager={FIELD_MANAGER}")), "{query}");
    }
}

/// What stands in a JSON object at a path such as `a/b`.
fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    value.pointer(&format!("/{path}"))
}
