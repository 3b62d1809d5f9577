//! Links that are encrypted, between servers that prove who they are.
//!
//! Both ends show a certificate that an authority of the cluster signed. It says `cereus://<namespace>/<server type>`:
//! the namespace must be this server's own, the type what the topology promised of a server that is called, and what a
//! caller then says of itself. Certificates and authorities are read again when their files change; connections that
//! stand stay. Nothing is resumed, so that each connection is judged by what counts when it is made.

mod name;
mod stream;
mod verifier;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, ServerConfig,
    client::Resumption,
    pki_types::{CertificateDer, ServerName},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::TLS13,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use self::verifier::Authorities;
pub(super) use self::{
    name::Name,
    stream::{Certified, Secured},
};
use super::Error;
use crate::tls::{self, CERTIFICATE, Cause, KEY, ROOTS, Reloading};

/// What is spoken inside.
const PROTOCOL: &[u8] = b"h2";

/// This server's certificate for links, and the authorities it believes, as the files are now.
#[derive(Debug)]
pub(crate) struct Certificates {
    latest: Reloading<Material>,
}

/// What one state of the files gives.
struct Material {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    namespace: String,
}

impl std::fmt::Debug for Material {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Material").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl Certificates {
    /// Those in `folder`: `ca.crt`, `tls.crt` and `tls.key`. The certificate must be for `server_type` and, when it is
    /// given, `namespace`. To be called within the runtime that follows changes of the files.
    ///
    /// # Errors
    /// When a file cannot be used; it is named.
    pub(crate) fn load(folder: &Path, namespace: Option<&str>, server_type: &str) -> Result<Self, tls::Error> {
        let paths = ["ca.crt", "tls.crt", "tls.key"].map(|name| folder.join(name));
        let [authorities, certificate, key] = paths.clone();
        let files = [(ROOTS, authorities), (CERTIFICATE, certificate), (KEY, key)];
        let (namespace, server_type) = (namespace.map(str::to_owned), server_type.to_owned());
        let make = move |texts: &[Vec<u8>; 3]| material(&paths, texts, namespace.as_deref(), &server_type);
        Ok(Self { latest: Reloading::start(files, make)? })
    }

    /// Encrypts a connection of a peer: the connection, and who the peer is.
    pub(super) async fn accept<T>(&self, io: T) -> Result<(server::TlsStream<T>, Name), Error>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let material = self.latest.latest();
        let stream = material.acceptor.accept(io).await.map_err(Error::Handshake)?;
        let name = material.judge(stream.get_ref().1.peer_certificates())?;
        Ok((stream, name))
    }

    /// Encrypts a connection to a server that is expected to be of the type `server_type`.
    pub(super) async fn connect<T>(&self, io: T, server_type: &str) -> Result<client::TlsStream<T>, Error>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let material = self.latest.latest();
        // No name is asked for: who is reached is judged by the certificate alone.
        let nobody = ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
        let stream = material.connector.connect(nobody, io).await.map_err(Error::Handshake)?;
        let name = material.judge(stream.get_ref().1.peer_certificates())?;
        if name.server_type != server_type {
            let expected = Name { namespace: name.namespace.clone(), server_type: server_type.to_owned() };
            return Err(Error::WrongName { expected: expected.to_string(), found: name.to_string() });
        }
        Ok(stream)
    }
}

impl Material {
    /// Who the peer is, if it is of this server's own namespace.
    fn judge(&self, certificates: Option<&[CertificateDer<'_>]>) -> Result<Name, Error> {
        let expected = || format!("a server of namespace {}", self.namespace);
        let wrong = |found| Error::WrongName { expected: expected(), found };
        let certificate = certificates.and_then(<[_]>::first).ok_or_else(|| wrong("no certificate".to_owned()))?;
        let name = Name::of(certificate).map_err(wrong)?;
        if name.namespace == self.namespace { Ok(name) } else { Err(wrong(name.to_string())) }
    }
}

fn material(
    [authorities, certificate, key]: &[PathBuf; 3],
    [roots, chain, secret]: &[Vec<u8>; 3],
    namespace: Option<&str>,
    server_type: &str,
) -> Result<Material, tls::Error> {
    let roots = Arc::new(tls::roots(authorities, roots)?);
    let pair = tls::key_pair(certificate, chain, key, secret)?;
    let name = pair.end_entity_cert().map_err(|error| error.to_string()).and_then(|own| Name::of(own));
    let own = match name {
        Ok(name) if name.server_type == server_type && namespace.is_none_or(|own| own == name.namespace) => name,
        found => {
            let found = found.map_or_else(|nothing| nothing, |name| name.to_string());
            let namespace = namespace.unwrap_or("NAMESPACE").to_owned();
            let expected = Name { namespace, server_type: server_type.to_owned() }.to_string();
            return Err(tls::Error::new(certificate, CERTIFICATE, Cause::Name { expected, found }));
        }
    };
    let pair = Arc::new(rustls::sign::SingleCertAndKey::from(pair));

    let callers = WebPkiClientVerifier::builder_with_provider(roots.clone(), tls::provider()).build();
    let callers = callers.map_err(|error| tls::Error::Setup(rustls::Error::General(error.to_string())))?;
    let config = ServerConfig::builder_with_provider(tls::provider()).with_protocol_versions(&[&TLS13]);
    let config = config.map_err(tls::Error::Setup)?;
    let mut accepting = config.with_client_cert_verifier(callers).with_cert_resolver(pair.clone());
    accepting.alpn_protocols = vec![PROTOCOL.to_vec()];
    accepting.session_storage = Arc::new(NoServerSessionStorage {});
    accepting.send_tls13_tickets = 0;

    let config = ClientConfig::builder_with_provider(tls::provider()).with_protocol_versions(&[&TLS13]);
    let config = config.map_err(tls::Error::Setup)?;
    let called = Arc::new(Authorities::new(roots, tls::provider()));
    let mut connecting = config.dangerous().with_custom_certificate_verifier(called).with_client_cert_resolver(pair);
    connecting.alpn_protocols = vec![PROTOCOL.to_vec()];
    connecting.resumption = Resumption::disabled();
    connecting.enable_sni = false;

    Ok(Material {
        acceptor: Arc::new(accepting).into(),
        connector: Arc::new(connecting).into(),
        namespace: own.namespace,
    })
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::other(error)
    }
}
