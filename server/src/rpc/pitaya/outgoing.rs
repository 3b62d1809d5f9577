//! Between the frames of a link and the messages of `protos.Pitaya`.

use std::error::Error as _;
use std::time::Duration;

use tonic::{Code, ConnectError, Status, TimeoutExpired};

use super::metadata;
use crate::rpc::Identity;
use crate::rpc::proto::{self, pitaya, refusal::Reason, response::Outcome};
use crate::wire::{Error, codes};

/// The call that a request becomes; its caller waits as long as `timeout`.
pub(super) fn request(request: &proto::Request, timeout: Duration, caller: &Identity) -> pitaya::Request {
    let route = text(&request.route);
    let kind = if request.kind() == proto::RequestKind::Notify {
        pitaya::MsgType::MsgNotify
    } else {
        pitaya::MsgType::MsgRequest
    };
    let session = request.session.as_ref().map(|session| pitaya::Session {
        id: session.id,
        uid: text(&session.uid),
        data: session.data.clone(),
    });
    let (call, frontend) = if request.kind() == proto::RequestKind::User {
        (pitaya::RpcType::User, String::new())
    } else {
        (pitaya::RpcType::Sys, caller.server_id.to_string())
    };
    pitaya::Request {
        r#type: call.into(),
        session,
        frontend_id: frontend,
        metadata: metadata::write(&route, timeout, caller),
        msg: Some(pitaya::Msg {
            id: request.message_id,
            route,
            data: request.body.clone(),
            reply: String::new(),
            r#type: kind.into(),
        }),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// How an answered call ended, as the link's callers expect it.
pub(super) fn outcome(answer: Result<pitaya::Response, Status>) -> Option<Outcome> {
    match answer {
        Ok(response) => match response.error {
            Some(error) => {
                Some(Outcome::Error(proto::Error { code: error.code, msg: error.msg, metadata: error.metadata }))
            }
            None if response.data.is_empty() => None,
            None => Some(Outcome::Body(response.data)),
        },
        // It never left this server.
        Err(status) if is_unsent(&status) => Some(Outcome::Refusal(proto::Refusal { reason: Reason::Full.into() })),
        Err(status) => Some(Outcome::Error((&failure(&status)).into())),
    }
}

/// Whether a call failed because there was no connection for it.
fn is_unsent(status: &Status) -> bool {
    is_caused_by::<ConnectError>(status)
}

fn is_caused_by<E: std::error::Error + 'static>(status: &Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<E>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// What a status of gRPC means to the one who asked. A peer's own errors travel inside of answers; a status is the
/// transport's, or that of a peer which could not answer.
pub(crate) fn failure(status: &Status) -> Error {
    let (code, message) = match status.code() {
        _ if is_unsent(status) => {
            (codes::NOT_EXECUTED, "the server could not be reached; the call was not executed".to_owned())
        }
        _ if status.code() == Code::DeadlineExceeded || is_caused_by::<TimeoutExpired>(status) => {
            (codes::DEADLINE, "the deadline passed before an answer".to_owned())
        }
        Code::Unimplemented => (codes::INTERNAL, "the server does not speak `protos.Pitaya`".to_owned()),
        // A status that the server itself sent has no source.
        _ if status.source().is_some() || status.code() == Code::Unavailable => (
            codes::LINK_LOST,
            "the connection to the server was lost after the call was sent: its outcome is unknown".to_owned(),
        ),
        Code::Unknown => (codes::UNKNOWN, status.message().to_owned()),
        _ => (codes::INTERNAL, status.message().to_owned()),
    };
    Error::new(code, message).caused_by(status.clone())
}
