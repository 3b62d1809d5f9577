//! What the other tests rely on.

use std::fs;

use cereus_tests::kubernetes::Cluster;
use serde_json::{Value, json};

use crate::{SOON, cluster, cluster_alone};

#[tokio::test]
async fn there_is_one_cluster_on_a_machine() {
    let _cluster = cluster().await;
    let error = Cluster::start().unwrap_err();
    assert!(error.to_string().contains("brought up no cluster"), "{error:#}");
}

#[tokio::test]
async fn a_component_is_stopped_and_started_again() {
    let cluster = cluster_alone().await;
    let namespace = cluster.namespace("scheduler").await.unwrap();
    cluster.stop("kube-scheduler").await.unwrap();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "waits" },
        "spec": { "containers": [{ "name": "pause", "image": "cereus.test/pause:1", "imagePullPolicy": "Never" }] },
    });
    namespace.apply(&pod.to_string()).await.unwrap();
    let error = cluster.stop("kube-scheduler").await.unwrap_err();
    assert!(format!("{error:#}").contains("No such process"), "{error:#}");
    assert_eq!(namespace.get("pod/waits").await.unwrap()["spec"]["nodeName"], Value::Null);
    cluster.restart("kube-scheduler").await.unwrap();
    let node = |pod: &Value| pod["spec"]["nodeName"].as_str().map(str::to_owned);
    assert_eq!(namespace.watch("pods", SOON, node).await.unwrap(), "node");
}

#[tokio::test]
async fn an_account_has_its_rights_alone() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("accounts").await.unwrap();
    let config = namespace.kubeconfig("default").await.unwrap();
    let path = config.path().to_str().unwrap();
    let who = namespace.kubectl(&["--kubeconfig", path, "auth", "whoami"]).await.unwrap();
    assert!(who.contains("system:serviceaccount:accounts:default"), "{who}");
    let error = namespace.kubectl(&["--kubeconfig", path, "get", "pods"]).await.unwrap_err();
    assert!(format!("{error:#}").contains("forbidden"), "{error:#}");
}

#[tokio::test]
async fn versions_are_those_that_are_pinned() {
    let cluster = cluster().await;
    let pinned = |module: &str| {
        let line = include_str!("../../cluster/kubernetes/go.mod").lines().find(|line| line.trim().starts_with(module));
        line.unwrap().rsplit(' ').next().unwrap()
    };
    let kubernetes = cluster.kubectl(&["version"]).await.unwrap();
    let server = format!("Server Version: {}", pinned("k8s.io/kubernetes "));
    assert!(kubernetes.contains(&server), "{kubernetes}");
    let helm = cluster.helm(&["version", "--short"]).await.unwrap();
    assert!(helm.starts_with(pinned("helm.sh/helm/v4 ")), "{helm}");
}

#[tokio::test]
async fn requests_that_change_something_are_logged() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("audit").await.unwrap();
    namespace.kubectl(&["create", "configmap", "a"]).await.unwrap();
    namespace.get("configmap/a").await.unwrap();
    let log = fs::read_to_string(cluster.audit_log()).unwrap();
    let events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let ours = events.filter(|event| event["objectRef"]["namespace"] == "audit" && event["objectRef"]["name"] == "a");
    let told = ours.map(|event| [event["verb"].clone(), event["user"]["username"].clone()]).collect::<Vec<_>>();
    assert_eq!(told, [[json!("create"), json!("admin")]]);
}
