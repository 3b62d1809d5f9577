//! The objects of one file: any number of YAML documents, of which EndpointSlices and ServerTypes count.

use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde::Deserialize;
use serde_yaml::Deserializer;

/// What a file says about the cluster.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Documents {
    pub(super) slices: Vec<EndpointSlice>,
    pub(super) server_types: Vec<cereus_crds::ServerType>,
}

/// A file is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(super) struct DocumentError {
    /// Where, counted from one; None when the place is not known.
    pub(super) line: Option<usize>,
    /// What is wrong.
    pub(super) message: String,
}

impl DocumentError {
    fn new(error: &serde_yaml::Error) -> Self {
        Self { line: error.location().map(|place| place.line()), message: error.to_string() }
    }
}

/// What every Kubernetes object says about itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
}

/// Read all documents of a file. Empty documents and objects of other kinds are passed over; one that is wrong makes the
/// whole file wrong, because half a file is a state that nobody asked for.
pub(super) fn parse(content: &[u8]) -> Result<Documents, DocumentError> {
    let text = std::str::from_utf8(content).map_err(|error| {
        let good = content.get(..error.valid_up_to()).unwrap_or_default();
        let line = good.split(|byte| *byte == b'\n').count();
        DocumentError { line: Some(line), message: "the file is not UTF-8".to_owned() }
    })?;
    let mut found = Documents::default();
    // Twice over the text: a typed error knows its line only when it is read from the text itself.
    for (head, document) in Deserializer::from_str(text).zip(Deserializer::from_str(text)) {
        let head = Option::<Head>::deserialize(head).map_err(|error| DocumentError::new(&error))?;
        let Some(Head { api_version, kind }) = head else { continue };
        match (api_version.as_str(), kind.as_str()) {
            ("discovery.k8s.io/v1", "EndpointSlice") => {
                let slice = EndpointSlice::deserialize(document).map_err(|error| DocumentError::new(&error))?;
                found.slices.push(slice);
            }
            ("cereus.dev/v1alpha1", "ServerType") => {
                let resource =
                    cereus_crds::ServerType::deserialize(document).map_err(|error| DocumentError::new(&error))?;
                found.server_types.push(resource);
            }
            (_, "EndpointSlice" | "ServerType") => {
                return Err(DocumentError {
                    line: None,
                    message: format!("{kind} of version {api_version:?} is not known here"),
                });
            }
            _ => {}
        }
    }
    Ok(found)
}
