//! The error that crosses every hop: a code, a message, and what else the client may know.

use std::any::Any;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use serde::{Deserialize, Serialize};

/// The codes that the framework itself answers with. Applications use codes of their own beside them.
pub mod codes {
    /// An application error without a code.
    pub const UNKNOWN: &str = "PIT-000";
    /// Bad request: the route, the argument, or the wrong kind of handler.
    pub const BAD_REQUEST: &str = "PIT-400";
    /// No such handler or route.
    pub const NOT_FOUND: &str = "PIT-404";
    /// A call between servers timed out at the caller.
    pub const RPC_TIMEOUT: &str = "PIT-408";
    /// The rate limit was passed.
    pub const RATE_LIMITED: &str = "PIT-429";
    /// The client closed the request.
    pub const CLIENT_CLOSED: &str = "PIT-499";
    /// Internal: routing failed, a handler panicked, or a hook failed without a code.
    pub const INTERNAL: &str = "PIT-500";
    /// The link was lost after the request was sent: the outcome is unknown.
    pub const LINK_LOST: &str = "PIT-502";
    /// Certainly not executed: full or refused.
    pub const NOT_EXECUTED: &str = "PIT-503";
    /// The deadline passed before an answer.
    pub const DEADLINE: &str = "PIT-504";
}

/// Any error that something else can be the cause of.
type Source = dyn std::error::Error + Send + Sync;

/// What a request is answered with when it fails.
///
/// Code, message and metadata reach the client as they are, whatever wrapped the error on the way. The source is for
/// the log of the server that made it and goes no further.
///
/// ```
/// use cereus::wire::Error;
/// let error = Error::new("ROOM-7", "the room is full").with("room", "lobby");
/// assert_eq!(error.code(), "ROOM-7");
/// ```
#[derive(Clone, Debug)]
pub struct Error {
    /// On the heap: a result that is no error is small then, and those are what is passed on for each message.
    details: Box<Details>,
}

/// All of an [`Error`], and its source as others see it.
///
/// Many wrappers are transparent: their source is not the error they hold but that one's source (`io::Error::other`, an
/// `Arc`, thiserror's `transparent`). Because the source of an [`Error`] is its own details, it is found in those too.
#[derive(Clone, Debug)]
struct Details {
    code: Cow<'static, str>,
    message: String,
    metadata: BTreeMap<String, String>,
    source: Option<Arc<Source>>,
}

