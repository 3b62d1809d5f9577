//! Whether a manifest can be carried out. Pure.

#[cfg(test)]
mod tests;

use cereus_crds::{ServerType, Validator};
use kube::{ResourceExt as _, core::DeserializeGuard};

use crate::controller::reason::Reason;

/// A ServerType that can be carried out.
#[derive(Debug, Clone)]
pub(crate) struct Valid {
    /// The object, with its defaults.
    pub(crate) server_type: ServerType,
    /// What its servers run.
    pub(crate) image: String,
}

/// Why a ServerType cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invalid {
    /// In one word.
    pub(crate) reason: Reason,
    /// In a sentence that says what would be right.
    pub(crate) message: String,
}

/// Check a manifest with the code of `cereus check`.
///
/// The API server has checked it too, but perhaps with the definition of another release.
pub(crate) fn validate(object: &DeserializeGuard<ServerType>, validator: &Validator) -> Result<Valid, Invalid> {
    let invalid = |message| Invalid { reason: Reason::InvalidManifest, message };
    let read = object.0.as_ref().map_err(|error| invalid(format!("it cannot be read: {}", error.error)))?;
    let mut document = serde_json::to_value(read).map_err(|error| invalid(error.to_string()))?;
    // What the operator wrote itself is not what a person can put right.
    if let Some(document) = document.as_object_mut() {
        document.remove("status");
    }
    let server_type = validator.validate(&document, None).map_err(|problems| {
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        invalid(lines.join("; "))
    })?;
    let Some(image) = server_type.spec.image.clone() else {
        let name = server_type.name_any();
        let message = format!("spec.image is missing: set it to the container image that the servers of {name} run");
        return Err(Invalid { reason: Reason::ImageMissing, message });
    };
    Ok(Valid { server_type, image })
}
