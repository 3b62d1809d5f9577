//! The certificate of the servers.

use cereus_crds::names;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::ResourceExt as _;

use super::{BuildError, Desired, metadata::Metadata, metadata::desired};
use crate::{
    certificates::{Issued, keys},
    controller::{kinds::Kind, validate::Valid},
};

/// The Secret that servers find their certificate in. It says nothing of the authority's key.
pub(super) fn certificates(valid: &Valid, issued: &Issued, metadata: &Metadata) -> Result<Desired, BuildError> {
    let text = |text: &str| ByteString(text.as_bytes().to_vec());
    let data = [
        (keys::TRUSTED.to_owned(), text(&issued.trusted)),
        (keys::CERTIFICATE.to_owned(), text(&issued.leaf.certificate)),
        (keys::PRIVATE_KEY.to_owned(), text(&issued.leaf.private_key)),
    ];
    let secret = Secret { data: Some(data.into()), type_: Some("kubernetes.io/tls".to_owned()), ..Secret::default() };
    let name = names::certificates(&valid.server_type.name_any());
    desired(Kind::Secret, metadata.object(name), &secret)
}
