//! Serializers: how payloads and errors become bytes. One per server, the same behind one frontend type.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::{Error, codes};

/// An error of any type, such as game code may give.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A serializer of the application's own, given to [`Application::serializer`](crate::Application::serializer).
///
/// Values pass through [`serde_json::Value`], the common shape of what handlers take and return.
pub trait CustomSerializer: Send + Sync + 'static {
    /// The name that clients get in the handshake, and by which servers know that they understand each other.
    fn name(&self) -> &str;

    /// Makes bytes of a value.
    fn encode(&self, value: &Value) -> Result<Bytes, BoxError>;

    /// Makes a value of bytes.
    fn decode(&self, payload: &[u8]) -> Result<Value, BoxError>;
}

/// How a server's payloads and errors become bytes.
#[derive(Clone, Default)]
pub enum Serializer {
    /// JSON, through serde.
    #[default]
    Json,
    /// Protocol buffers, through prost.
    Protobuf,
    /// The application's own.
    Custom(Arc<dyn CustomSerializer>),
}

/// Why a payload was not made or not understood.
#[derive(Debug, thiserror::Error)]
pub enum SerializerError {
    /// The value has no form in this serializer.
    #[error("the reply cannot be serialized")]
    Encode(#[source] BoxError),
    /// The payload is not what it should be.
    #[error("the payload is not valid")]
    Decode(#[source] BoxError),
    /// JSON needs at least one byte.
    #[error("the payload is empty")]
    Empty,
    /// The server speaks protobuf and the value is no protobuf message.
    #[error("the type is not a protobuf message")]
    NotProtobuf,
}

/// What a client is told: a payload that is not understood is its own mistake, so it learns what is wrong with it.
impl From<SerializerError> for Error {
    fn from(error: SerializerError) -> Self {
        let message = error.to_string();
        match error {
            SerializerError::Decode(cause) => Self::new(codes::BAD_REQUEST, format!("{message}: {cause}")),
            SerializerError::Empty => Self::new(codes::BAD_REQUEST, message),
            SerializerError::Encode(cause) => Self::new(codes::UNKNOWN, message).caused_by(cause),
            SerializerError::NotProtobuf => Self::new(codes::UNKNOWN, message),
        }
    }
}

impl Serializer {
    /// The built-in serializer of this name, as configurations and handshakes give it.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "json" => Some(Self::Json),
            "protobuf" => Some(Self::Protobuf),
            _ => None,
        }
    }

    /// The name that clients get in the handshake and servers compare in theirs.
    pub fn name(&self) -> &str {
        match self {
            Self::Json => "json",
            Self::Protobuf => "protobuf",
            Self::Custom(custom) => custom.name(),
        }
    }

    /// The body of an error response. Never fails: a custom serializer that cannot write an error gets its JSON.
    pub fn encode_error(&self, error: &Error) -> Bytes {
        match self {
            Self::Json => error.to_json(),
            Self::Protobuf => error.to_protobuf(),
            Self::Custom(custom) => {
                let json = error.to_json();
                let encoded = serde_json::from_slice(&json).ok().and_then(|value| custom.encode(&value).ok());
                encoded.unwrap_or(json)
            }
        }
    }

    /// Reads the body of an error response.
    pub fn decode_error(&self, body: &[u8]) -> Result<Error, SerializerError> {
        match self {
            Self::Json => Error::from_json(body).map_err(decoding),
            Self::Protobuf => Error::from_protobuf(body).map_err(decoding),
            Self::Custom(custom) => {
                let json = custom.decode(body).map_err(SerializerError::Decode)?.to_string();
                Error::from_json(json.as_bytes()).map_err(decoding)
            }
        }
    }

    /// Makes a payload of a value that serde knows.
    ///
    /// # Errors
    ///
    /// [`SerializerError::NotProtobuf`] with the protobuf serializer, which needs [`Serializer::encode_payload`].
    pub fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Bytes, SerializerError> {
        match self {
            Self::Json => serde_json::to_vec(value).map(Bytes::from).map_err(encoding),
            Self::Protobuf => Err(SerializerError::NotProtobuf),
            Self::Custom(custom) => {
                let value = serde_json::to_value(value).map_err(encoding)?;
                custom.encode(&value).map_err(SerializerError::Encode)
            }
        }
    }

    /// Makes a value that serde knows of a payload.
    ///
    /// # Errors
    ///
    /// [`SerializerError::NotProtobuf`] with the protobuf serializer, which needs [`Serializer::decode_payload`].
    pub fn decode<T: DeserializeOwned>(&self, payload: &[u8]) -> Result<T, SerializerError> {
        match self {
            Self::Json if payload.is_empty() => Err(SerializerError::Empty),
            Self::Json => serde_json::from_slice(payload).map_err(decoding),
            Self::Protobuf => Err(SerializerError::NotProtobuf),
            Self::Custom(custom) => {
                let value = custom.decode(payload).map_err(SerializerError::Decode)?;
                serde_json::from_value(value).map_err(decoding)
            }
        }
    }

    /// Makes a payload of a value that both serde and prost know, in whichever form this server speaks.
    pub fn encode_payload<T: Serialize + prost::Message>(&self, value: &T) -> Result<Bytes, SerializerError> {
        match self {
            Self::Protobuf => Ok(Bytes::from(value.encode_to_vec())),
            Self::Json | Self::Custom(_) => self.encode(value),
        }
    }

    /// Makes a value that both serde and prost know of a payload. An empty payload is the empty protobuf message.
    pub fn decode_payload<T>(&self, payload: &[u8]) -> Result<T, SerializerError>
    where
        T: DeserializeOwned + prost::Message + Default,
    {
        match self {
            Self::Protobuf => T::decode(payload).map_err(decoding),
            Self::Json | Self::Custom(_) => self.decode(payload),
        }
    }
}

fn encoding(error: impl std::error::Error + Send + Sync + 'static) -> SerializerError {
    SerializerError::Encode(Box::new(error))
}

fn decoding(error: impl std::error::Error + Send + Sync + 'static) -> SerializerError {
    SerializerError::Decode(Box::new(error))
}

impl fmt::Debug for Serializer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Serializer").field(&self.name()).finish()
    }
}

/// The same name is the same serializer.
impl PartialEq for Serializer {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Serializer {}
