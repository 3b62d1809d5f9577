//! The names of the variables that the contract sets.

/// The server's id. In a cluster the pod's uid, which is also what EndpointSlices call it.
pub const SERVER_ID: &str = "CEREUS__SERVER__ID";

/// The name of the ServerType that the server is a replica of.
pub const SERVER_TYPE: &str = "CEREUS__SERVER__TYPE";

/// The namespace of the ServerType. Not set for a process that runs outside of a cluster.
pub const NAMESPACE: &str = "CEREUS__SERVER__NAMESPACE";

/// Whether clients connect to the server.
pub const FRONTEND: &str = "CEREUS__SERVER__FRONTEND";

/// Where the server listens for other servers.
pub const LINK_LISTEN: &str = "CEREUS__LINK__LISTEN";

/// Whether links may leave the machine without certificates.
pub const LINK_INSECURE: &str = "CEREUS__LINK__INSECURE";

/// The folder with the certificate for links: `ca.crt`, `tls.crt` and `tls.key`. The certificate is for
/// `cereus://NAMESPACE/SERVER-TYPE`, and good for both ends of a connection.
pub const LINK_CERTIFICATES: &str = "CEREUS__LINK__CERTIFICATES";

/// Where the server listens for probes and operators.
pub const ADMIN_LISTEN: &str = "CEREUS__ADMIN__LISTEN";

/// Where the server listens for clients: a list as JSON, an object with `name`, `protocol` and `address` for each
/// acceptor, and `tls` (an object with the paths `certificate` and `key`), `proxy_protocol: true` and `trusted_proxies` (a
/// list of networks) where they are asked for.
pub const ACCEPTOR_LISTEN: &str = "CEREUS__ACCEPTOR__LISTEN";

/// How long new clients are still taken when the server is told to stop.
pub const DRAIN_LINGER: &str = "CEREUS__DRAIN__LINGER";

/// How long sessions may take to end after that.
pub const DRAIN_DEADLINE: &str = "CEREUS__DRAIN__DEADLINE";

/// Over how long the sessions that are left are closed.
pub const DRAIN_SPREAD: &str = "CEREUS__DRAIN__SPREAD";

/// The folder of EndpointSlice and ServerType files that the server takes its view of the cluster from. Not set in a
/// Kubernetes cluster, where it asks the API server.
pub const TOPOLOGY_DIRECTORY: &str = "CEREUS__TOPOLOGY__DIRECTORY";

/// All of them, with what they are for.
pub(super) const MEANINGS: [(&str, &str); 13] = [
    (SERVER_TYPE, "The name of the ServerType."),
    (SERVER_ID, "The server's id, which its EndpointSlice calls it too: the pod's uid, or a name such as `room-1`."),
    (
        NAMESPACE,
        "The namespace of the ServerType, in which servers look for others and with which the names in certificates for \
         links begin; not set by `cereus dev`.",
    ),
    (FRONTEND, "`true` for a type with a frontend; not set for a backend."),
    (LINK_LISTEN, "Address and port on which other servers reach it."),
    (LINK_INSECURE, "`true` when links leave the machine without certificates; not set otherwise."),
    (LINK_CERTIFICATES, "The folder with `ca.crt`, `tls.crt` and `tls.key` for links, when the cluster has a CA."),
    (ADMIN_LISTEN, "Address and port for probes and operators."),
    (
        ACCEPTOR_LISTEN,
        "The acceptors as a JSON list: `name`, `protocol` and `address` of each; also `tls` (with the paths \
         `certificate` and `key`), `proxy_protocol` and `trusted_proxies` (networks) where the manifest asks for them. \
         Not set for a backend.",
    ),
    (DRAIN_LINGER, "`spec.drain.linger`."),
    (DRAIN_DEADLINE, "`spec.drain.deadline`."),
    (DRAIN_SPREAD, "`spec.drain.spread`; not set when that is absent."),
    (
        TOPOLOGY_DIRECTORY,
        "The folder of EndpointSlice and ServerType files that is the server's view of the cluster; not set in Kubernetes.",
    ),
];

/// All that the contract may set; a manifest must not set them by itself.
pub const SET: [&str; 13] = [
    SERVER_TYPE,
    SERVER_ID,
    NAMESPACE,
    FRONTEND,
    LINK_LISTEN,
    LINK_INSECURE,
    LINK_CERTIFICATES,
    ADMIN_LISTEN,
    ACCEPTOR_LISTEN,
    DRAIN_LINGER,
    DRAIN_DEADLINE,
    DRAIN_SPREAD,
    TOPOLOGY_DIRECTORY,
];
