//! The configuration file.

use cereus_crds::{contract, names};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use serde::ser::Error as _;

use super::{
    BuildError, Desired,
    metadata::{Metadata, desired, fingerprint},
};
use crate::controller::{kinds::Kind, validate::Valid};

/// The name of the file in the ConfigMap, which is its name in the folder.
const KEY: &str = "config.yaml";

/// The ConfigMap with the configuration file, which goes by what it says and never changes: a server reads the file whenever
/// its container starts, and is to find the one that its pod was made for. Another file means another name, and other pods.
pub(super) fn config_map(valid: &Valid, metadata: &Metadata) -> Result<Desired, BuildError> {
    let server_type = valid.server_type.name_any();
    let text = contract::config_text(&valid.server_type.spec.config).map_err(|error| BuildError {
        kind: Kind::ConfigMap.as_str(),
        name: server_type.clone(),
        source: serde_json::Error::custom(error),
    })?;
    let name = names::config_map(&server_type, &fingerprint(&text));
    let data = Some([(KEY.to_owned(), text)].into());
    let map = ConfigMap { data, immutable: Some(true), ..ConfigMap::default() };
    desired(Kind::ConfigMap, metadata.object(name), &map)
}
