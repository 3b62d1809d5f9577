//! Reading certificates out of Secrets.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use rcgen::{KeyPair, PublicKeyData as _};
use x509_parser::{
    extensions::GeneralName,
    pem::Pem,
    prelude::{FromDer as _, X509Certificate},
};

use super::{Pair, Unreadable};

/// What is looked at of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parsed {
    /// From when it holds.
    pub(super) not_before: Timestamp,
    /// Until when it holds.
    pub(super) not_after: Timestamp,
    /// The names of its URIs.
    pub(super) uris: Vec<String>,
    public_key: Vec<u8>,
}

impl Parsed {
    /// The first certificate of a PEM text.
    pub(super) fn read(text: &str) -> Option<Self> {
        let pem = first(text)?;
        let (_, certificate) = X509Certificate::from_der(&pem.contents).ok()?;
        let names = certificate.subject_alternative_name().ok()?;
        let names = names.iter().flat_map(|extension| &extension.value.general_names);
        let uris = names.filter_map(|name| match name {
            GeneralName::URI(uri) => Some((*uri).to_owned()),
            _ => None,
        });
        Some(Self {
            not_before: Timestamp::from_second(certificate.validity().not_before.timestamp()).ok()?,
            not_after: Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()?,
            uris: uris.collect(),
            public_key: certificate.public_key().raw.to_vec(),
        })
    }

    /// Whether `key` (PEM) is its private key.
    pub(super) fn has_key(&self, key: &str) -> bool {
        KeyPair::from_pem(key).is_ok_and(|key| key.subject_public_key_info() == self.public_key)
    }

    /// When two thirds of its life are over.
    pub(super) fn two_thirds(&self) -> Timestamp {
        let life = self.not_after.duration_since(self.not_before);
        self.not_before.saturating_add(life / 3 * 2).unwrap_or(self.not_after)
    }
}

/// Whether `authority` signed `certificate`, both PEM.
pub(super) fn signed(certificate: &str, authority: &str) -> bool {
    let (Some(certificate), Some(authority)) = (first(certificate), first(authority)) else { return false };
    let (Ok((_, certificate)), Ok((_, authority))) =
        (X509Certificate::from_der(&certificate.contents), X509Certificate::from_der(&authority.contents))
    else {
        return false;
    };
    certificate.issuer() == authority.subject() && certificate.verify_signature(Some(authority.public_key())).is_ok()
}

/// Each certificate of a PEM text, as PEM.
pub(super) fn each(text: &str) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----\n";
    text.split_inclusive(END).filter(|part| part.ends_with(END)).map(str::to_owned).collect()
}

/// A certificate and its key, by these names.
pub(super) fn pair(
    secret: &Secret,
    certificate: &'static str,
    key: &'static str,
) -> Result<(Pair, Parsed), Unreadable> {
    let pair = Pair { certificate: text(secret, certificate)?, private_key: text(secret, key)? };
    let parsed = Parsed::read(&pair.certificate).ok_or(Unreadable::NoCertificate(certificate))?;
    if parsed.has_key(&pair.private_key) { Ok((pair, parsed)) } else { Err(Unreadable::WrongKey(key)) }
}

/// One text of a Secret.
pub(super) fn text(secret: &Secret, key: &'static str) -> Result<String, Unreadable> {
    let bytes = secret.data.as_ref().and_then(|data| data.get(key)).ok_or(Unreadable::Missing(key))?;
    String::from_utf8(bytes.0.clone()).map_err(|_| Unreadable::NoCertificate(key))
}

fn first(text: &str) -> Option<Pem> {
    Pem::iter_from_buffer(text.as_bytes()).next()?.ok().filter(|pem| pem.label == "CERTIFICATE")
}
