//! Names, labels and owners of the objects.

use std::collections::BTreeMap;

use cereus_crds::{
    ServerType,
    names::{FIELD_MANAGER, MANAGED_BY_LABEL, SERVER_LABEL, VERSION_LABEL, version},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    Resource as _, ResourceExt as _,
    core::{DynamicObject, ObjectMeta},
};
use serde::Serialize;
use serde_json::Value;

use super::{BuildError, Desired};
use crate::controller::{kinds::Kind, validate::Valid};

/// Annotation of every object: a fingerprint of all that was applied. When it differs, something was added, changed or
/// taken away since, and only then is there something to apply that a look at the fields cannot find.
pub(super) const APPLIED_ANNOTATION: &str = "cereus.dev/applied";

/// What all objects of a server type have.
pub(super) struct Metadata {
    namespace: Option<String>,
    owner: OwnerReference,
    labels: BTreeMap<String, String>,
    version: Option<(String, String)>,
}

impl Metadata {
    pub(super) fn of(valid: &Valid) -> Self {
        let name = valid.server_type.name_any();
        let labels = [
            ("app.kubernetes.io/name", name.as_str()),
            ("app.kubernetes.io/part-of", "cereus"),
            (MANAGED_BY_LABEL, FIELD_MANAGER),
            (SERVER_LABEL, &name),
        ];
        Self {
            namespace: valid.server_type.namespace(),
            owner: OwnerReference {
                controller: Some(true),
                block_owner_deletion: Some(true),
                ..owner(&valid.server_type)
            },
            labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            version: version(&valid.image).map(|version| (VERSION_LABEL.to_owned(), version)),
        }
    }

    /// The labels of every object.
    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        self.labels.clone()
    }

    /// Those, and the version: for what changes with the image anyway.
    pub(super) fn labels_with_version(&self) -> BTreeMap<String, String> {
        self.labels.iter().map(|(key, value)| (key.clone(), value.clone())).chain(self.version.clone()).collect()
    }

    /// The metadata of an object of this name.
    pub(super) fn object(&self, name: String) -> ObjectMeta {
        ObjectMeta {
            name: Some(name),
            namespace: self.namespace.clone(),
            labels: Some(self.labels()),
            owner_references: Some(vec![self.owner.clone()]),
            ..ObjectMeta::default()
        }
    }
}

/// A reference to a ServerType.
fn owner(server_type: &ServerType) -> OwnerReference {
    OwnerReference {
        api_version: ServerType::api_version(&()).into_owned(),
        kind: ServerType::kind(&()).into_owned(),
        name: server_type.name_any(),
        uid: server_type.uid().unwrap_or_default(),
        ..OwnerReference::default()
    }
}

/// Write an object down, with the fingerprint of what it says.
pub(super) fn desired<T: Serialize>(kind: Kind, metadata: ObjectMeta, object: &T) -> Result<Desired, BuildError> {
    let name = metadata.name.clone().unwrap_or_default();
    let failed = |source| BuildError { kind: kind.as_str(), name: name.clone(), source };
    let data = serde_json::to_value(object).map_err(failed)?;
    let mut object = DynamicObject::new(&name, &kind.resource()).data(without_head(data));
    let print = serde_json::to_string(&(&metadata, &object.data)).map_err(failed)?;
    object.metadata = metadata;
    object.annotations_mut().insert(APPLIED_ANNOTATION.to_owned(), fingerprint(&print));
    Ok(Desired { kind, object })
}

/// What an object says besides what it is.
fn without_head(mut data: Value) -> Value {
    if let Some(fields) = data.as_object_mut() {
        for head in ["apiVersion", "kind", "metadata"] {
            fields.remove(head);
        }
    }
    data
}

/// A text in sixteen characters (FNV-1a), the same in every release, so that an upgrade of the operator alone rolls
/// nothing. It tells edits apart; it does not withstand someone who looks for two texts with one fingerprint.
pub(super) fn fingerprint(text: &str) -> String {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let hash = text.bytes().fold(BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    format!("{hash:016x}")
}
