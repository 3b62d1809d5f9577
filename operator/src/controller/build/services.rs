//! Where servers and clients find the servers of a type.

use cereus_crds::{
    ServiceType,
    contract::{self, Port},
    names::{self, LINK_PORT, SERVER_LABEL, SERVER_TYPE_LABEL},
};
use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::ResourceExt as _;

use super::{BuildError, Desired, metadata::Metadata, metadata::desired};
use crate::controller::{kinds::Kind, validate::Valid};

/// The headless Service, whose EndpointSlices are how servers find each other. It alone has the discovery label.
pub(super) fn link(valid: &Valid, metadata: &Metadata) -> Result<Desired, BuildError> {
    let name = valid.server_type.name_any();
    let ports = contract::ports(&valid.server_type.spec);
    let spec = ServiceSpec {
        cluster_ip: Some("None".to_owned()),
        ports: Some(ports.iter().filter(|port| port.name == LINK_PORT).map(service_port).collect()),
        // Slices list servers that are not ready without it, with what is true of each: not ready yet, or leaving but
        // still serving. With it every endpoint would be called ready, and servers could not tell.
        publish_not_ready_addresses: Some(false),
        ..service(&name)
    };
    let mut object = metadata.object(names::link_service(&name));
    let mut labels = metadata.labels_with_version();
    labels.insert(SERVER_TYPE_LABEL.to_owned(), name);
    object.labels = Some(labels);
    desired(Kind::Service, object, &Service { spec: Some(spec), ..Service::default() })
}

/// The Service that clients connect to, of frontends only.
pub(super) fn clients(valid: &Valid, metadata: &Metadata) -> Result<Option<Desired>, BuildError> {
    let Some(frontend) = &valid.server_type.spec.frontend else { return Ok(None) };
    let name = valid.server_type.name_any();
    let ports = frontend.acceptors.iter().map(|acceptor| Port { name: acceptor.name.clone(), number: acceptor.port });
    let spec = ServiceSpec {
        type_: Some(type_name(frontend.service.service_type).to_owned()),
        ports: Some(ports.map(|port| service_port(&port)).collect()),
        ..service(&name)
    };
    let mut object = metadata.object(names::client_service(&name));
    object.annotations = Some(frontend.service.annotations.clone()).filter(|annotations| !annotations.is_empty());
    desired(Kind::Service, object, &Service { spec: Some(spec), ..Service::default() }).map(Some)
}

/// What both have: the pods, and addresses of both families where the cluster has both.
fn service(server_type: &str) -> ServiceSpec {
    ServiceSpec {
        selector: Some([(SERVER_LABEL.to_owned(), server_type.to_owned())].into()),
        ip_family_policy: Some("PreferDualStack".to_owned()),
        ..ServiceSpec::default()
    }
}

/// Ports are named alike in Service and pod.
fn service_port(port: &Port) -> ServicePort {
    ServicePort {
        name: Some(port.name.clone()),
        port: i32::from(port.number),
        target_port: Some(IntOrString::String(port.name.clone())),
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    }
}

const fn type_name(service_type: ServiceType) -> &'static str {
    match service_type {
        ServiceType::ClusterIp => "ClusterIP",
        ServiceType::NodePort => "NodePort",
        ServiceType::LoadBalancer => "LoadBalancer",
    }
}
