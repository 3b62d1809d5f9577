//! What is wrong with servers is a condition and an event that say what to do, and is gone when the manifest is put right.

use serde_json::{Value, json};

use crate::{
    MINUTE, SERVER_IMAGE, SOON, cluster,
    servers::{self, condition, manifest},
};

/// A type with the spec `wrong` is degraded for this reason, and what is said of it has these words; with the spec `right`
/// its servers take messages and nothing is wrong any more.
async fn check(name: &str, wrong: Value, reason: &str, says: &[&str], right: Value) {
    let cluster = cluster().await;
    let namespace = cluster.namespace(name).await.unwrap();
    namespace.apply(&manifest("room", &wrong)).await.unwrap();
    let degraded = |object: &Value| {
        let [status, given, message] = condition(object, "Degraded")?;
        (status == "True" && given == reason).then(|| message.to_owned())
    };
    let message = namespace.watch("servertypes", SOON, degraded).await.unwrap();
    let told = |event: &Value| {
        let is_it = event["involvedObject"]["kind"] == "ServerType" && event["reason"] == reason;
        is_it.then(|| event.clone())
    };
    let event = namespace.watch("events", SOON, told).await.unwrap();
    assert_eq!((&event["type"], &event["involvedObject"]["name"]), (&json!("Warning"), &json!("room")));
    for part in says {
        assert!(message.contains(part), "{part:?} is not in: {message}");
        assert!(event["message"].as_str().unwrap().contains(part), "{part:?} is not in: {event}");
    }
    let object = namespace.get("gst/room").await.unwrap();
    assert_eq!(condition(&object, "Ready").unwrap()[..2], ["False", "ServersNotReady"]);

    namespace.apply(&manifest("room", &right)).await.unwrap();
    let healed = |object: &Value| {
        let is = |name: &str, wanted: &str| condition(object, name).is_some_and(|[status, ..]| status == wanted);
        (is("Ready", "True") && is("Degraded", "False")).then_some(())
    };
    namespace.watch("servertypes", MINUTE, healed).await.unwrap();
}

#[tokio::test]
async fn an_image_that_cannot_be_had() {
    let wrong = json!({ "image": "cereus.test/nowhere:1" });
    let says = ["cereus.test/nowhere:1", "correct spec.image"];
    check("trouble-image", wrong, "ImageNotPulled", &says, json!({ "image": SERVER_IMAGE })).await;
}

#[tokio::test]
async fn a_configuration_that_the_server_does_not_take() {
    let spec = |key: &str| json!({ "image": SERVER_IMAGE, "config": { "lanes": { key: 64 } } });
    let says = ["unknown key lanes.session_mesages", "the nearest is lanes.session_messages", "correct spec.config"];
    check("trouble-config", spec("session_mesages"), "ConfigRefused", &says, spec("session_messages")).await;
}

/// What was wrong in the manifest does no harm to servers that were there before, also when they have to start again.
#[tokio::test]
async fn a_server_starts_again_with_its_configuration_while_another_is_refused() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("trouble-restart").await.unwrap();
    let apply = async |key: &str, value: u32| {
        let spec = json!({ "image": SERVER_IMAGE, "config": { "lanes": { key: value } } });
        namespace.apply(&manifest("room", &spec)).await.unwrap();
    };
    apply("session_messages", 64).await;
    namespace.condition("gst/room", "Ready", MINUTE).await.unwrap();
    let server = servers::pods(&namespace, "room").await.remove(0).name;
    let map = "jsonpath={.spec.volumes[?(@.name=='cereus-config')].configMap.name}";
    let map = format!("configmap/{}", namespace.kubectl(&["get", "pod", &server, "--output", map]).await.unwrap());

    apply("session_mesages", 65).await;
    let refused = |object: &Value| (condition(object, "Degraded")?[1] == "ConfigRefused").then_some(());
    namespace.watch("servertypes", SOON, refused).await.unwrap();
    namespace.kill(&server).await.unwrap();
    let again = |pod: &Value| {
        let status = pod.pointer("/status/containerStatuses/0")?;
        let is_it = pod["metadata"]["name"] == server.as_str() && status["restartCount"] == 1;
        (is_it && (status["ready"] == true || status["lastState"]["terminated"]["exitCode"] == 1))
            .then(|| status.clone())
    };
    let status = namespace.watch("pods", MINUTE, again).await.unwrap();
    assert_eq!(status["ready"], true, "{status}");
    assert!(
        namespace.get(&map).await.unwrap()["data"]["config.yaml"].as_str().unwrap().contains("session_messages: 64")
    );

    apply("session_messages", 65).await;
    let healed = |object: &Value| {
        let is = |name: &str, wanted: &str| condition(object, name).is_some_and(|[status, ..]| status == wanted);
        (is("Ready", "True") && is("Degraded", "False")).then_some(())
    };
    namespace.watch("servertypes", MINUTE, healed).await.unwrap();
    namespace.deleted(&map, MINUTE).await.unwrap();
}

#[tokio::test]
async fn a_secret_that_is_not_there() {
    let spec = |tls: Value| {
        let mut acceptor = json!({ "name": "tcp", "protocol": "TCP", "port": 3250 });
        acceptor.as_object_mut().unwrap().extend(tls.as_object().unwrap().clone());
        json!({ "image": SERVER_IMAGE, "frontend": { "acceptors": [acceptor] } })
    };
    let wrong = spec(json!({ "tls": { "secretName": "game-tls" } }));
    let says = ["game-tls", "kubectl create secret tls game-tls --cert=FILE --key=FILE"];
    check("trouble-secret", wrong, "SecretMissing", &says, spec(json!({}))).await;
}

/// A frontend of a game that has a listener of its own.
#[tokio::test]
async fn a_port_that_is_in_use() {
    let image = servers::image(&*cluster().await).await;
    let spec = |port: u16| {
        let env = json!([{ "name": "CONFORMANCE_LISTEN", "value": "[::]:3251" }]);
        let acceptors = json!([{ "name": "tcp", "protocol": "TCP", "port": port }]);
        json!({ "image": image, "frontend": { "acceptors": acceptors }, "template": { "env": env } })
    };
    let says = ["[::]:3251", "Address already in use", "spec.frontend.acceptors"];
    check("trouble-port", spec(3251), "PortInUse", &says, spec(3252)).await;
}

#[tokio::test]
async fn a_port_that_servers_may_not_open() {
    let spec = |port: u16| json!({ "image": SERVER_IMAGE, "frontend": { "acceptors": [{ "name": "tcp", "protocol": "TCP", "port": port }] } });
    let says = ["[::]:80", "take a port from 1024 on"];
    check("trouble-forbidden", spec(80), "PortForbidden", &says, spec(8080)).await;
}
