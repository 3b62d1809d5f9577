//! What is in PEM files.

use std::path::Path;

use rustls::{
    RootCertStore,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};

use super::{Cause, Error, provider};

pub(crate) const CERTIFICATE: &str = "a certificate";
pub(crate) const KEY: &str = "the key of a certificate";
pub(crate) const ROOTS: &str = "the certificates of an authority";

/// A certificate with what leads to its authority, the server's own first, and its key.
///
/// # Errors
/// When one of the two holds nothing of its kind, or they do not belong together.
pub(crate) fn key_pair(certificate: &Path, chain: &[u8], key: &Path, secret: &[u8]) -> Result<CertifiedKey, Error> {
    let chain = certificates(certificate, CERTIFICATE, chain)?;
    let secret = PrivateKeyDer::from_pem_slice(secret).map_err(|error| {
        let cause = match error {
            pem::Error::NoItemsFound => Cause::Nothing("private key", "PRIVATE KEY"),
            other => Cause::Pem(other),
        };
        Error::new(key, KEY, cause)
    })?;
    CertifiedKey::from_der(chain, secret, &provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => Error::new(key, KEY, Cause::OtherKey(certificate.to_owned())),
        rustls::Error::InvalidCertificate(_) => Error::new(certificate, CERTIFICATE, Cause::Unusable(error)),
        other => Error::new(key, KEY, Cause::Unusable(other)),
    })
}

/// The certificates of authorities: several while one is replaced by another.
///
/// # Errors
/// When there is none.
pub(crate) fn roots(path: &Path, text: &[u8]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, ROOTS, text)? {
        roots.add(certificate).map_err(|error| Error::new(path, ROOTS, Cause::Unusable(error)))?;
    }
    Ok(roots)
}

fn certificates(path: &Path, part: &'static str, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let found = found.map_err(|error| Error::new(path, part, Cause::Pem(error)))?;
    if found.is_empty() {
        return Err(Error::new(path, part, Cause::Nothing("certificate", "CERTIFICATE")));
    }
    Ok(found)
}
