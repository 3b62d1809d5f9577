//! Connections to servers that are called outside of any link: frontends that forwarded a message by a unary call.

use std::net::SocketAddr;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tonic::transport::{Channel, Endpoint};

use super::calls::endpoint;
use crate::rpc::Error;
use crate::rpc::config::MAX_BATCH;
use crate::rpc::connector::Tcp;
use crate::rpc::proto::pitaya::pitaya_client::PitayaClient;
use crate::topology::{Server, ServerId, Snapshot};

/// What calls a server. Cheap to clone: clones share the connection.
pub(crate) type Client = PitayaClient<Channel>;

/// One connection for each server that was called, made on first use and again after each loss.
#[derive(Debug, Default)]
pub(crate) struct Channels(Mutex<FxHashMap<ServerId, (SocketAddr, Client)>>);

impl Channels {
    /// The connection to `server`, which is one of `snapshot`. Connections to servers that are gone from it are closed on
    /// the way. Called within a runtime.
    ///
    /// # Errors
    /// When the address makes no URI.
    pub(crate) fn client(&self, server: &Server, snapshot: &Snapshot) -> Result<Client, Error> {
        let mut channels = self.0.lock();
        if let Some((address, client)) = channels.get(&server.id)
            && *address == server.address
        {
            return Ok(client.clone());
        }
        let endpoint: Endpoint = endpoint(server.address)?;
        let client = client_on(endpoint.connect_with_connector_lazy(Tcp));
        channels.retain(|id, _| snapshot.server(id).is_some());
        channels.insert(server.id.clone(), (server.address, client.clone()));
        Ok(client)
    }
}

/// A client over `channel` that takes messages as large as a link does.
pub(super) fn client_on(channel: Channel) -> Client {
    PitayaClient::new(channel).max_decoding_message_size(MAX_BATCH).max_encoding_message_size(usize::MAX)
}
