//! Where clients connect to a server type.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{
    names::{ADMIN_PORT, ADMIN_PORT_NUMBER, LINK_PORT, LINK_PORT_NUMBER},
    schema,
};

/// Most acceptors of a type: a rule compares each with each.
const MOST_ACCEPTORS: usize = 16;
/// Most networks of an acceptor's proxies.
const MOST_NETWORKS: usize = 32;
/// The longest network: an address of IPv6 that is written out, and the length of its prefix.
const LONGEST_NETWORK: usize = 43;

/// Where clients connect.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.acceptors.size() > 0")
        .message("a frontend needs an acceptor")
        .field_path(".acceptors")
        .reason(Reason::FieldValueRequired),
    validation = Rule::new("self.acceptors.all(a, self.acceptors.exists_one(b, a.port == b.port))")
        .message("two acceptors must not have the same port")
        // Without the reason FieldValueDuplicate: the API server says that alone, and leaves the message out.
        .field_path(".acceptors")
)]
pub struct Frontend {
    /// The ports that listen for clients, at least one and at most 16. Names and ports are unique.
    #[serde(default)]
    #[schemars(extend("maxItems" = MOST_ACCEPTORS))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub acceptors: Vec<Acceptor>,
    /// The Service through which clients reach the acceptors. It has the name of the ServerType, and each acceptor is a
    /// port of it with the same name and number.
    #[serde(default)]
    pub service: ClientService,
}

/// One port that listens for clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(format!("!(self.name in ['{LINK_PORT}', '{ADMIN_PORT}'])"))
        .message(format!("`{LINK_PORT}` and `{ADMIN_PORT}` are names of ports that every server has").as_str())
        .field_path(".name"),
    validation = Rule::new(format!("!(self.port in [{LINK_PORT_NUMBER}, {ADMIN_PORT_NUMBER}])"))
        .message(format!("{LINK_PORT_NUMBER} and {ADMIN_PORT_NUMBER} are ports on which every server listens for servers and probes").as_str())
        .field_path(".port"),
    validation = Rule::new("self.proxyProtocol || !has(self.trustedProxies)")
        .message("only an acceptor with proxyProtocol reads the headers of proxies: set it, or leave this out")
        .field_path(".trustedProxies")
)]
pub struct Acceptor {
    /// The name of the port, unique within the type: at most 15 lower-case letters, digits and `-`, a letter first.
    #[schemars(schema_with = "port_name")]
    pub name: String,
    /// What carries the packets of a client: `TCP` or `WebSocket`.
    pub protocol: AcceptorProtocol,
    /// The port number, in the pod and in the Service, from 1 to 65535 and unique within the type. Below 1024 most
    /// nodes forbid it to servers, which are not root.
    #[schemars(schema_with = "schema::port")]
    pub port: u16,
    /// Encrypts the connections, which are TLS then, or WebSocket over TLS (`wss:`). Absent: they are not encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "AcceptorTls")]
    pub tls: Option<AcceptorTls>,
    /// Whether each connection begins with a PROXY header, version 1 or 2, which the load balancer in front adds to say
    /// where the client is. It must be set exactly when there is such a load balancer. False when absent.
    #[serde(default)]
    pub proxy_protocol: bool,
    /// The networks whose PROXY headers are believed, such as `10.0.0.0/8`, at most 32; a connection from elsewhere is
    /// closed. Only with `proxyProtocol`. When absent, whoever connects is believed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "networks")]
    #[x_kube(
        validation = Rule::new("self.all(n, isCIDR(n))")
            .message("each must be a network such as 10.0.0.0/8 or fd00::/8")
    )]
    pub trusted_proxies: Vec<String>,
}

/// How the connections of an acceptor are encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcceptorTls {
    /// The name of a Secret of type `kubernetes.io/tls` in the same namespace. When its certificate is renewed, the
    /// servers take the new one without a restart.
    #[schemars(schema_with = "schema::object_name")]
    pub secret_name: String,
}

/// What carries the packets of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AcceptorProtocol {
    /// A TCP stream.
    #[serde(rename = "TCP")]
    Tcp,
    /// A WebSocket, one binary message per packet.
    WebSocket,
}

/// The Service through which clients reach a frontend.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientService {
    /// Who can reach it: `ClusterIP` (the default) only the cluster, `NodePort` also whoever reaches a node,
    /// `LoadBalancer` the world, through a load balancer of the cloud.
    #[serde(rename = "type", default)]
    pub service_type: ServiceType,
    /// Annotations of the Service, by which clouds configure their load balancers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::label_map")]
    pub annotations: BTreeMap<String, String>,
}

/// Who can reach a Service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// The cluster.
    #[default]
    #[serde(rename = "ClusterIP")]
    ClusterIp,
    /// Whoever reaches a node.
    NodePort,
    /// The world, through a load balancer.
    LoadBalancer,
}

fn networks(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": { "type": "string", "maxLength": LONGEST_NETWORK },
        "maxItems": MOST_NETWORKS,
    })
}

fn port_name(_: &mut SchemaGenerator) -> Schema {
    let title = "1 to 15 lower-case letters, digits and single `-`, a letter first";
    schema::text(title, "^[a-z][a-z0-9]*(-[a-z0-9]+)*$", 15)
}
