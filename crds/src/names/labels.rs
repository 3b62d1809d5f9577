//! Labels, annotations and ports.

/// The API group of everything that is ours, and what our labels and annotations begin with.
pub const GROUP: &str = "cereus.dev";

/// What the names of labels and annotations begin with that a manifest must not set by itself.
pub const RESERVED_PREFIX: &str = "cereus.dev/";

/// Label of the headless Service of a server type, inherited by its EndpointSlices; the value is the name of the
/// ServerType. It is the only thing that makes an EndpointSlice a part of the cluster of game servers.
pub const SERVER_TYPE_LABEL: &str = "cereus.dev/server-type";

/// Label of the pods of a server type, by which its objects select them; the value is the name of the ServerType.
///
/// It is another one than [`SERVER_TYPE_LABEL`], which says where servers look for each other.
pub const SERVER_LABEL: &str = "cereus.dev/replica-of";

/// Label of the headless Service, inherited by its EndpointSlices: the version that the servers of the slice run.
///
/// It is a label, not an annotation, because Kubernetes copies only a Service's labels to its slices. During a rollout a
/// slice holds old and new servers, so there it tells the version that is wished for; where a slice has one server, as
/// in a directory of files, it is exact.
pub const VERSION_LABEL: &str = "cereus.dev/version";

/// Label of every object that the operator makes; the value is [`FIELD_MANAGER`].
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// Who the operator is towards the API server, in server-side apply and in labels.
pub const FIELD_MANAGER: &str = "cereus-operator";

/// Annotation of a pod by which Kubernetes chooses the pods that go first at a scale-down: those with the least.
pub const DELETION_COST_ANNOTATION: &str = "controller.kubernetes.io/pod-deletion-cost";

/// Name of the port on which servers talk to each other, in the headless Service, its EndpointSlices and the pod.
pub const LINK_PORT: &str = "link";

/// Number of that port in a pod.
pub const LINK_PORT_NUMBER: u16 = 3260;

/// Name of the port of the admin HTTP server (`/livez`, `/readyz`, `/status`) in the pod.
pub const ADMIN_PORT: &str = "admin";

/// Number of that port in a pod.
pub const ADMIN_PORT_NUMBER: u16 = 3270;

/// The label selector of the pods of a server type, as text.
pub fn selector(server_type: &str) -> String {
    format!("{SERVER_LABEL}={server_type}")
}

/// The version that an image says it is: its tag, else the beginning of its digest, as a legal value of a label.
///
/// ```
/// use cereus_crds::names::version;
/// assert_eq!(version("registry.example:5000/chat:1.4.0").as_deref(), Some("1.4.0"));
/// assert_eq!(version("registry.example:5000/chat"), None);
/// ```
pub fn version(image: &str) -> Option<String> {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let last = name.rsplit('/').next().unwrap_or(name);
    let version = match (last.split_once(':'), digest) {
        (Some((_, tag)), _) => tag,
        (None, Some(digest)) => digest.rsplit(':').next().and_then(|hash| hash.get(..12)).unwrap_or(digest),
        (None, None) => return None,
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let text: String = version.chars().map(|c| if legal(c) { c } else { '-' }).take(63).collect();
    let text = text.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    (!text.is_empty()).then(|| text.to_owned())
}
