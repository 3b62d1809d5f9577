//! Who a certificate is for.

use std::fmt;

use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _};

const SCHEME: &str = "cereus://";

/// The servers of one type, as their certificates name them: `cereus://<namespace>/<server type>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::rpc) struct Name {
    pub(in crate::rpc) namespace: String,
    pub(in crate::rpc) server_type: String,
}

impl Name {
    /// The one name of this kind in a certificate; else what is there in its place.
    pub(super) fn of(certificate: &[u8]) -> Result<Self, String> {
        let (_, certificate) =
            X509Certificate::from_der(certificate).map_err(|error| format!("no certificate ({error})"))?;
        let names = certificate.subject_alternative_name().map_err(|error| format!("nobody ({error})"))?;
        let names = names.iter().flat_map(|names| &names.value.general_names);
        let mut uris = names.filter_map(|name| match name {
            GeneralName::URI(uri) if uri.starts_with(SCHEME) => Some(*uri),
            _ => None,
        });
        match (uris.next(), uris.next()) {
            (Some(uri), None) => Self::parse(uri).ok_or_else(|| uri.to_owned()),
            (Some(uri), Some(other)) => Err(format!("{uri} and {other}")),
            (None, _) => Err("nobody".to_owned()),
        }
    }

    fn parse(uri: &str) -> Option<Self> {
        let (namespace, server_type) = uri.strip_prefix(SCHEME)?.split_once('/')?;
        let plain = |part: &str| !part.is_empty() && !part.contains(['/', '?', '#']);
        let name = || Self { namespace: namespace.to_owned(), server_type: server_type.to_owned() };
        (plain(namespace) && plain(server_type)).then(name)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{SCHEME}{}/{}", self.namespace, self.server_type)
    }
}
