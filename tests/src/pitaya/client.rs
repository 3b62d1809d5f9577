//! A client of `protos.Pitaya`.

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::Context as _;
use tonic::{
    Status,
    client::Grpc,
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

use super::{BindMsg, Call, KickAnswer, KickMsg, Push, Response};

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// A connection to one server. Clones share it.
#[derive(Clone, Debug)]
pub struct PitayaClient(Channel);

impl PitayaClient {
    /// Connect to the server at `address`.
    pub async fn connect(address: SocketAddr) -> anyhow::Result<PitayaClient> {
        Ok(PitayaClient(Endpoint::from_shared(format!("http://{address}"))?.connect().await?))
    }

    /// Connect to the server `id`, as the folder `directory` shows it.
    pub async fn find(directory: &Path, id: &str) -> anyhow::Result<PitayaClient> {
        for entry in std::fs::read_dir(directory)? {
            let text = std::fs::read_to_string(entry?.path())?;
            let slice: serde_json::Value = serde_yaml::from_str(&text)?;
            let read = |path| slice.pointer(path).with_context(|| format!("a slice has nothing at {path}"));
            if slice.pointer("/endpoints/0/targetRef/uid").is_some_and(|uid| uid == id) {
                let address = read("/endpoints/0/addresses/0")?.as_str().context("an address is no text")?;
                let port = read("/ports/0/port")?;
                return PitayaClient::connect(format!("{address}:{port}").parse()?).await;
            }
        }
        anyhow::bail!("{} shows no server {id}", directory.display())
    }

    /// `Call`.
    pub async fn call(&self, call: Call) -> Result<Response, Status> {
        self.unary(PathAndQuery::from_static("/protos.Pitaya/Call"), call).await
    }

    /// `PushToUser`.
    pub async fn push_to_user(&self, push: Push) -> Result<Response, Status> {
        self.unary(PathAndQuery::from_static("/protos.Pitaya/PushToUser"), push).await
    }

    /// `SessionBindRemote`.
    pub async fn session_bind_remote(&self, bind: BindMsg) -> Result<Response, Status> {
        self.unary(PathAndQuery::from_static("/protos.Pitaya/SessionBindRemote"), bind).await
    }

    /// `KickUser`.
    pub async fn kick_user(&self, kick: KickMsg) -> Result<KickAnswer, Status> {
        self.unary(PathAndQuery::from_static("/protos.Pitaya/KickUser"), kick).await
    }

    async fn unary<A, R>(&self, path: PathAndQuery, argument: A) -> Result<R, Status>
    where
        A: prost::Message + Send + Sync + 'static,
        R: prost::Message + Default + Send + Sync + 'static,
    {
        let mut grpc = Grpc::new(self.0.clone());
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let mut request = tonic::Request::new(argument);
        request.set_timeout(PATIENCE);
        Ok(grpc.unary(request, path, ProstCodec::<A, R>::default()).await?.into_inner())
    }
}
