//! Certificates that exist as long as a test, in files as a cluster mounts them.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};

/// An authority that signs certificates.
#[derive(Debug)]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new one, which nobody believes yet.
    pub fn new() -> anyhow::Result<Authority> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Authority(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    /// Its own certificate, as PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a host name or a URI, and its key, as PEM.
    pub fn issue(&self, name: &str) -> anyhow::Result<(String, String)> {
        let mut params = CertificateParams::default();
        let name =
            if name.contains("://") { SanType::URI(name.try_into()?) } else { SanType::DnsName(name.try_into()?) };
        params.subject_alt_names.push(name);
        let key = KeyPair::generate()?;
        Ok((params.signed_by(&key, &self.0)?.pem(), key.serialize_pem()))
    }

    /// Put a certificate for `name` with its key into `folder`, and the certificates of those to `believe`, all at once.
    pub fn fill(&self, folder: &Path, name: &str, believe: &[&Authority]) -> anyhow::Result<()> {
        let (certificate, key) = self.issue(name)?;
        let believe: String = believe.iter().map(|authority| authority.pem()).collect();
        mount(folder, &[("tls.crt", &certificate), ("tls.key", &key), ("ca.crt", &believe)])
    }
}

/// Replace the files of `folder` as those of a mounted Secret are: each is a link into what `..data` is a link to, and
/// that one is replaced.
pub fn mount(folder: &Path, files: &[(&str, &str)]) -> anyhow::Result<()> {
    static VERSIONS: AtomicU32 = AtomicU32::new(0);
    let version = format!("..version-{}", VERSIONS.fetch_add(1, Ordering::Relaxed));
    fs::create_dir_all(folder.join(&version)).with_context(|| format!("{} cannot be made", folder.display()))?;
    for (name, text) in files {
        fs::write(folder.join(&version).join(name), text)?;
        let link = folder.join(name);
        if !link.is_symlink() {
            symlink(Path::new("..data").join(name), link)?;
        }
    }
    symlink(&version, folder.join("..data_tmp"))?;
    fs::rename(folder.join("..data_tmp"), folder.join("..data"))?;
    Ok(())
}
