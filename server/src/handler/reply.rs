use bytes::Bytes;
use schemars::Schema;

use crate::wire::{BoxError, Error, Serializer, Text, codes};

/// What came of a handler: the bytes of the answer, `None` when it returns nothing, or an error.
pub type Reply = Result<Option<Bytes>, Error>;

/// What a handler may return.
///
/// Bytes and text go to the caller as they are; [`Json`](super::Json), [`Proto`](super::Proto),
/// [`Payload`](super::Payload) and [`Encoded`](super::Encoded) are encoded. `()` is for handlers that nobody expects an answer of: a client's request for
/// one, like an `Option` that is `None`, is answered with the error `reply must not be null`.
///
/// The error of a `Result` may be of any type. If it is, or anywhere wraps, a [`cereus::Error`](Error), then the caller
/// gets that one's code, text and metadata; else it gets code `PIT-000` and the error's text.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the result of a handler",
    label = "this does not become an answer",
    note = "a handler returns `Json<T>`, `Proto<T>`, `Payload<T>`, `Encoded<T>`, `Bytes`, `Vec<u8>`, `String`, `()`, or an `Option` or \
            `Result` of one of these",
    note = "to send `{Self}` as JSON, return `Json<{Self}>`"
)]
pub trait IntoReply {
    /// The answer, in the form that the server's `serializer` gives it.
    ///
    /// # Errors
    /// The handler failed, or its value cannot be encoded.
    fn into_reply(self, serializer: &Serializer) -> Reply;

    /// The JSON Schema of the answer, if it has one.
    fn reply_schema() -> Option<Schema>
    where
        Self: Sized,
    {
        None
    }
}

impl IntoReply for () {
    fn into_reply(self, _: &Serializer) -> Reply {
        Ok(None)
    }
}

/// Values that are sent as they are.
macro_rules! raw_reply {
    ($($raw:ty: $bytes:expr),* $(,)?) => {
        $(impl IntoReply for $raw {
            fn into_reply(self, _: &Serializer) -> Reply {
                let bytes: fn(Self) -> Bytes = $bytes;
                Ok(Some(bytes(self)))
            }
        })*
    };
}

raw_reply! {
    Bytes: |bytes| bytes,
    Vec<u8>: Bytes::from,
    String: Bytes::from,
    Text: Text::into_bytes,
    &'static str: |text| Bytes::from_static(text.as_bytes()),
}

impl<R: IntoReply> IntoReply for Option<R> {
    fn into_reply(self, serializer: &Serializer) -> Reply {
        self.ok_or_else(null).and_then(|reply| reply.into_reply(serializer))
    }

    fn reply_schema() -> Option<Schema> {
        R::reply_schema()
    }
}

impl<R: IntoReply, E: Into<BoxError> + 'static> IntoReply for Result<R, E> {
    fn into_reply(self, serializer: &Serializer) -> Reply {
        self.map_err(Error::from_any).and_then(|reply| reply.into_reply(serializer))
    }

    fn reply_schema() -> Option<Schema> {
        R::reply_schema()
    }
}

/// The answer to a request whose handler returned nothing.
pub(super) fn null() -> Error {
    Error::new(codes::UNKNOWN, "reply must not be null")
}
