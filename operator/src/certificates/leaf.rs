//! The certificate of a server type.

use std::time::SystemTime;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose, SanType, string::Ia5String,
};

use super::{
    Authority, CLOCK_SKEW, Pair, keys,
    parsed::{self, Parsed},
};

/// How long a certificate lives.
const LIFE: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The certificate that a Secret holds, and until when it is kept; none when it is to be replaced, whatever the cause:
/// it is missing, unreadable, another's, signed by another authority, from a clock that ran ahead, or two thirds of its life
/// are over.
pub(super) fn keep(
    now: Timestamp,
    identity: &str,
    authority: &Authority,
    secret: &Secret,
) -> Option<(Pair, Timestamp)> {
    let (pair, parsed) = parsed::pair(secret, keys::CERTIFICATE, keys::PRIVATE_KEY).ok()?;
    let right = parsed.uris == [identity] && parsed::signed(&pair.certificate, &authority.signer().certificate);
    let lives = parsed.not_before <= now && now < parsed.two_thirds();
    (right && lives).then(|| (pair, parsed.two_thirds()))
}

/// A new certificate, and until when it is kept.
pub(super) fn make(now: Timestamp, identity: &str, authority: &Authority) -> Result<(Pair, Timestamp), rcgen::Error> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let mut parameters = CertificateParams::default();
    let name = identity.rsplit('/').next().unwrap_or(identity);
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.subject_alt_names = vec![SanType::URI(Ia5String::try_from(identity)?)];
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // A server calls and is called with the same certificate.
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    parameters.use_authority_key_identifier_extension = true;
    parameters.not_before = SystemTime::from(now.saturating_sub(CLOCK_SKEW).unwrap_or(now)).into();
    let not_after = now.saturating_add(LIFE).unwrap_or(now).min(authority.not_after());
    parameters.not_after = SystemTime::from(not_after).into();
    let signer = authority.signer();
    let issuer = Issuer::from_ca_cert_pem(&signer.certificate, KeyPair::from_pem(&signer.private_key)?)?;
    let certificate = parameters.signed_by(&key, &issuer)?;
    let pair = Pair { certificate: certificate.pem(), private_key: key.serialize_pem() };
    let parsed = Parsed::read(&pair.certificate).ok_or(rcgen::Error::CouldNotParseCertificate)?;
    Ok((pair, parsed.two_thirds()))
}
