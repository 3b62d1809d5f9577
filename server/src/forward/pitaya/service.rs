//! The service `protos.Pitaya` of one worker.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};
use tonic::{Request, Response, Status};

use super::built_in::ACK;
use super::unary_call::Admitted;
use super::{BuiltIn, Frontends, PitayaAgent, UnaryCall};
use crate::forward::Incoming;
use crate::forward::incoming::{IncomingParts, MAX_TIMEOUT, Origin, Work};
use crate::handler::execute;
use crate::request::{Context, Kind, Metadata};
use crate::rpc::pitaya::{read_metadata, timeout};
use crate::rpc::proto::pitaya::pitaya_server::Pitaya;
use crate::rpc::proto::pitaya::{self as protos, MsgType, RpcType};
use crate::rpc::{Certificates, Identity, proto};
use crate::session::{Pool, Representation, SessionId};
use crate::topology::Topology;
use crate::wire::{Error, Route, Text, codes};

/// What [`PitayaService`] is made of, for one worker.
pub(crate) struct PitayaParts {
    /// Who this server is.
    pub(crate) identity: Arc<Identity>,
    /// Runs messages in their lanes.
    pub(crate) incoming: Arc<Incoming>,
    /// The sessions that this server holds.
    pub(crate) pool: Arc<Pool>,
    /// Knows the frontends.
    pub(crate) topology: Topology,
    /// What connections to frontends are encrypted with, if they are.
    pub(crate) certificates: Option<Arc<Certificates>>,
    /// Counts for the whole process what is learnt of sessions at frontends that count no versions.
    pub(crate) versions: Arc<AtomicU64>,
    /// The time of a call that does not say its own, and of calls to frontends.
    pub(crate) request_timeout: Duration,
}

/// Answers unary calls on the connections of one worker.
pub(crate) struct PitayaService {
    incoming: Arc<Incoming>,
    frontends: Arc<Frontends>,
    built_in: BuiltIn,
    request_timeout: Duration,
    admitted: Arc<AtomicUsize>,
}

impl PitayaService {
    /// The service of one worker.
    pub(crate) fn new(parts: PitayaParts) -> Self {
        let PitayaParts { identity, incoming, pool, topology, certificates, versions, request_timeout } = parts;
        let frontends = Frontends::new(identity.clone(), topology.clone(), certificates, versions, request_timeout);
        let built_in = BuiltIn { pool, identity, topology };
        Self { incoming, frontends, built_in, request_timeout, admitted: Arc::default() }
    }

    fn parts(&self) -> &IncomingParts {
        &self.incoming.parts
    }

    async fn run(&self, request: protos::Request) -> Result<Bytes, Error> {
        let metadata = read_metadata(&request.metadata)
            .map_err(|error| Error::new(codes::BAD_REQUEST, error.to_string()).caused_by(error))?;
        let message = request.msg.ok_or_else(|| Error::new(codes::BAD_REQUEST, "the call carries no message"))?;
        let time = timeout(&metadata).unwrap_or(self.request_timeout).min(MAX_TIMEOUT);
        let deadline = Instant::now() + time;
        let admitted = Admitted::new(&self.admitted, self.parts().requests_per_link).ok_or_else(|| {
            Error::new(codes::NOT_EXECUTED, "too many calls are not answered yet; it was not executed")
        })?;
        let work = async {
            match RpcType::try_from(request.r#type) {
                Ok(RpcType::Sys) => {
                    let session = request.session.unwrap_or_default();
                    self.client_message(&request.frontend_id, session, message, metadata, deadline, admitted).await
                }
                Ok(RpcType::User) => self.user_call(message, metadata, deadline, admitted).await,
                Err(_) => Err(Error::new(codes::BAD_REQUEST, "the call is of no known type")),
            }
        };
        // The handler has a while more; its caller has not.
        let late = || Error::new(codes::DEADLINE, "the deadline passed before an answer");
        timeout_at(deadline, work).await.unwrap_or_else(|_| Err(late()))
    }

