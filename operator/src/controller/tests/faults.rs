//! What a server type is told when the API server does not do as it is asked.

use std::time::Duration;

use cereus_crds::names::{FIELD_MANAGER, MANAGED_BY_LABEL, SERVER_LABEL};
use http::StatusCode;
use serde_json::{Value, json};

use super::{FIRST_RUN, cluster::Cluster};
use crate::controller::{
    build::tests::{BACKEND, FRONTEND},
    error::Failure,
};

/// Longer than the API server may take to answer.
const LONG: Duration = Duration::from_secs(10);

fn status(cluster: &Cluster) -> Value {
    cluster.object("servertypes/room").unwrap()["status"].clone()
}

/// Of which manifest the status speaks, and each condition: Ready, Progressing, Degraded, Paused.
fn generations(status: &Value) -> Vec<i64> {
    let conditions = status["conditions"].as_array().unwrap();
    std::iter::once(status).chain(conditions).map(|one| one["observedGeneration"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn a_run_that_fails_says_nothing_of_servers_of_the_new_manifest() {
    let cluster = Cluster::with(BACKEND);
    cluster.fail("PATCH deployments", StatusCode::INTERNAL_SERVER_ERROR, &json!({}));
    cluster.run().await.unwrap_err();
    assert_eq!(generations(&status(&cluster)), [0, 0, 0, 1, 1]);
    cluster.heal();
    cluster.settle().await;
    assert_eq!(generations(&status(&cluster)), [1; 5]);
    cluster.edit("servertypes/room", |object| {
        object["metadata"]["generation"] = json!(2);
        object["spec"]["image"] = json!("registry.example/chat:1.5.0");
        object["spec"]["replicas"] = json!(5);
    });
    cluster.fail("PATCH deployments", StatusCode::INTERNAL_SERVER_ERROR, &json!({}));
    for _ in 0..2 {
        cluster.run().await.unwrap_err();
        assert_eq!(generations(&status(&cluster)), [1, 1, 1, 2, 2]);
        assert_eq!(status(&cluster)["conditions"][0]["status"], "True", "the servers that there are take messages");
    }
    cluster.heal();
    cluster.run().await.unwrap();
    assert_eq!(generations(&status(&cluster)), [2; 5]);
    assert_eq!(status(&cluster)["conditions"][0]["status"], "False", "what is known of the servers is out of date");
}

#[tokio::test]
async fn an_apply_that_changes_nothing_is_neither_sent_again_nor_waited_for() {
    let cluster = Cluster::with(BACKEND);
    cluster.rewrite("deployments/room", |deployment| {
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] = json!("mirror.example/chat:1.4.0");
    });
    cluster.settle().await;
    assert_eq!(status(&cluster)["conditions"][0]["reason"], "AllServersReady");
    cluster.run().await.unwrap();
    assert_eq!(cluster.writes(), [""; 0]);
    // Nothing tells when the webhook is gone.
    tokio::time::pause();
    tokio::time::advance(Duration::from_mins(10)).await;
    tokio::time::resume();
    for sent in [true, false] {
        cluster.run().await.unwrap();
        assert_eq!(cluster.writes().contains(&"PATCH deployments/room".to_owned()), sent);
    }
    // Somebody changes what is there, and then what is to be there changes.
    cluster.edit("deployments/room", |deployment| deployment["spec"]["paused"] = json!(true));
    cluster.run().await.unwrap();
    assert!(cluster.writes().contains(&"PATCH deployments/room".to_owned()));
    assert_eq!(status(&cluster)["conditions"][0]["reason"], "ServersNotReady");
    cluster.settle().await;
    cluster.edit("servertypes/room", |object| object["spec"]["replicas"] = json!(2));
    cluster.run().await.unwrap();
    assert!(cluster.writes().contains(&"PATCH deployments/room".to_owned()));
    assert_eq!(cluster.object("deployments/room").unwrap()["spec"]["replicas"], 2);
}

/// The type `room` has a Service `room-link` for links, the frontend `room-link` one for clients.
#[tokio::test]
async fn the_service_of_another_server_type_is_left_alone() {
    let cluster = Cluster::with(&FRONTEND.replace("name: connector,", "name: room-link,"));
    let service = json!({ "metadata": {
        "name": "room-link",
        "labels": { MANAGED_BY_LABEL: FIELD_MANAGER, SERVER_LABEL: "room" },
        "ownerReferences": [{
            "apiVersion": "cereus.dev/v1alpha1", "kind": "ServerType", "name": "room", "uid": "1", "controller": true,
        }],
    } });
    cluster.put("api/v1", "services/room-link", service);
    assert_eq!(cluster.run().await.unwrap_err().0, Failure::NameTaken);
    assert!(!cluster.writes().contains(&"PATCH services/room-link".to_owned()));
}

/// A server that waits for its volumes, and a Secret among them.
fn waiting_for_a_secret(cluster: &Cluster) {
    cluster.edit("servertypes/room", |object| {
        object["spec"]["template"] = json!({ "volumes": [{ "name": "maps", "secret": { "secretName": "maps" } }] });
    });
    cluster.silent_server("room-0");
    cluster.edit("pods/room-0", |pod| {
        pod["status"]["containerStatuses"][0]["state"] = json!({ "waiting": { "reason": "ContainerCreating" } });
        pod["status"]["conditions"] = json!([]);
    });
}

#[tokio::test]
async fn when_nobody_says_whether_a_secret_is_missing_everything_else_is_done() {
    let cluster = Cluster::with(BACKEND);
    waiting_for_a_secret(&cluster);
    cluster.fail("GET secrets/maps", StatusCode::INTERNAL_SERVER_ERROR, &json!({}));
    cluster.run().await.unwrap();
    let mut writes = cluster.writes();
    writes.retain(|write| write.starts_with('P') && write != "POST events");
    assert_eq!(writes, FIRST_RUN);
    cluster.heal();
    cluster.run().await.unwrap();
    assert_eq!(status(&cluster)["conditions"][2]["reason"], "SecretMissing");
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_not_answered_holds_a_run_up_for_no_longer_than_a_change() {
    let cluster = Cluster::with(BACKEND);
    waiting_for_a_secret(&cluster);
    cluster.hang("GET secrets/maps");
    tokio::time::timeout(LONG, cluster.run()).await.unwrap().unwrap();
    cluster.delete("services/room-link");
    cluster.hang("GET services/room-link");
    let (failure, _) = tokio::time::timeout(LONG, cluster.run()).await.unwrap().unwrap_err();
    assert_eq!(failure, Failure::Connection);
}

#[tokio::test]
async fn the_same_reason_for_something_else_is_an_event_of_its_own() {
    let cluster = Cluster::with(BACKEND);
    for (request, path, object) in [
        ("PATCH roles", "roles/room-server", "Role room-server"),
        ("PATCH services", "services/room-link", "Service room-link"),
    ] {
        cluster.settle().await;
        cluster.delete(path);
        cluster.fail(request, StatusCode::FORBIDDEN, &json!({}));
        cluster.run().await.unwrap_err();
        let notes = cluster.notes();
        assert!(notes.iter().any(|note| note.starts_with(&format!("cannot apply {object}: "))), "{notes:?}");
        cluster.heal();
    }
}
