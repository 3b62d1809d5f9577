//! How clients' connections are encrypted.

use std::{path::Path, sync::Arc};

use rustls::{
    ServerConfig,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio_rustls::TlsAcceptor;

use super::{
    Error, Reloading,
    pem::{CERTIFICATE, KEY, key_pair},
    provider,
};

/// Takes TLS connections with the certificate that is in the file at the time. `protocols` are the names of what is
/// spoken inside, for clients that ask for one by name.
///
/// # Errors
/// When the files cannot be used.
pub(crate) fn acceptor(certificate: &Path, key: &Path, protocols: &[&[u8]]) -> Result<TlsAcceptor, Error> {
    let files = [(CERTIFICATE, certificate.to_owned()), (KEY, key.to_owned())];
    let paths = (certificate.to_owned(), key.to_owned());
    let latest = Reloading::start(files, move |[chain, secret]| key_pair(&paths.0, chain, &paths.1, secret))?;
    let config = ServerConfig::builder_with_provider(provider());
    let config = config.with_safe_default_protocol_versions().map_err(Error::Setup)?;
    let mut config = config.with_no_client_auth().with_cert_resolver(Arc::new(Latest(latest)));
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(Arc::new(config).into())
}

/// Whatever name is asked for, there is one certificate: the latest.
#[derive(Debug)]
struct Latest(Reloading<CertifiedKey>);

impl ResolvesServerCert for Latest {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.latest())
    }
}
