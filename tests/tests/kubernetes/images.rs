//! Images of what was built here, run as the image contract says.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    time::Duration,
};

use cereus_crds::{
    ServerTypeSpec,
    contract::{self, Id, Mount, MountSource, Place, Probe, ProbeKind, Security, VariableValue},
};
use cereus_tests::{
    client::{Client, Transport},
    kubernetes::{Cluster, Namespace},
    process::eventually,
};
use serde_json::{Value, json};

use crate::{SOON, cluster};

/// The built-in game as one server, which is both: clients connect to it, and it handles their messages.
const SPEC: &str = "
    frontend: { acceptors: [{ name: tcp, protocol: TCP, port: 3250 }] }
    drain: { linger: 0s, deadline: 3s }
";

/// Make the pod of a server of type `room` as the contract says, with more variables.
async fn run(cluster: &Cluster, namespace: &Namespace, variables: &[(&str, &str)]) {
    let spec: ServerTypeSpec = serde_yaml::from_str(SPEC).unwrap();
    let image = cluster.load_image("cereus", namespace.name()).await.unwrap();
    // Alone: a folder that stays empty is its view of the cluster.
    let place = Place {
        id: Id::PodUid,
        security: Security::None,
        topology: Some(Path::new(contract::TEMPORARY).to_owned()),
        ..Place::pod()
    };
    let field = |path: &str| json!({ "fieldRef": { "fieldPath": path } });
    let environment = contract::environment("room", &spec, &place).into_iter().map(|variable| match variable.value {
        VariableValue::Text(text) => json!({ "name": variable.name, "value": text }),
        VariableValue::PodUid => json!({ "name": variable.name, "valueFrom": field("metadata.uid") }),
        VariableValue::PodNamespace => json!({ "name": variable.name, "valueFrom": field("metadata.namespace") }),
    });
    let more = variables.iter().map(|(name, value)| json!({ "name": name, "value": value }));
    let mounts = contract::mounts("room", &spec, "room-config", &place.security);
    let probes = contract::probes(spec.protocol);
    let ports = contract::ports(&spec);
    let config = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "room-config" },
        "data": { "config.yaml": contract::config_text(&spec.config).unwrap() },
    });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "room", "labels": { "app": "room" } },
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": contract::termination_grace(&spec).as_secs(),
            "automountServiceAccountToken": false,
            "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
            "volumes": mounts.iter().map(volume).collect::<Vec<_>>(),
            "containers": [{
                "name": "server", "image": image, "imagePullPolicy": "Never",
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "args": contract::arguments(spec.protocol, contract::CONFIG_FILE),
                "env": environment.chain(more).collect::<Vec<_>>(),
                "ports": ports.iter().map(|port| json!({ "name": port.name, "containerPort": port.number })).collect::<Vec<_>>(),
                "volumeMounts": mounts.iter().map(|mount| json!({ "name": mount.volume, "mountPath": mount.path })).collect::<Vec<_>>(),
                "startupProbe": probe(&probes.startup),
                "readinessProbe": probe(&probes.readiness),
                "livenessProbe": probe(&probes.liveness),
                "securityContext": {
                    "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] },
                },
            }],
        },
    });
    namespace.apply(&format!("{config}\n---\n{pod}")).await.unwrap();
}

fn volume(mount: &Mount) -> Value {
    let (kind, source) = match &mount.source {
        MountSource::ConfigMap(name) => ("configMap", json!({ "name": name })),
        MountSource::Secret(name) => ("secret", json!({ "secretName": name })),
        MountSource::Empty => ("emptyDir", json!({})),
    };
    json!({ "name": mount.volume, kind: source })
}

fn probe(probe: &Probe) -> Value {
    let (kind, asks) = match probe.kind {
        ProbeKind::Http { port, path } => ("httpGet", json!({ "port": port, "path": path })),
        ProbeKind::Tcp { port } => ("tcpSocket", json!({ "port": port })),
    };
    json!({
        kind: asks, "periodSeconds": probe.period.as_secs(), "timeoutSeconds": probe.timeout.as_secs(),
        "failureThreshold": probe.failures,
    })
}

/// How the container ended: its exit code and its last words.
fn end(pod: &Value) -> Option<(i64, String)> {
    let end = pod.pointer("/status/containerStatuses/0/state/terminated")?;
    Some((end["exitCode"].as_i64()?, end["message"].as_str().unwrap_or_default().to_owned()))
}

#[tokio::test]
async fn a_server_becomes_ready_serves_and_stops_when_its_pod_is_deleted() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("image").await.unwrap();
    run(&cluster, &namespace, &[]).await;
    namespace.condition("pod/room", "Ready", Duration::from_mins(1)).await.unwrap();

    // At its own address, and at that of a Service.
    namespace.kubectl(&["expose", "pod", "room", "--port=4000", "--target-port=tcp"]).await.unwrap();
    let service = namespace.get("service/room").await.unwrap()["spec"]["clusterIP"].take();
    let pod = SocketAddr::from((namespace.pod_address("room").await.unwrap(), 3250));
    let service = SocketAddr::from((service.as_str().unwrap().parse::<IpAddr>().unwrap(), 4000));
    let through_service = || async { Ok(Client::connect(service, Transport::Tcp).await.ok()) };
    let client = eventually("way through the Service", SOON, through_service).await.unwrap();
    for client in [Client::connect(pod, Transport::Tcp).await.unwrap(), client] {
        let reply = client.request("room.room.hello", r#"{"name":"Ada"}"#).await.unwrap();
        assert!(reply.text().unwrap().contains("Ada"));
    }
    let logs = namespace.logs("room").await.unwrap();
    let line: Value = serde_json::from_str(logs.lines().next().unwrap()).unwrap();
    assert!(line["level"].is_string(), "{line}");

    let delete = namespace.kubectl(&["delete", "pod", "room", "--wait=false"]);
    let (deleted, ended) = tokio::join!(delete, namespace.watch("pods", SOON, end));
    deleted.unwrap();
    assert_eq!(ended.unwrap().0, 0);
    namespace.deleted("pod/room", SOON).await.unwrap();
}

#[tokio::test]
async fn why_a_server_did_not_start_is_its_termination_message() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("message").await.unwrap();
    run(&cluster, &namespace, &[("CEREUS__DRAIN__LINGR", "1s")]).await;
    let (code, message) = namespace.watch("pods", SOON, end).await.unwrap();
    assert_eq!(code, i64::from(contract::ExitCode::Failed.code()));
    assert!(message.contains("the nearest is CEREUS__DRAIN__LINGER"), "{message}");
}

/// What the tests run is what users build.
#[test]
fn the_dockerfiles_make_the_same_images() {
    let script = include_str!("../../cluster/image");
    let user = script.lines().find_map(|line| line.strip_prefix("user=")).unwrap();
    assert_eq!(user, format!("{}:{}", contract::RUN_AS_USER, contract::RUN_AS_GROUP));
    assert!(script.contains("entrypoint=/usr/local/bin/$(basename \"$program\")"));
    for (name, file) in [
        ("cereus", include_str!("../../../server/Dockerfile")),
        ("cereus-operator", include_str!("../../../operator/Dockerfile")),
    ] {
        let end: Vec<&str> = file.lines().skip_while(|line| *line != "FROM scratch").collect();
        let entrypoint = format!("ENTRYPOINT [\"/usr/local/bin/{name}\"]");
        assert_eq!(end, ["FROM scratch", "COPY --from=build /image /", &format!("USER {user}"), &entrypoint]);
    }
}
