//! A game from the chart's values, on the cluster.

use std::{path::Path, time::Duration};

use crate::{COLLECTED, chart, cluster};

#[tokio::test]
async fn a_number_of_servers_belongs_to_the_values_or_to_who_scales() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("values").await.unwrap();
    let chart = chart("game");
    let helm = async |line: &str| namespace.shell(Path::new("/"), &line.replace("CHART", &chart)).await;
    let notes = helm("helm install chat CHART --set serverTypes.connector.drain.linger=0s").await.unwrap();
    assert!(notes.contains("connector, to which clients connect: TCP 3250, WebSocket 3251"), "{notes}");
    for name in ["gst/connector", "gst/room"] {
        namespace.condition(name, "Ready", Duration::from_mins(1)).await.unwrap();
    }

    namespace.kubectl(&["scale", "gst/room", "--replicas=3"]).await.unwrap();
    let error = helm("helm upgrade chat CHART --reuse-values").await.unwrap_err();
    assert!(format!("{error:#}").contains("conflict with \"kubectl\""), "{error:#}");
    for (values, replicas) in [("--set serverTypes.room.replicas=null", 3), ("--force-conflicts", 2)] {
        helm(&format!("helm upgrade chat CHART --reset-values {values}")).await.unwrap();
        assert_eq!(namespace.get("gst/room").await.unwrap()["spec"]["replicas"], replicas, "{values}");
    }

    helm("helm uninstall chat").await.unwrap();
    for name in ["gst/connector", "gst/room", "deployment/connector", "deployment/room"] {
        namespace.deleted(name, COLLECTED).await.unwrap();
    }
}
