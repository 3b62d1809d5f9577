//! The ServerType resource. Fields that are not known here are passed over when it is read, so that a manifest for a newer
//! release can still be used; [`validate`](crate::validate) is what refuses them.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Autoscaling, Disruption, Drain, Frontend, Routing, ServerTypeStatus, Template, schema};

/// What a kind of server runs, how it is reached, and how many of it there are to be.
#[allow(clippy::duplicated_attributes, reason = "each column has a type, and some have the same")]
#[derive(Debug, Clone, Default, PartialEq, CustomResource, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "cereus.dev",
    version = "v1alpha1",
    kind = "ServerType",
    doc = "A kind of game server: what it runs, whether clients connect to it, and how it is chosen.",
    shortname = "gst",
    category = "all",
    category = "cereus",
    namespaced,
    derive = "PartialEq",
    status = "ServerTypeStatus",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(
        name = "Desired",
        type_ = "integer",
        json_path = ".status.desiredReplicas",
        description = "How many servers there are to be."
    ),
    printcolumn(
        name = "Ready",
        type_ = "integer",
        json_path = ".status.readyReplicas",
        description = "How many servers take messages."
    ),
    printcolumn(
        name = "Draining",
        type_ = "integer",
        json_path = ".status.drainingReplicas",
        description = "How many servers are taking their leave."
    ),
    printcolumn(
        name = "Sessions",
        type_ = "integer",
        json_path = ".status.sessions",
        description = "How many sessions the servers hold."
    ),
    printcolumn(
        name = "Version",
        type_ = "string",
        json_path = ".status.version",
        description = "The version that is to run, from the tag of the image."
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.replicas) && has(self.autoscaling))")
        .message("replicas and autoscaling exclude each other: with autoscaling the number follows the sessions")
        .field_path(".replicas"),
    validation = Rule::new("self.protocol != 'pitaya' || !has(self.frontend)")
        .message("a server type with protocol pitaya is a backend: it has no frontend")
        .field_path(".frontend"),
    validation = Rule::new("self.protocol == oldSelf.protocol")
        .message("cannot be changed, because servers of both kinds would run side by side; make another ServerType")
        .field_path(".protocol"),
    validation = Rule::new("has(self.frontend) == has(oldSelf.frontend)")
        .message("a backend cannot become a frontend, nor a frontend a backend, because both would run side by side; make another ServerType")
        .field_path(".frontend")
)]
pub struct ServerTypeSpec {
    /// The container image that the servers run, such as `registry.example/chat:1.4.0`; what it must honour is the image
    /// contract. A cluster cannot start servers without it and says so in the condition Ready; `cereus dev` runs a local
    /// binary and does not look at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 512))]
    pub image: Option<String>,
    /// How many servers there are to be. Absent means one. It excludes `autoscaling`; and it must be there for an
    /// autoscaler of Kubernetes' own that reads the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 0, max = 10000))]
    pub replicas: Option<i32>,
    /// How other servers call this type: `cereus` (the default) over links, or `pitaya` for a backend in another language,
    /// which serves the gRPC method `protos.Pitaya/Call`. It cannot be changed.
    #[serde(default)]
    pub protocol: Protocol,
    /// Where clients connect. A type without it is a backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Frontend")]
    pub frontend: Option<Frontend>,
    /// How one of the servers is chosen for a message.
    #[serde(default)]
    pub routing: Routing,
    /// How a server that is told to stop takes its leave.
    #[serde(default)]
    pub drain: Drain,
    /// Lets the number of servers follow the number of sessions. It excludes `replicas`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Autoscaling")]
    pub autoscaling: Option<Autoscaling>,
    /// How many servers the cluster may take away at a time for reasons of its own, such as the upgrade of a node.
    #[serde(default)]
    pub disruption: Disruption,
    /// The configuration file of the servers, as an object: the same keys as in the file that `serve --config` reads. What
    /// the image contract sets (type, id, addresses, drain) wins over it. `cereus check --binary` checks it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schema::any_object")]
    pub config: Map<String, Value>,
    /// What is added to the pods.
    #[serde(default, skip_serializing_if = "Template::is_empty")]
    pub template: Template,
    /// Whether the operator leaves the objects of this type as they are, whatever this manifest says. Servers keep
    /// running, their certificate is renewed, and other servers go on finding them. False when absent.
    #[serde(default)]
    pub paused: bool,
}

impl ServerTypeSpec {
    /// How many servers there are to be at first: `replicas`, the least of `autoscaling`, or one.
    pub fn desired_replicas(&self) -> u32 {
        let least = self.autoscaling.as_ref().map(|autoscaling| autoscaling.min_replicas);
        self.replicas.or(least).map_or(1, |replicas| u32::try_from(replicas).unwrap_or(0))
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
