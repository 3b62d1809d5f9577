//! The operator keeps what is its own as the manifest says, and leaves alone what is not.

use cereus_tests::kubernetes::Namespace;
use serde_json::{Value, json};

use crate::{MINUTE, SERVER_IMAGE, SOON, cluster, servers::manifest};

/// Apply a frontend with these acceptors, and with more about its Service.
async fn apply(namespace: &Namespace, acceptors: &[(&str, u16)], service: Value) {
    let acceptors = acceptors.iter().map(|(name, port)| json!({ "name": name, "protocol": "TCP", "port": port }));
    let spec = json!({
        "image": SERVER_IMAGE,
        "drain": { "linger": "0s", "deadline": "1s" },
        "frontend": { "acceptors": acceptors.collect::<Vec<_>>(), "service": service },
    });
    namespace.apply(&manifest("connector", &spec)).await.unwrap();
}

/// Wait for an object of a kind with this name to be as it is wanted.
async fn becomes(namespace: &Namespace, kind: &str, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let look = |object: &Value| (object["metadata"]["name"] == name && wanted(object)).then(|| object.clone());
    namespace.watch(kind, SOON, look).await.unwrap()
}

#[tokio::test]
async fn what_leaves_the_manifest_leaves_the_cluster_and_what_others_added_stays() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("ownership").await.unwrap();
    let annotated = json!({ "type": "NodePort", "annotations": { "example.com/ours": "1" } });
    apply(&namespace, &[("a", 3250), ("b", 3251)], annotated).await;
    namespace.condition("gst/connector", "Ready", MINUTE).await.unwrap();
    for object in ["service/connector", "networkpolicy/connector-clients", "poddisruptionbudget/connector"] {
        namespace.kubectl(&["annotate", object, "example.com/theirs=2"]).await.unwrap();
        namespace.kubectl(&["label", object, "theirs=3"]).await.unwrap();
    }
    namespace
        .kubectl(&["patch", "service/connector", "--patch", r#"{"spec":{"sessionAffinity":"ClientIP"}}"#])
        .await
        .unwrap();
    // What an earlier release made, and nobody needs any more; and the same of somebody else.
    let owner = namespace.get("gst/connector").await.unwrap();
    let leftover = |name: &str, owners: Value| {
        let labels = json!({ "app.kubernetes.io/managed-by": "cereus-operator", "cereus.dev/replica-of": "connector" });
        let metadata = json!({ "name": name, "labels": labels, "ownerReferences": owners });
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata }).to_string()
    };
    let mine = json!([{
        "apiVersion": "cereus.dev/v1alpha1", "kind": "ServerType", "name": "connector", "controller": true,
        "uid": owner["metadata"]["uid"],
    }]);
    namespace.apply(&leftover("connector-theirs", json!([]))).await.unwrap();
    namespace.apply(&leftover("connector-old", mine)).await.unwrap();
    namespace.deleted("configmap/connector-old", SOON).await.unwrap();

    apply(&namespace, &[("a", 3250)], json!({})).await;
    let service = becomes(&namespace, "services", "connector", |service| service["spec"]["type"] == "ClusterIP").await;
    let annotations = &service["metadata"]["annotations"];
    assert_eq!((annotations.get("example.com/ours"), &annotations["example.com/theirs"]), (None, &json!("2")));
    assert_eq!(
        (&service["metadata"]["labels"]["theirs"], &service["spec"]["sessionAffinity"]),
        (&json!("3"), &json!("ClientIP"))
    );
    let ports = |object: &Value| {
        object["spec"]["ports"].as_array().unwrap().iter().map(|port| port["port"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ports(&service), [3250]);
    let one_port =
        |policy: &Value| policy["spec"]["ingress"][0]["ports"] == json!([{ "port": 3250, "protocol": "TCP" }]);
    let policy = becomes(&namespace, "networkpolicies", "connector-clients", one_port).await;
    assert_eq!(policy["metadata"]["labels"]["theirs"], "3");
    namespace.get("configmap/connector-theirs").await.unwrap();

    // What is its own comes back, whether it was changed or deleted.
    namespace
        .kubectl(&[
            "patch",
            "poddisruptionbudget/connector",
            "--type=merge",
            "--patch",
            r#"{"spec":{"maxUnavailable":7}}"#,
        ])
        .await
        .unwrap();
    let budget =
        becomes(&namespace, "poddisruptionbudgets", "connector", |budget| budget["spec"]["maxUnavailable"] == 1).await;
    assert_eq!(budget["metadata"]["annotations"]["example.com/theirs"], "2");
    let before = service["metadata"]["uid"].clone();
    namespace.kubectl(&["delete", "service/connector"]).await.unwrap();
    becomes(&namespace, "services", "connector", |service| service["metadata"]["uid"] != before).await;
}
