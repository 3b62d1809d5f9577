//! The configuration file.

use cereus_crds::{contract, names};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use serde::ser::Error as _;

use super::{BuildError, Desired, metadata::Metadata, metadata::desired};
use crate::controller::{kinds::Kind, validate::Valid};

/// The name of the file in the ConfigMap, which is its name in the folder.
const KEY: &str = "config.yaml";

/// The ConfigMap with the configuration file.
pub(super) fn config_map(valid: &Valid, metadata: &Metadata) -> Result<Desired, BuildError> {
    let name = names::config_map(&valid.server_type.name_any());
    let text = contract::config_text(&valid.server_type.spec.config).map_err(|error| BuildError {
        kind: Kind::ConfigMap.as_str(),
        name: name.clone(),
        source: serde_json::Error::custom(error),
    })?;
    let map = ConfigMap { data: Some([(KEY.to_owned(), text)].into()), ..ConfigMap::default() };
    desired(Kind::ConfigMap, metadata.object(name), &map)
}
