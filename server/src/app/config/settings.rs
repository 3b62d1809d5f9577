//! The settings of a server, and the sections that belong to the server as a whole.

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::wire::{self, at_least, duration};
use crate::{acceptor, agent, group, handler, lanes, router, rpc};

/// Everything that can be set.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// What this server is.
    pub(crate) server: Server,
    /// Where clients connect.
    #[serde(default)]
    pub(crate) acceptor: acceptor::Config,
    /// How the server treats one client connection.
    #[serde(default)]
    pub(crate) agent: agent::Config,
    /// How messages are written to clients and what is accepted from them.
    #[serde(default)]
    pub(crate) wire: wire::Config,
    /// How handlers are run.
    #[serde(default)]
    pub(crate) handler: handler::Config,
    /// How much work may wait.
    #[serde(default)]
    pub(crate) lanes: lanes::Config,
    /// What sessions subscribe to.
    #[serde(default)]
    pub(crate) channels: group::Config,
    /// How servers of other types are chosen.
    #[serde(default)]
    pub(crate) routing: router::Config,
    /// How servers talk to each other.
    #[serde(default)]
    pub(crate) link: rpc::Config,
    /// The port for probes and operators.
    #[serde(default)]
    pub(crate) admin: Admin,
    /// How a server stops.
    #[serde(default)]
    pub(crate) drain: Drain,
    /// How servers find each other.
    #[serde(default)]
    pub(crate) topology: Topology,
    /// Whether the end of standard input stops the server: set by whoever starts it as a child.
    #[serde(skip)]
    pub(crate) stop_with_stdin: bool,
}

impl Settings {
    /// Whether clients connect to this server.
    pub(crate) fn is_frontend(&self) -> bool {
        self.server.frontend || !self.acceptor.listen.is_empty()
    }
}

/// What a server is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_field_names, reason = "`server_type` is what it is called everywhere")]
pub(crate) struct Server {
    /// The server type, such as `room`: the first part of the routes that this server handles.
    #[serde(rename = "type", deserialize_with = "server_type")]
    pub(crate) server_type: String,
    /// The name of this server, the same that the topology knows it by; in a cluster the uid of its pod. Made up when it
    /// is not set.
    #[serde(default, deserialize_with = "server_id")]
    pub(crate) id: Option<String>,
    /// The namespace of the game. In Kubernetes servers are looked for in it; not set, in the pod's own, or in that of the
    /// kubeconfig. With `link.certificates` only servers of it get links; not set, of that of this server's own certificate.
    #[serde(default)]
    pub(crate) namespace: Option<String>,
    /// How bodies are written: `json` or `protobuf`. Servers of one game use the same.
    #[serde(default)]
    pub(crate) serializer: SerializerName,
    /// How many threads handle messages. Not set: one for each core this process may use.
    #[serde(default)]
    pub(crate) workers: Option<NonZeroUsize>,
    /// How long a request may take before it is answered with PIT-504.
    #[serde(
        default = "Server::default_request_timeout",
        serialize_with = "duration::serialize",
        deserialize_with = "at_least::millis::<1, _>"
    )]
    #[schemars(with = "String")]
    pub(crate) request_timeout: Duration,
    /// Whether clients connect to this server. A server with `acceptor.listen` is a frontend anyway; one whose acceptors
    /// are all made in code says so here.
    #[serde(default)]
    pub(crate) frontend: bool,
}

impl Server {
    fn default_request_timeout() -> Duration {
        Duration::from_secs(10)
    }
}

/// A serializer that can be named in settings; a game may bring another in code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SerializerName {
    /// JSON.
    #[default]
    Json,
    /// Protocol buffers.
    Protobuf,
}

/// The port for probes and operators.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Admin {
    /// Address and port of `/livez`, `/readyz`, `/status` and `/drain`. Not set: they are not served.
    pub(crate) listen: Option<SocketAddr>,
    /// What a caller of `/drain` sends as `Authorization: Bearer …`. Without it such calls are taken on loopback only.
    #[schemars(extend("writeOnly" = true))]
    pub(crate) token: Option<String>,
}

/// How a server stops.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Drain {
    /// How long new connections are still accepted: load balancers learn late that a server is going.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub(crate) linger: Duration,
    /// How long sessions may stay after that before they are closed.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub(crate) deadline: Duration,
    /// Over how long, at the end, the sessions that are left are closed, so that they do not all reconnect at once. Not
    /// set: 30 s, or a quarter of the deadline if that is less.
    #[serde(with = "duration::optional")]
    #[schemars(with = "Option<String>")]
    pub(crate) spread: Option<Duration>,
}

impl Default for Drain {
    fn default() -> Self {
        Self { linger: Duration::from_secs(5), deadline: Duration::from_mins(10), spread: None }
    }
}

impl Drain {
    /// Over how long the sessions that are left are closed; never longer than the deadline.
    pub(crate) fn spread(&self) -> Duration {
        self.spread.unwrap_or_else(|| Duration::from_secs(30).min(self.deadline / 4)).min(self.deadline)
    }
}

/// How servers find each other.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Topology {
    /// A folder of EndpointSlice and ServerType files. Not set: the EndpointSlices and ServerTypes of the Kubernetes cluster,
    /// or none.
    pub(crate) directory: Option<PathBuf>,
    /// Whether the Kubernetes API is asked, as the pod's ServiceAccount or, outside of a pod, as the kubeconfig says. Not
    /// set: in a pod whose ServiceAccount is mounted.
    pub(crate) kubernetes: Option<bool>,
}

/// What a server type may be called: routes are split at dots, and a name ends up in labels and host names.
fn server_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    let fits = (1..=63).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if fits { Ok(name) } else { Err(de::Error::custom("a server type is 1 to 63 letters, digits, `-` or `_`")) }
}

fn server_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let id = Option::<String>::deserialize(deserializer)?;
    // The topology makes names of files of it.
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let fits = |id: &String| (1..=200).contains(&id.len()) && id.bytes().all(legal);
    match id {
        Some(id) if !fits(&id) => Err(de::Error::custom("a server id is 1 to 200 letters, digits, `-`, `_` or `.`")),
        id => Ok(id),
    }
}
