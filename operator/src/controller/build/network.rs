//! Who may connect to which port.

use cereus_crds::{
    Protocol,
    names::{self, ADMIN_PORT_NUMBER, LINK_PORT_NUMBER, SERVER_LABEL},
};
use k8s_openapi::{
    api::networking::v1::{
        NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, LabelSelectorRequirement},
        util::intstr::IntOrString,
    },
};
use kube::ResourceExt as _;

use super::{BuildError, Desired, metadata::Metadata, metadata::desired, selector};
use crate::controller::{kinds::Kind, validate::Valid};

/// The label by which every namespace can be selected.
const NAMESPACE_LABEL: &str = "kubernetes.io/metadata.name";

/// The link port is for pods of the cluster of game servers, the admin port for the operator and for monitoring. What
/// probes ask comes from the node, which policies do not keep out.
pub(super) fn link(valid: &Valid, admin: &[String], metadata: &Metadata) -> Result<Desired, BuildError> {
    let name = valid.server_type.name_any();
    let servers = NetworkPolicyPeer {
        pod_selector: Some(expression(SERVER_LABEL, "Exists", None)),
        ..NetworkPolicyPeer::default()
    };
    let mut rules = vec![rule(Some(servers), &[LINK_PORT_NUMBER])];
    if valid.server_type.spec.protocol == Protocol::Cereus && !admin.is_empty() {
        let namespaces = NetworkPolicyPeer {
            namespace_selector: Some(expression(NAMESPACE_LABEL, "In", Some(admin.to_vec()))),
            ..NetworkPolicyPeer::default()
        };
        rules.push(rule(Some(namespaces), &[ADMIN_PORT_NUMBER]));
    }
    desired(Kind::NetworkPolicy, metadata.object(names::link_network_policy(&name)), &policy(&name, rules))
}

/// The ports of acceptors are for anyone.
pub(super) fn clients(valid: &Valid, metadata: &Metadata) -> Result<Option<Desired>, BuildError> {
    let Some(frontend) = &valid.server_type.spec.frontend else { return Ok(None) };
    let name = valid.server_type.name_any();
    let ports: Vec<_> = frontend.acceptors.iter().map(|acceptor| acceptor.port).collect();
    let policy = policy(&name, vec![rule(None, &ports)]);
    desired(Kind::NetworkPolicy, metadata.object(names::client_network_policy(&name)), &policy).map(Some)
}

fn policy(name: &str, ingress: Vec<NetworkPolicyIngressRule>) -> NetworkPolicy {
    let spec = NetworkPolicySpec {
        pod_selector: Some(selector(name)),
        policy_types: Some(vec!["Ingress".to_owned()]),
        ingress: Some(ingress),
        egress: None,
    };
    NetworkPolicy { spec: Some(spec), ..NetworkPolicy::default() }
}

/// From `peer`, or from anywhere, to these ports.
fn rule(peer: Option<NetworkPolicyPeer>, ports: &[u16]) -> NetworkPolicyIngressRule {
    let port = |number: &u16| NetworkPolicyPort {
        port: Some(IntOrString::Int(i32::from(*number))),
        protocol: Some("TCP".to_owned()),
        end_port: None,
    };
    NetworkPolicyIngressRule { from: peer.map(|peer| vec![peer]), ports: Some(ports.iter().map(port).collect()) }
}

fn expression(key: &str, operator: &str, values: Option<Vec<String>>) -> LabelSelector {
    let requirement = LabelSelectorRequirement { key: key.to_owned(), operator: operator.to_owned(), values };
    LabelSelector { match_expressions: Some(vec![requirement]), match_labels: None }
}
