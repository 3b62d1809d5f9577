//! The far end of a client that speaks TLS: what connects here is encrypted on the way to a server, as by a program in
//! front of the client.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context as _;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsConnector;

use crate::certificates::Authority;

/// A listener on loopback whose connections go on encrypted. It ends, with them, when this is dropped.
#[derive(Debug)]
pub struct Tunnel {
    address: SocketAddr,
    _task: JoinSet<()>,
}

impl Tunnel {
    /// To the server at `target`, which must prove with a certificate of `authority` that it is `name`. `before` is sent
    /// before TLS begins, such as a PROXY header.
    pub async fn start(target: SocketAddr, name: &str, authority: &Authority, before: &str) -> anyhow::Result<Tunnel> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes())?)?;
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth();
        let (connector, name) = (TlsConnector::from(Arc::new(config)), ServerName::try_from(name.to_owned())?);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let before = before.to_owned();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                connections.spawn(carry(near, target, name.clone(), connector.clone(), before.clone()));
            }
        });
        Ok(Tunnel { address, _task: task })
    }

    /// Where it begins.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// One connection. What fails ends it, as the client then sees.
async fn carry(
    mut near: TcpStream,
    target: SocketAddr,
    name: ServerName<'static>,
    connector: TlsConnector,
    before: String,
) -> anyhow::Result<()> {
    let mut far = TcpStream::connect(target).await.context("the server is not there")?;
    far.set_nodelay(true)?;
    far.write_all(before.as_bytes()).await?;
    let mut far = connector.connect(name, far).await?;
    copy_bidirectional(&mut near, &mut far).await?;
    Ok(())
}
