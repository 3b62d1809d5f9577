//! Between frames and what handlers give and get.

use bytes::Bytes;

use crate::rpc::proto;
use crate::session::Representation;
use crate::wire::{Error, codes};

/// The result that a response frame carries.
pub(crate) fn result_of(outcome: Option<proto::response::Outcome>) -> Result<Bytes, Error> {
    use proto::response::Outcome;
    match outcome {
        Some(Outcome::Body(body)) => Ok(body),
        None => Ok(Bytes::new()),
        Some(Outcome::Error(error)) => Err(error_of(error)),
        Some(Outcome::Refusal(_) | Outcome::State(_)) => {
            Err(Error::new(codes::INTERNAL, "the server answered a request with something else than a result"))
        }
    }
}

/// The error that a frame carries; code and metadata cross unchanged.
pub(super) fn error_of(error: proto::Error) -> Error {
    error.metadata.into_iter().fold(Error::new(error.code, error.msg), |error, (key, value)| error.with(key, value))
}

/// The frame for an error.
pub(super) fn error_frame(error: &Error) -> proto::Error {
    proto::Error {
        code: error.code().to_owned(),
        msg: error.message().to_owned(),
        metadata: error.metadata().iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
    }
}

/// The response to call `id`.
pub(super) fn response(id: u64, result: Result<Bytes, Error>) -> proto::Frame {
    use proto::response::Outcome;
    let outcome = match result {
        Ok(body) if body.is_empty() => None,
        Ok(body) => Some(Outcome::Body(body)),
        Err(error) => Some(Outcome::Error(error_frame(&error))),
    };
    frame(proto::frame::Kind::Response(proto::Response { id, outcome }))
}

/// A session, as frames carry it.
pub(super) fn session_frame(session: Representation) -> proto::Session {
    proto::Session { id: session.id.get(), uid: session.uid.into_bytes(), data: session.data, version: session.version }
}

/// A frame of one kind.
pub(super) fn frame(kind: proto::frame::Kind) -> proto::Frame {
    proto::Frame { kind: Some(kind) }
}
