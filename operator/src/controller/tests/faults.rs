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
