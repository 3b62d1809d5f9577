//! The ServerType resource, as far as routing and a laptop need it. Fields that are not known here are passed over, so
//! that a manifest for a newer release can still be read.

use std::time::Duration;

use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{DurationText, Routing};

/// What a kind of server runs and how it is reached.
#[derive(Debug, Clone, Default, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "cereus.dev",
    version = "v1alpha1",
    kind = "ServerType",
    doc = "A kind of game server: what it runs, whether clients connect to it, and how it is chosen.",
    shortname = "gst",
    category = "all",
    category = "cereus",
    namespaced,
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct ServerTypeSpec {
    /// The container image that the servers run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// How many servers there are to be. Absent means one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub replicas: Option<i32>,
    /// How other servers call this type: `cereus` (the default), or `pitaya` for a backend in another language.
    #[serde(default)]
    pub protocol: Protocol,
    /// Present on types that clients connect to; a type without it is a backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frontend: Option<Frontend>,
    /// How one of the servers is chosen for a message.
    #[serde(default)]
    pub routing: Routing,
    /// How a server that is told to stop takes its leave.
    #[serde(default)]
    pub drain: Drain,
    /// The configuration file of the servers, as an object.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "any_object")]
    pub config: Map<String, Value>,
}

impl ServerTypeSpec {
    /// How many servers there are to be: `replicas`, one when it is absent.
    pub fn desired_replicas(&self) -> u32 {
        self.replicas.map_or(1, |replicas| u32::try_from(replicas).unwrap_or(0))
    }
}

/// How servers of other types call a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Protocol {
    /// Links of this framework.
    #[default]
    Cereus,
    /// The unary gRPC method `protos.Pitaya/Call`, for backends in other languages.
    Pitaya,
}

/// Where clients connect.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Frontend {
    /// The ports that listen for clients.
    #[serde(default)]
    pub acceptors: Vec<Acceptor>,
}

/// One port that listens for clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Acceptor {
    /// The name of the port, unique within the type.
    pub name: String,
    /// What the clients speak below the packets.
    pub protocol: AcceptorProtocol,
    /// The port number.
    #[schemars(schema_with = "port_number")]
    pub port: u16,
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

/// How a server that is told to stop takes its leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Drain {
    /// How long a frontend still takes new clients, because load balancers learn late that it leaves.
    pub linger: DurationText,
    /// How long sessions and calls may take to end by themselves; what is left then is closed.
    pub deadline: DurationText,
}

impl Default for Drain {
    /// Five seconds is what load balancers need to see that a server leaves; ten minutes lets a match end.
    fn default() -> Self {
        Self { linger: DurationText::new(Duration::from_secs(5)), deadline: DurationText::new(Duration::from_mins(10)) }
    }
}

/// An object whose fields the API server keeps without knowing them.
fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// Port numbers without the `uint16` format, which the API server does not know.
fn port_number(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "format": "int32", "minimum": 1, "maximum": 65535 })
}
