//! The cluster's certificates: an authority for each namespace, and a certificate for each server type in it.
//!
//! A cluster of game servers is a namespace. Its authority is kept in the operator's own namespace, where game servers
//! cannot read it; each server type gets a certificate whose only name is `cereus://<namespace>/<server type>`, and the
//! list of authorities to trust.
//!
//! Everything here follows from the time and from what exists; only keys are new. Nothing is written here.
//!
//! | what | lives | is replaced |
//! |---|---|---|
//! | certificate of a server type | 30 days | after 20 days, and when another authority signs |
//! | authority | 3 years | a successor is made after 2 years, is trusted everywhere for a day, and then signs; the old one stays trusted until it ends |

mod authority;
mod leaf;
mod parsed;
#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;

pub(crate) use self::authority::{Authority, secret_name};

/// The names of what is in a Secret.
pub(crate) mod keys {
    /// The authorities to trust.
    pub(crate) const TRUSTED: &str = "ca.crt";
    /// The certificate.
    pub(crate) const CERTIFICATE: &str = "tls.crt";
    /// Its private key.
    pub(crate) const PRIVATE_KEY: &str = "tls.key";
    /// The authority that will sign next.
    pub(crate) const NEXT_CERTIFICATE: &str = "next.crt";
    /// Its private key.
    pub(crate) const NEXT_PRIVATE_KEY: &str = "next.key";
}

/// For clocks of servers that are behind the operator's.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// A certificate and its key, as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    /// The certificate.
    pub(crate) certificate: String,
    /// The key.
    pub(crate) private_key: String,
}

/// What a server type is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Issued {
    /// The authority as it is to be.
    pub(crate) authority: Authority,
    /// Whether that is not what exists, and must be written before anything that it signed.
    pub(crate) authority_changed: bool,
    /// The authorities that servers are to trust, as PEM.
    pub(crate) trusted: String,
    /// The certificate of the servers.
    pub(crate) leaf: Pair,
    /// When the next of all this is to be looked at again.
    pub(crate) renew_at: Timestamp,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    /// Somebody wrote into the Secret of the authority.
    #[error(
        "the authority in Secret {secret} cannot be read; delete that Secret to have another one made, which servers \
         trust once they have all been given new certificates"
    )]
    Authority {
        /// Its name.
        secret: String,
        /// What is wrong.
        #[source]
        source: Unreadable,
    },
    /// Making a certificate failed.
    #[error("a certificate cannot be made")]
    Make(#[from] rcgen::Error),
}

/// What is wrong with a certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// It is not there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// It is no text, or no certificate.
    #[error("{0} is not PEM of a certificate")]
    NoCertificate(&'static str),
    /// The key is no key, or another certificate's.
    #[error("{0} is not the key of the certificate")]
    WrongKey(&'static str),
}

/// The certificates of a server type, kept as they are or made anew.
///
/// # Errors
///
/// When the authority that exists cannot be read: it is not replaced, because links would break.
pub(crate) fn issue(
    now: Timestamp,
    namespace: &str,
    server_type: &str,
    authority: Option<&Secret>,
    existing: Option<&Secret>,
) -> Result<Issued, CertificateError> {
    let read = authority.map(Authority::read).transpose();
    let read = read.map_err(|source| CertificateError::Authority { secret: secret_name(namespace), source })?;
    let next = Authority::at(now, namespace, read.as_ref())?;
    let authority_changed = read.as_ref() != Some(&next);
    let identity = format!("cereus://{namespace}/{server_type}");
    let kept = existing.and_then(|secret| leaf::keep(now, &identity, &next, secret));
    let (leaf, leaf_until) = match kept {
        Some(kept) => kept,
        None => leaf::make(now, &identity, &next)?,
    };
    let renew_at = leaf_until.min(next.changes_at());
    Ok(Issued { trusted: next.trusted(), authority: next, authority_changed, leaf, renew_at })
}
