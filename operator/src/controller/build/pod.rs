//! One server as a pod: the image contract in the words of Kubernetes.

use cereus_crds::{
    Protocol,
    contract::{self, MountSource, Place, ProbeKind, VariableValue},
    names,
};
use k8s_openapi::{
    api::core::v1::{
        Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, EnvVarSource,
        HTTPGetAction, ObjectFieldSelector, PodSecurityContext, PodSpec, Probe, SeccompProfile, SecretVolumeSource,
        SecurityContext, TCPSocketAction, TopologySpreadConstraint, Volume, VolumeMount,
    },
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::ResourceExt as _;

use super::{Desired, selector};
use crate::controller::validate::Valid;

/// The name of the container.
const CONTAINER: &str = "server";

/// Files of Secrets: readable by the server's group, by nobody else.
const SECRET_MODE: i32 = 0o440;

/// The pod of a server, which reads the configuration file in this ConfigMap.
pub(super) fn spec(valid: &Valid, config: &Desired) -> PodSpec {
    let spec = &valid.server_type.spec;
    let name = valid.server_type.name_any();
    let template = &spec.template;
    let mounts = contract::mounts(&name, spec, &config.name(), &Place::pod().security);
    let volumes = mounts.iter().map(volume).chain(template.volumes.iter().cloned());
    PodSpec {
        containers: vec![container(valid, &mounts)],
        volumes: Some(volumes.collect()),
        termination_grace_period_seconds: Some(whole_seconds(contract::termination_grace(spec))),
        service_account_name: Some(names::service_account(&name)),
        automount_service_account_token: Some(spec.protocol == Protocol::Cereus),
        // A variable per Service of the namespace could shadow a setting.
        enable_service_links: Some(false),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(contract::RUN_AS_USER),
            run_as_group: Some(contract::RUN_AS_GROUP),
            fs_group: Some(contract::RUN_AS_GROUP),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
            ..PodSecurityContext::default()
        }),
        image_pull_secrets: Some(template.image_pull_secrets.clone()).filter(|list| !list.is_empty()),
        node_selector: Some(template.node_selector.clone()).filter(|labels| !labels.is_empty()),
        tolerations: Some(template.tolerations.clone()).filter(|list| !list.is_empty()),
        affinity: template.affinity.clone(),
        topology_spread_constraints: template.affinity.is_none().then(|| spread(&name)),
        ..PodSpec::default()
    }
}

fn container(valid: &Valid, mounts: &[contract::Mount]) -> Container {
    let spec = &valid.server_type.spec;
    let template = &spec.template;
    let probes = contract::probes(spec.protocol);
    let variables = contract::environment(&valid.server_type.name_any(), spec, &Place::pod());
    let arguments = contract::arguments(spec.protocol, contract::CONFIG_FILE);
    let ports = contract::ports(spec).into_iter().map(|port| ContainerPort {
        name: Some(port.name),
        container_port: i32::from(port.number),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    });
    Container {
        name: CONTAINER.to_owned(),
        image: Some(valid.image.clone()),
        args: Some(arguments).filter(|arguments| !arguments.is_empty()),
        env: Some(variables.into_iter().map(variable).chain(template.env.iter().cloned()).collect()),
        ports: Some(ports.collect()),
        startup_probe: Some(probe(&probes.startup)),
        readiness_probe: Some(probe(&probes.readiness)),
        liveness_probe: Some(probe(&probes.liveness)),
        resources: Some(template.resources.clone()).filter(|resources| *resources != <_>::default()),
        volume_mounts: Some(mounts.iter().map(mount).chain(template.volume_mounts.iter().cloned()).collect()),
        // The last line of its standard error says why a server ended.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            ..SecurityContext::default()
        }),
        ..Container::default()
    }
}

fn variable(variable: contract::Variable) -> EnvVar {
    let name = variable.name.to_owned();
    let path = match variable.value {
        VariableValue::Text(text) => return EnvVar { name, value: Some(text), value_from: None },
        VariableValue::PodUid => "metadata.uid",
        VariableValue::PodNamespace => "metadata.namespace",
    };
    let field = ObjectFieldSelector { field_path: path.to_owned(), api_version: None };
    let source = EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() };
    EnvVar { name, value: None, value_from: Some(source) }
}

fn probe(probe: &contract::Probe) -> Probe {
    let seconds = |duration| i32::try_from(whole_seconds(duration)).unwrap_or(i32::MAX);
    let port = |name: &str| IntOrString::String(name.to_owned());
    let (http_get, tcp_socket) = match probe.kind {
        ProbeKind::Http { port: name, path } => {
            let get = HTTPGetAction { path: Some(path.to_owned()), port: port(name), ..HTTPGetAction::default() };
            (Some(get), None)
        }
        ProbeKind::Tcp { port: name } => (None, Some(TCPSocketAction { port: port(name), host: None })),
    };
    Probe {
        http_get,
        tcp_socket,
        period_seconds: Some(seconds(probe.period)),
        timeout_seconds: Some(seconds(probe.timeout)),
        failure_threshold: Some(i32::try_from(probe.failures).unwrap_or(i32::MAX)),
        ..Probe::default()
    }
}

fn volume(mount: &contract::Mount) -> Volume {
    let name = mount.volume.clone();
    match &mount.source {
        MountSource::ConfigMap(map) => {
            let source = ConfigMapVolumeSource { name: map.clone(), ..ConfigMapVolumeSource::default() };
            Volume { name, config_map: Some(source), ..Volume::default() }
        }
        MountSource::Secret(secret) => {
            let source = SecretVolumeSource {
                secret_name: Some(secret.clone()),
                default_mode: Some(SECRET_MODE),
                ..SecretVolumeSource::default()
            };
            Volume { name, secret: Some(source), ..Volume::default() }
        }
        MountSource::Empty => Volume { name, empty_dir: Some(EmptyDirVolumeSource::default()), ..Volume::default() },
    }
}

fn mount(mount: &contract::Mount) -> VolumeMount {
    VolumeMount {
        name: mount.volume.clone(),
        mount_path: mount.path.display().to_string(),
        read_only: (mount.source != MountSource::Empty).then_some(true),
        ..VolumeMount::default()
    }
}

/// Over nodes and zones, as far as there is room: a rollout's new servers among themselves, so that old ones on their way
/// out do not push them together.
fn spread(server_type: &str) -> Vec<TopologySpreadConstraint> {
    let constraint = |key: &str| TopologySpreadConstraint {
        topology_key: key.to_owned(),
        max_skew: 1,
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(selector(server_type)),
        match_label_keys: Some(vec!["pod-template-hash".to_owned()]),
        ..TopologySpreadConstraint::default()
    };
    ["kubernetes.io/hostname", "topology.kubernetes.io/zone"].map(constraint).to_vec()
}

/// Rounded up, because what Kubernetes counts in seconds must not be shorter than what was asked for.
fn whole_seconds(duration: std::time::Duration) -> i64 {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    i64::try_from(seconds).unwrap_or(i64::MAX)
}
