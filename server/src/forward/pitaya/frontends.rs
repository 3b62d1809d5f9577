//! Calls to frontends that forwarded messages: what handlers do to sessions goes there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use tokio::time::timeout;

use crate::rpc::pitaya::{Channels, Client, failure, write_metadata};
use crate::rpc::proto::pitaya as protos;
use crate::rpc::{Certificates, Identity};
use crate::session::Frontend;
use crate::topology::Topology;
use crate::wire::{Error, codes};

/// The frontends of one worker's sessions, found in the topology by their server id.
pub(super) struct Frontends {
    identity: Arc<Identity>,
    topology: Topology,
    channels: Channels,
    versions: Arc<AtomicU64>,
    timeout: Duration,
}

/// A message without an answer that matters.
pub(super) enum Outgoing {
    Push(protos::Push),
    Kick(String),
}

impl Frontends {
    /// Frontends that `topology` knows; each call to one takes `timeout` at most, on a connection that is encrypted when
    /// there are certificates.
    pub(super) fn new(
        identity: Arc<Identity>,
        topology: Topology,
        certificates: Option<Arc<Certificates>>,
        versions: Arc<AtomicU64>,
        timeout: Duration,
    ) -> Arc<Self> {
        Arc::new(Self { identity, topology, channels: Channels::new(certificates), versions, timeout })
    }

    /// The version of what is known of a session from now on. Such frontends count no versions, so what arrives later,
    /// be it a message or an acknowledgement, counts as newer, whatever the session.
    pub(super) fn next_version(&self) -> u64 {
        self.versions.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Whether the topology knows the frontend.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.topology.current().server(id).is_some()
    }

    /// How handlers see the frontend.
    pub(super) fn address(&self, id: &Arc<str>) -> Frontend {
        let snapshot = self.topology.current();
        let server_type = snapshot.server(id).map_or_else(|| "".into(), |server| server.server_type.clone());
        Frontend { id: id.clone(), server_type }
    }

    fn client(&self, id: &str) -> Result<Client, Error> {
        let snapshot = self.topology.current();
        let server = snapshot
            .server(id)
            .ok_or_else(|| Error::new(codes::NOT_EXECUTED, "the session's frontend is not known").with("server", id))?;
        self.channels
            .client(server, &snapshot)
            .map_err(|error| Error::new(codes::INTERNAL, "the session's frontend cannot be called").caused_by(error))
    }

    /// Calls a user route of the frontend `id` with the argument `argument`.
    pub(super) async fn call(&self, id: &str, route: &str, argument: &impl prost::Message) -> Result<Bytes, Error> {
        let request = protos::Request {
            r#type: protos::RpcType::User.into(),
            msg: Some(protos::Msg {
                route: route.to_owned(),
                data: argument.encode_to_vec().into(),
                ..Default::default()
            }),
            metadata: write_metadata(route, self.timeout, &self.identity),
            ..Default::default()
        };
        let mut client = self.client(id)?;
        let response = timed(self.timeout, client.call(self.with_timeout(request))).await?;
        match response.error {
            Some(error) => Err(Error::from_parts(error.code, error.msg, error.metadata)),
            None => Ok(response.data),
        }
    }

    /// Gives the frontend `id` one message.
    pub(super) async fn send(&self, id: &str, message: Outgoing) -> Result<(), Error> {
        match message {
            Outgoing::Push(push) => {
                let mut client = self.client(id)?;
                let response = timed(self.timeout, client.push_to_user(self.with_timeout(push))).await?;
                response.error.map_or(Ok(()), |error| Err(Error::from_parts(error.code, error.msg, error.metadata)))
            }
            Outgoing::Kick(user_id) => {
                let answer = self.call(id, super::built_in::KICK, &protos::KickMsg { user_id }).await?;
                match protos::KickAnswer::decode(answer) {
                    Ok(answer) if answer.kicked => Ok(()),
                    _ => Err(Error::new(codes::UNKNOWN, "the frontend kicked nobody")),
                }
            }
        }
    }

    fn with_timeout<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        request.set_timeout(self.timeout);
        request
    }
}

async fn timed<T>(
    time: Duration,
    call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> Result<T, Error> {
    match timeout(time, call).await {
        Ok(answer) => answer.map(tonic::Response::into_inner).map_err(|status| failure(&status)),
        Err(_) => Err(Error::new(codes::RPC_TIMEOUT, "the session's frontend did not answer in time")),
    }
}
