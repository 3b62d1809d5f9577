//! Connections to servers that take unary calls; those outside of any link, to frontends that forwarded a message by such
//! a call, are kept here.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use http::Uri;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tonic::transport::{Channel, Endpoint};

use crate::rpc::config::{CONNECT_TIMEOUT, CONNECTION_WINDOW, MAX_BATCH, STREAM_WINDOW};
use crate::rpc::connector::{Connector, Tcp, dial};
use crate::rpc::proto::pitaya::pitaya_client::PitayaClient;
use crate::rpc::{Certificates, Error};
use crate::topology::{Server, ServerId, Snapshot};

/// What calls a server. Cheap to clone: clones share the connection.
pub(crate) type Client = PitayaClient<Channel>;

/// One connection for each server that was called, made on first use and again after each loss.
#[derive(Debug)]
pub(crate) struct Channels {
    clients: Mutex<FxHashMap<ServerId, (SocketAddr, Client)>>,
    certificates: Option<Arc<Certificates>>,
}

impl Channels {
    /// Connections that are encrypted when there are certificates.
    pub(crate) fn new(certificates: Option<Arc<Certificates>>) -> Self {
        Self { clients: Mutex::default(), certificates }
    }

    /// The connection to `server`, which is one of `snapshot`. Connections to servers that are gone from it are closed on
    /// the way. Called within a runtime.
    ///
    /// # Errors
    /// When the address makes no URI.
    pub(crate) fn client(&self, server: &Server, snapshot: &Snapshot) -> Result<Client, Error> {
        let mut channels = self.clients.lock();
        if let Some((address, client)) = channels.get(&server.id)
            && *address == server.address
        {
            return Ok(client.clone());
        }
        let (address, server_type, certificates) =
            (server.address, server.server_type.clone(), self.certificates.clone());
        let tcp = Connector::new(Tcp).get();
        let connector = tower::service_fn(move |_: Uri| {
            let (connector, server_type, certificates) = (tcp.clone(), server_type.clone(), certificates.clone());
            async move {
                let connected = dial(connector, address, certificates.as_deref(), &server_type).await;
                connected.map(TokioIo::new).map_err(io::Error::from)
            }
        });
        let client = client_on(endpoint(server.address)?.connect_with_connector_lazy(connector));
        channels.retain(|id, _| snapshot.server(id).is_some());
        channels.insert(server.id.clone(), (server.address, client.clone()));
        Ok(client)
    }
}

/// How such servers are connected. Unlike on a link there are no pings: servers in Go allow one in five minutes and
/// close the connection of those who send more. What is sent and not acknowledged ends a connection all the same.
pub(super) fn endpoint(address: SocketAddr) -> Result<Endpoint, Error> {
    Ok(Endpoint::from_shared(format!("http://{address}"))
        .map_err(Error::Connect)?
        .connect_timeout(CONNECT_TIMEOUT)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW))
}

/// A client over `channel` that takes messages as large as a link does.
pub(super) fn client_on(channel: Channel) -> Client {
    PitayaClient::new(channel).max_decoding_message_size(MAX_BATCH).max_encoding_message_size(usize::MAX)
}