impl Error {
    /// An error with a code of [`codes`] or of the application's own. An empty code stands for [`codes::UNKNOWN`].
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        let mut code = code.into();
        if code.is_empty() {
            code = Cow::Borrowed(codes::UNKNOWN);
        }
        Self { details: Box::new(Details { code, message: message.into(), metadata: BTreeMap::new(), source: None }) }
    }

    /// Adds a value that the client may read.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.details.metadata.insert(key.into(), value.into());
        self
    }

    /// Says what led to this error; it appears in the log only.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<Source>>) -> Self {
        self.details.source = Some(Arc::from(source.into()));
        self
    }

    /// What kind of failure it is, for programs.
    pub fn code(&self) -> &str {
        &self.details.code
    }

    /// What failed, for people.
    pub fn message(&self) -> &str {
        &self.details.message
    }

    /// What else the client may know.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.details.metadata
    }

    /// Makes an error of whatever user code returned: the [`Error`] inside, else one with [`codes::UNKNOWN`] and the text
    /// of the whole.
    ///
    /// As the conversion from `Box<dyn Error + Send + Sync>`, and it also finds an [`Error`] that was given to
    /// `anyhow::Error::context`, which hides it once it has become a boxed error.
    pub fn from_any<E: Into<Box<Source>> + 'static>(error: E) -> Self {
        Self::find(error).unwrap_or_else(Self::without_code)
    }

    /// The [`Error`] inside whatever user code returned, however it was wrapped.
    ///
    /// # Errors
    ///
    /// Gives the whole back when there is none.
    pub fn find<E: Into<Box<Source>> + 'static>(error: E) -> Result<Self, Box<Source>> {
        if let Some(error) = (&error as &dyn Any).downcast_ref::<anyhow::Error>()
            && let Some(found) = error.downcast_ref::<Self>()
        {
            return Ok(found.clone());
        }
        let error = match error.into().downcast::<Self>() {
            Ok(error) => return Ok(*error),
            Err(error) => error,
        };
        let mut next = error.source();
        while let Some(cause) = next {
            let details = cause.downcast_ref::<Self>().map(|found| &*found.details);
            if let Some(found) = details.or_else(|| cause.downcast_ref()).cloned() {
                return Ok(Self { details: Box::new(found) }.caused_by(error));
            }
            next = cause.source();
        }
        Err(error)
    }

    fn without_code(error: Box<Source>) -> Self {
        Self::new(codes::UNKNOWN, error.to_string()).caused_by(error)
    }

    /// The body of an error response with the JSON serializer: `code`, `msg`, and `metadata` unless it is empty.
    pub fn to_json(&self) -> Bytes {
        let body = Body {
            code: Cow::Borrowed(&self.details.code),
            msg: Cow::Borrowed(&self.details.message),
            metadata: Cow::Borrowed(&self.details.metadata),
        };
        // Strings and maps of strings always serialize; the fallback keeps the function total.
        serde_json::to_vec(&body).map_or_else(|_| Bytes::from_static(UNENCODABLE), Bytes::from)
    }

    /// Reads the body of an error response made with the JSON serializer.
    pub fn from_json(body: &[u8]) -> Result<Self, serde_json::Error> {
        let Body { code, msg, metadata } = serde_json::from_slice(body)?;
        Ok(Self::from_parts(code.into_owned(), msg.into_owned(), metadata.into_owned()))
    }

    /// The body of an error response with the protobuf serializer: `protos.Error`.
    pub fn to_protobuf(&self) -> Bytes {
        let message = ErrorMessage {
            code: self.details.code.clone().into_owned(),
            msg: self.details.message.clone(),
            metadata: self.details.metadata.clone(),
        };
        Bytes::from(message.encode_to_vec())
    }

    /// Reads the body of an error response made with the protobuf serializer.
    pub fn from_protobuf(body: &[u8]) -> Result<Self, prost::DecodeError> {
        let ErrorMessage { code, msg, metadata } = ErrorMessage::decode(body)?;
        Ok(Self::from_parts(code, msg, metadata))
    }

    /// An error that another server sent.
    pub fn from_parts(code: String, message: String, metadata: BTreeMap<String, String>) -> Self {
        let mut error = Self::new(code, message);
        error.details.metadata = metadata;
        error
    }
}

const UNENCODABLE: &[u8] = br#"{"code":"PIT-000","msg":"an error that could not be encoded"}"#;

/// The error as JSON; the order of the fields is part of the protocol.
#[derive(Serialize, Deserialize)]
struct Body<'a> {
    code: Cow<'a, str>,
    msg: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "is_empty")]
    metadata: Cow<'a, BTreeMap<String, String>>,
}

#[expect(clippy::ptr_arg, reason = "the field is a Cow")]
fn is_empty(metadata: &Cow<'_, BTreeMap<String, String>>) -> bool {
    metadata.is_empty()
}

/// `protos.Error`.
#[derive(Clone, PartialEq, prost::Message)]
struct ErrorMessage {
    #[prost(string, tag = "1")]
    code: String,
    #[prost(string, tag = "2")]
    msg: String,
    #[prost(btree_map = "string, string", tag = "3")]
    metadata: BTreeMap<String, String>,
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code(), self.message())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.details)
    }
}

impl fmt::Display for Details {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.code)?;
        self.metadata.iter().try_for_each(|(key, value)| write!(formatter, ", {key} {value}"))
    }
}

impl std::error::Error for Details {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// The same code, message and metadata; where it came from does not count.
impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        self.code() == other.code() && self.message() == other.message() && self.metadata() == other.metadata()
    }
}

impl Eq for Error {}

/// Finds the first [`Error`] in the chain of sources and keeps its code, message and metadata; an error without one
/// becomes [`codes::UNKNOWN`] with its text. The log gets the whole chain either way.
impl From<Box<Source>> for Error {
    fn from(error: Box<Source>) -> Self {
        Self::from_any(error)
    }
}
