//! The names of the objects that the operator makes for a server type.
//!
//! Each is the name of the ServerType, or begins with it and a dash. How long that name may be follows from them: see
//! [`MAX_NAME_LENGTH`].

/// Longest label, and longest name of a Service: both are parts of host names.
const LABEL_LENGTH: usize = 63;

/// The longest text that is appended to the name of a ServerType: `-` and ten characters of a ReplicaSet, `-` and five
/// of a pod.
pub const LONGEST_SUFFIX: usize = 17;

/// Longest name of a ServerType: with what Kubernetes appends for a pod it is still a host name.
pub const MAX_NAME_LENGTH: usize = LABEL_LENGTH - LONGEST_SUFFIX;

/// What a ServerType may be called. Routes are split at dots, and a Service begins with a letter.
pub const NAME_PATTERN: &str = "^[a-z]([-a-z0-9]*[a-z0-9])?$";

/// The Deployment.
pub fn deployment(server_type: &str) -> String {
    server_type.to_owned()
}

/// The headless Service, through which servers find each other.
pub fn link_service(server_type: &str) -> String {
    format!("{server_type}-link")
}

/// The Service that clients connect to, of frontends only.
pub fn client_service(server_type: &str) -> String {
    server_type.to_owned()
}

/// The ConfigMap with a configuration file, which has one of its own for each `fingerprint`. It is no host name, and may be
/// longer than one.
pub fn config_map(server_type: &str, fingerprint: &str) -> String {
    format!("{server_type}-config-{fingerprint}")
}

/// The ServiceAccount of the pods.
pub fn service_account(server_type: &str) -> String {
    format!("{server_type}-server")
}

/// The Role by which servers read EndpointSlices and ServerTypes.
pub fn role(server_type: &str) -> String {
    format!("{server_type}-server")
}

/// The RoleBinding of the two.
pub fn role_binding(server_type: &str) -> String {
    format!("{server_type}-server")
}

/// The PodDisruptionBudget.
pub fn disruption_budget(server_type: &str) -> String {
    server_type.to_owned()
}

/// The NetworkPolicy of the link and admin ports.
pub fn link_network_policy(server_type: &str) -> String {
    format!("{server_type}-link")
}

/// The NetworkPolicy of the ports that clients connect to.
pub fn client_network_policy(server_type: &str) -> String {
    format!("{server_type}-clients")
}

/// The Secret with the certificate of the servers.
pub fn certificates(server_type: &str) -> String {
    format!("{server_type}-certificates")
}
