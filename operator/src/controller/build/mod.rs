//! What is to be there for a server type: every object, from the manifest alone. Pure.
//!
//! What cannot be known from the manifest (how many servers autoscaling wants, the certificates) comes in as [`Given`].
//! Nothing here looks at what exists: `apply` compares.

mod access;
mod config;
mod deployment;
mod disruption;
mod metadata;
mod network;
mod pod;
mod secret;
mod services;
#[cfg(test)]
pub(crate) mod tests;

use cereus_crds::names::SERVER_LABEL;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{ResourceExt as _, core::DynamicObject};

use self::metadata::{APPLIED_ANNOTATION, Metadata};
use crate::{
    certificates::Issued,
    controller::{kinds::Kind, validate::Valid},
};

/// What the objects depend on besides the manifest.
#[derive(Debug, Clone)]
pub(crate) struct Given<'a> {
    /// How many servers there are to be.
    pub(crate) replicas: i32,
    /// The certificate of the servers.
    pub(crate) issued: &'a Issued,
    /// The namespaces whose pods may reach the admin port.
    pub(crate) admin_namespaces: &'a [String],
}

/// One object that is to be there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Desired {
    /// Its kind.
    pub(crate) kind: Kind,
    /// All that is said about it.
    pub(crate) object: DynamicObject,
}

impl Desired {
    /// Its name.
    pub(crate) fn name(&self) -> String {
        self.object.name_any()
    }

    /// What tells it from what was to be there at another time.
    pub(crate) fn fingerprint(&self) -> Option<&String> {
        self.object.annotations().get(APPLIED_ANNOTATION)
    }
}

/// An object could not be written down.
#[derive(Debug, thiserror::Error)]
#[error("{kind} {name} cannot be written as JSON")]
pub(crate) struct BuildError {
    kind: &'static str,
    name: String,
    #[source]
    source: serde_json::Error,
}

/// Every object of a server type, in the order in which they are to be applied.
pub(crate) fn build(valid: &Valid, given: &Given<'_>) -> Result<Vec<Desired>, BuildError> {
    let metadata = Metadata::of(valid);
    let config = config::config_map(valid, &metadata)?;
    let mut objects = vec![
        secret::certificates(valid, given.issued, &metadata)?,
        deployment::deployment(valid, given.replicas, &config, &metadata)?,
        config,
        services::link(valid, &metadata)?,
        disruption::budget(valid, &metadata)?,
        network::link(valid, given.admin_namespaces, &metadata)?,
    ];
    objects.extend(access::access(valid, &metadata)?);
    objects.extend(services::clients(valid, &metadata)?);
    objects.extend(network::clients(valid, &metadata)?);
    objects.sort_by_key(|desired| desired.kind);
    Ok(objects)
}

/// What selects the pods of a server type. A Deployment's cannot be changed, so it is this one label for good.
fn selector(server_type: &str) -> LabelSelector {
    let labels = [(SERVER_LABEL.to_owned(), server_type.to_owned())];
    LabelSelector { match_labels: Some(labels.into()), match_expressions: None }
}
