//! Labels, ports and environment variables that the operator (or `cereus dev`) sets and a server reads.

/// Label of the headless Service of a server type, inherited by its EndpointSlices; the value is the name of the
/// ServerType. It is the only thing that makes an EndpointSlice a part of the cluster of game servers.
pub const SERVER_TYPE_LABEL: &str = "cereus.dev/server-type";

/// Label of the headless Service, inherited by its EndpointSlices: the version that the servers of the slice run.
///
/// It is a label, not an annotation, because Kubernetes copies only a Service's labels to its slices. During a rollout a
/// slice holds old and new servers, so there it tells the version that is wished for; where a slice has one server, as
/// in a directory of files, it is exact.
pub const VERSION_LABEL: &str = "cereus.dev/version";

/// Name of the port on which servers talk to each other, in the headless Service, its EndpointSlices and the pod.
pub const LINK_PORT: &str = "link";

/// Name of the port of the admin HTTP server (`/livez`, `/readyz`, `/status`) in the pod.
pub const ADMIN_PORT: &str = "admin";

/// Environment variable: the server's id. In a cluster the pod's uid, which is also what EndpointSlices call it.
pub const SERVER_ID_ENV: &str = "CEREUS_SERVER_ID";

/// Environment variable: the name of the ServerType that the server is a replica of.
pub const SERVER_TYPE_ENV: &str = "CEREUS_SERVER_TYPE";

/// Environment variable: the folder of EndpointSlice and ServerType files that the server takes its view of the cluster
/// from. Not set in a Kubernetes cluster.
pub const TOPOLOGY_ENV: &str = "CEREUS_TOPOLOGY";
