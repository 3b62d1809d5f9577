//! The authority of a namespace, and how one follows another.

use std::time::SystemTime;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose};

use super::{
    CLOCK_SKEW, Pair, Unreadable, keys,
    parsed::{self, Parsed},
};

/// How long an authority lives.
const LIFE: SignedDuration = SignedDuration::from_hours(3 * 365 * 24);

/// How long a successor is trusted before it signs: all Secrets, and the files of all servers, follow within minutes.
const OVERLAP: SignedDuration = SignedDuration::from_hours(24);

/// The Secret of a namespace's authority, in the operator's own namespace.
pub(crate) fn secret_name(namespace: &str) -> String {
    format!("authority-{namespace}")
}

/// Who signs, who will sign, and who is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authority {
    signer: Pair,
    signer_parsed: Parsed,
    next: Option<(Pair, Parsed)>,
    /// Those that signed before and have not ended.
    former: Vec<(String, Parsed)>,
}

impl Authority {
    /// The authority that a Secret holds.
    pub(super) fn read(secret: &Secret) -> Result<Self, Unreadable> {
        let (signer, signer_parsed) = parsed::pair(secret, keys::CERTIFICATE, keys::PRIVATE_KEY)?;
        let has_next = secret.data.as_ref().is_some_and(|data| data.contains_key(keys::NEXT_CERTIFICATE));
        let next =
            has_next.then(|| parsed::pair(secret, keys::NEXT_CERTIFICATE, keys::NEXT_PRIVATE_KEY)).transpose()?;
        let mut former = Vec::new();
        for certificate in parsed::each(&parsed::text(secret, keys::TRUSTED)?) {
            let known = certificate == signer.certificate
                || next.as_ref().is_some_and(|(next, _)| certificate == next.certificate);
            if !known {
                let parsed = Parsed::read(&certificate).ok_or(Unreadable::NoCertificate(keys::TRUSTED))?;
                former.push((certificate, parsed));
            }
        }
        Ok(Self { signer, signer_parsed, next, former })
    }

    /// What it is to be now: as it is, or one step on.
    pub(super) fn at(now: Timestamp, namespace: &str, existing: Option<&Self>) -> Result<Self, rcgen::Error> {
        let Some(existing) = existing else {
            let (signer, signer_parsed) = make(now, namespace)?;
            return Ok(Self { signer, signer_parsed, next: None, former: Vec::new() });
        };
        let mut authority = existing.clone();
        authority.former.retain(|(_, parsed)| parsed.not_after > now);
        // One from a clock that ran ahead would sign what nobody takes yet.
        authority.next = authority.next.filter(|(_, parsed)| parsed.not_before <= now);
        if authority.next.is_none() && now >= authority.signer_parsed.two_thirds() {
            authority.next = Some(make(now, namespace)?);
        }
        let takes_over = now >= authority.takes_over_at();
        if let Some((signer, signer_parsed)) = authority.next.take_if(|_| takes_over) {
            let former = std::mem::replace(&mut authority.signer, signer);
            let former_parsed = std::mem::replace(&mut authority.signer_parsed, signer_parsed);
            if former_parsed.not_after > now {
                authority.former.push((former.certificate, former_parsed));
            }
        }
        Ok(authority)
    }

    /// When the successor begins to sign: after the overlap, but before the one that signs now ends.
    fn takes_over_at(&self) -> Timestamp {
        let Some((_, next)) = &self.next else { return Timestamp::MAX };
        let made = next.not_before.saturating_add(CLOCK_SKEW).unwrap_or(next.not_before);
        made.saturating_add(OVERLAP).unwrap_or(made).min(self.signer_parsed.not_after)
    }

    /// When something about it changes by itself.
    pub(super) fn changes_at(&self) -> Timestamp {
        let step = if self.next.is_some() { self.takes_over_at() } else { self.signer_parsed.two_thirds() };
        self.former.iter().map(|(_, parsed)| parsed.not_after).fold(step, Timestamp::min)
    }

    /// Who signs.
    pub(super) fn signer(&self) -> &Pair {
        &self.signer
    }

    /// Until when it signs.
    pub(super) fn not_after(&self) -> Timestamp {
        self.signer_parsed.not_after
    }

    /// All who are to be trusted, as PEM.
    pub(super) fn trusted(&self) -> String {
        let next = self.next.iter().map(|(next, _)| next.certificate.as_str());
        let former = self.former.iter().map(|(certificate, _)| certificate.as_str());
        std::iter::once(self.signer.certificate.as_str()).chain(next).chain(former).collect()
    }

    /// What its Secret holds.
    pub(crate) fn data(&self) -> std::collections::BTreeMap<String, ByteString> {
        let mut entries = vec![
            (keys::TRUSTED, self.trusted()),
            (keys::CERTIFICATE, self.signer.certificate.clone()),
            (keys::PRIVATE_KEY, self.signer.private_key.clone()),
        ];
        if let Some((next, _)) = &self.next {
            entries.push((keys::NEXT_CERTIFICATE, next.certificate.clone()));
            entries.push((keys::NEXT_PRIVATE_KEY, next.private_key.clone()));
        }
        entries.into_iter().map(|(key, text)| (key.to_owned(), ByteString(text.into_bytes()))).collect()
    }
}

/// A new authority that signs for itself.
fn make(now: Timestamp, namespace: &str) -> Result<(Pair, Parsed), rcgen::Error> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let mut parameters = CertificateParams::default();
    // The time of its making tells one authority of a namespace from the next where a person reads them.
    let name = format!("Cereus {namespace} {}", now.strftime("%Y-%m-%d"));
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    parameters.not_before = SystemTime::from(now.saturating_sub(CLOCK_SKEW).unwrap_or(now)).into();
    parameters.not_after = SystemTime::from(now.saturating_add(LIFE).unwrap_or(now)).into();
    let certificate = parameters.self_signed(&key)?;
    let pair = Pair { certificate: certificate.pem(), private_key: key.serialize_pem() };
    let parsed = Parsed::read(&pair.certificate).ok_or(rcgen::Error::CouldNotParseCertificate)?;
    Ok((pair, parsed))
}
