//! What a manifest may add to the pods.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Affinity, EnvVar, LocalObjectReference, ResourceRequirements, Toleration, Volume, VolumeMount},
    apimachinery::pkg::api::resource::Quantity,
};
use kube::KubeSchema;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{
    contract::{FILES, VOLUME_PREFIX, variables},
    names::RESERVED_PREFIX,
    schema,
};

/// Most variables of the environment.
const MOST_VARIABLES: usize = 128;
/// Most volumes and most mounts: a rule looks for the volume of each mount.
const MOST_VOLUMES: usize = 32;
/// Most Secrets for registries.
const MOST_PULL_SECRETS: usize = 16;
/// Longest name of an object.
const LONGEST_NAME: usize = 253;
/// Longest name of a label or annotation: a prefix, a slash and a name.
const LONGEST_VARIABLE: usize = 256;
/// Longest name of a volume.
const LONGEST_VOLUME: usize = 63;
/// Longest path of a mount.
const LONGEST_PATH: usize = 1024;

/// What is added to the pods. Everything else about them is the operator's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.volumeMounts) || self.volumeMounts.all(m, has(self.volumes) && self.volumes.exists(v, v.name == m.name))")
        .message("each mount names one of template.volumes")
        .field_path(".volumeMounts")
)]
pub struct Template {
    /// The CPU and memory that one server is given and may use. Its worker threads follow the limit of CPU.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(schema_with = "resources")]
    pub resources: ResourceRequirements,
    /// Variables of the environment, at most 128. Settings may be set as `CEREUS__SECTION__KEY`, but not those that the
    /// image contract sets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "environment")]
    #[x_kube(
        validation = Rule::new(format!("self.all(e, !(e.name in ['{}']))", variables::SET.join("', '")))
            .message("a variable that the image contract sets cannot be set here")
    )]
    pub env: Vec<EnvVar>,
    /// The Secrets, by `name` and at most 16, with which the image is pulled from a private registry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "pull_secrets")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Labels that a node must have for servers of this type to run on it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::label_map")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that servers of this type put up with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "tolerations")]
    pub tolerations: Vec<Toleration>,
    /// Near which nodes and pods servers of this type run. When absent, the servers of a type are spread over nodes and
    /// zones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of_kubernetes::<Affinity>")]
    pub affinity: Option<Affinity>,
    /// Labels of the pods. Those that begin with `cereus.dev/` belong to the operator.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::label_map")]
    #[x_kube(
        validation = Rule::new(format!("self.all(k, !k.startsWith('{RESERVED_PREFIX}'))"))
            .message(format!("labels that begin with `{RESERVED_PREFIX}` belong to the operator").as_str())
    )]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the pods. Those that begin with `cereus.dev/` belong to the operator.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::label_map")]
    #[x_kube(
        validation = Rule::new(format!("self.all(k, !k.startsWith('{RESERVED_PREFIX}'))"))
            .message(format!("annotations that begin with `{RESERVED_PREFIX}` belong to the operator").as_str())
    )]
    pub annotations: BTreeMap<String, String>,
    /// Volumes of the pods, at most 32. Names that begin with `cereus-` belong to the operator.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "volumes")]
    #[x_kube(
        validation = Rule::new(format!("self.all(v, !v.name.startsWith('{VOLUME_PREFIX}'))"))
            .message(format!("names of volumes that begin with `{VOLUME_PREFIX}` belong to the operator").as_str())
    )]
    pub volumes: Vec<Volume>,
    /// Where the servers see those volumes, at most 32. The folder `/etc/cereus` belongs to the operator.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "volume_mounts")]
    #[x_kube(
        validation = Rule::new(format!("self.all(m, m.mountPath != '{FILES}' && !m.mountPath.startsWith('{FILES}/'))"))
            .message(format!("the folder {FILES} belongs to the operator").as_str())
    )]
    pub volume_mounts: Vec<VolumeMount>,
}

impl Template {
    /// Whether it adds nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn resources(generator: &mut SchemaGenerator) -> Schema {
    let mut amounts = |of: &str| {
        let quantity = schema::of_kubernetes::<Quantity>(generator);
        let description = format!("The {of} by the name of the resource, such as `cpu: 500m` and `memory: 256Mi`.");
        json_schema!({ "type": "object", "description": description, "additionalProperties": quantity })
    };
    json_schema!({
        "type": "object",
        "properties": { "limits": amounts("most that may be used"), "requests": amounts("amounts that are kept free") },
    })
}

fn environment(generator: &mut SchemaGenerator) -> Schema {
    schema::list_of::<EnvVar>(generator, "name", MOST_VARIABLES, &[("name", LONGEST_VARIABLE)])
}

fn pull_secrets(generator: &mut SchemaGenerator) -> Schema {
    schema::list_of::<LocalObjectReference>(generator, "name", MOST_PULL_SECRETS, &[("name", LONGEST_NAME)])
}

fn volumes(generator: &mut SchemaGenerator) -> Schema {
    schema::list_of::<Volume>(generator, "name", MOST_VOLUMES, &[("name", LONGEST_VOLUME)])
}

fn volume_mounts(generator: &mut SchemaGenerator) -> Schema {
    let bounds = [("name", LONGEST_VOLUME), ("mountPath", LONGEST_PATH)];
    schema::list_of::<VolumeMount>(generator, "mountPath", MOST_VOLUMES, &bounds)
}

fn tolerations(generator: &mut SchemaGenerator) -> Schema {
    let toleration = schema::of_kubernetes::<Toleration>(generator);
    json_schema!({ "type": "array", "items": toleration, "x-kubernetes-list-type": "atomic" })
}