    async fn client_message(
        &self,
        frontend: &str,
        session: protos::Session,
        message: protos::Msg,
        metadata: Metadata,
        deadline: Instant,
        admitted: Admitted,
    ) -> Result<Bytes, Error> {
        let kind = match message.r#type() {
            MsgType::MsgRequest => proto::RequestKind::Request,
            MsgType::MsgNotify => proto::RequestKind::Notify,
            MsgType::MsgResponse | MsgType::MsgPush => {
                return Err(Error::new(codes::BAD_REQUEST, "a client sends requests and notifies"));
            }
        };
        let session = Representation {
            id: SessionId::try_from(session.id)
                .map_err(|error| Error::new(codes::BAD_REQUEST, error.to_string()).caused_by(error))?,
            uid: Text::from(session.uid),
            data: session.data,
            version: self.frontends.next_version(),
        };
        let (call, answer) = UnaryCall::new(metadata, admitted);
        let work = Work::Message {
            origin: Origin::Unary(call),
            kind,
            route: Text::from(message.route),
            body: message.data,
            message_id: message.id,
            deadline,
        };
        let key = (lane_of(frontend), session.id.get());
        let parts = self.parts();
        let spawner = parts.spawners.get(parts.worker).ok_or_else(interrupted)?;
        self.incoming.enqueue_unary(key, session, work, || {
            PitayaAgent::new(frontend.into(), self.frontends.clone(), spawner.clone())
        });
        let (result, flushed) = answer.await.map_err(|_| interrupted())?;
        if let Some(flushed) = flushed {
            flushed.await;
        }
        if kind == proto::RequestKind::Notify { result.map(|_| ACK) } else { result }
    }

    async fn user_call(
        &self,
        message: protos::Msg,
        metadata: Metadata,
        deadline: Instant,
        admitted: Admitted,
    ) -> Result<Bytes, Error> {
        let parts = self.parts();
        let (app, spawner) =
            parts.apps.get(parts.worker).zip(parts.spawners.get(parts.worker)).ok_or_else(interrupted)?;
        let route = Route::parse(&message.route).map_err(|error| Error::new(codes::BAD_REQUEST, error.to_string()))?;
        if app.is_frontend()
            && let Some(result) = self.built_in.call(route.service_method(), &message.data).await
        {
            return result;
        }
        let entry = parts.registry.find(Kind::Remote, &parts.server_type, route.service_method())?.clone();
        let context = Context::new(app, Kind::Remote, Text::from(message.route), message.id, deadline)
            .with_body(message.data)
            .with_metadata(metadata);
        // A caller that gives up drops this future.
        let _cancel = context.cancellation().clone().drop_guard();
        let handlers = parts.handlers.clone();
        let call = spawner.spawn(async move {
            let _admitted = admitted;
            execute(entry, context, &handlers, Instant::now()).await.result
        });
        call.await.unwrap_or_else(|_| Err(interrupted()))
    }
}

/// A frontend's half of the keys of its sessions' lanes. Frontends with links have their random incarnation there; these
/// only have a name, so it is the hash of that. The hash is the same on all workers, and 64 bits wide: a collision, also
/// with an incarnation, would only make two sessions with one number share a lane.
fn lane_of(frontend: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    frontend.hash(&mut hasher);
    hasher.finish()
}

fn interrupted() -> Error {
    Error::new(codes::INTERNAL, "the server stopped before the call was answered")
}

/// Callers of these three look at the status alone.
fn status(error: &Error) -> Status {
    Status::unknown(error.message())
}

fn acknowledged() -> Response<protos::Response> {
    Response::new(protos::Response { data: ACK, error: None })
}

#[tonic::async_trait]
impl Pitaya for PitayaService {
    async fn call(&self, request: Request<protos::Request>) -> Result<Response<protos::Response>, Status> {
        Ok(Response::new(match self.run(request.into_inner()).await {
            Ok(data) => protos::Response { data, error: None },
            Err(error) => {
                let (code, msg) = (error.code().to_owned(), error.message().to_owned());
                let error = protos::Error { code, msg, metadata: error.metadata().clone() };
                protos::Response { data: Bytes::new(), error: Some(error) }
            }
        }))
    }

    async fn push_to_user(&self, request: Request<protos::Push>) -> Result<Response<protos::Response>, Status> {
        self.built_in.push(request.get_ref()).map_err(|error| status(&error))?;
        Ok(acknowledged())
    }

    async fn session_bind_remote(
        &self,
        request: Request<protos::BindMsg>,
    ) -> Result<Response<protos::Response>, Status> {
        self.built_in.bound_elsewhere(request.get_ref());
        Ok(acknowledged())
    }

    async fn kick_user(&self, request: Request<protos::KickMsg>) -> Result<Response<protos::KickAnswer>, Status> {
        self.built_in.kick(&request.get_ref().user_id).map_err(|error| status(&error))?;
        Ok(Response::new(protos::KickAnswer { kicked: true }))
    }
}
