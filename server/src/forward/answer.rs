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
        Some(Outcome::Error(error)) => Err(error.into()),
        Some(Outcome::Refusal(_) | Outcome::State(_) | Outcome::Members(_)) => {
            Err(Error::new(codes::INTERNAL, "the server answered a request with something else than a result"))
        }
    }
}

/// The response to call `id`.
pub(super) fn response(id: u64, result: Result<Bytes, Error>) -> proto::Frame {
    let response = match result {
        Ok(body) if body.is_empty() => proto::Response::done(id),
        Ok(body) => proto::Response::body(id, body),
        Err(error) => proto::Response::error(id, &error),
    };
    response.into()
}

/// A session, as frames carry it.
pub(super) fn session_frame(session: Representation) -> proto::Session {
    proto::Session { id: session.id.get(), uid: session.uid.into_bytes(), data: session.data, version: session.version }
}
