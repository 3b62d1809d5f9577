use bytes::Bytes;
use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use serde::{Serialize, de::DeserializeOwned};

use super::reply::{IntoReply, Reply};
use crate::{
    request::{Context, FromContext},
    wire::{Error, Serializer, SerializerError, codes},
};

/// A JSON value, whatever the serializer of the server is. An empty payload is refused.
///
/// As an argument `T` implements `serde::Deserialize`, as a result `serde::Serialize`; always `schemars::JsonSchema`, from
/// which the documentation of the game's routes is made. `serde_json::Value` is one for payloads of any shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Json<T>(pub T);

/// A protobuf message, whatever the serializer of the server is. An empty payload is the empty message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Proto<T>(pub T);

/// A value in the form that the server's serializer gives it, so that one handler serves JSON and protobuf clients.
///
/// `T` implements what both need: serde's traits, `prost::Message`, and `schemars::JsonSchema`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Payload<T>(pub T);

/// A value in the form that the server's serializer gives it, which may be one of the game's own. `T` is as in [`Json`].
///
/// Where the serializer is protobuf it is refused, since serde knows nothing of that: there it is [`Proto`] or [`Payload`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Encoded<T>(pub T);

impl<T: DeserializeOwned + JsonSchema + Send> FromContext for Json<T> {
    fn from_context(context: &mut Context) -> Result<Self, Error> {
        Serializer::Json.decode(context.body()).map(Self).map_err(refused)
    }

    fn argument_schema() -> Option<Schema> {
        Some(schema_to_read::<T>())
    }
}

impl<T: Serialize + JsonSchema> IntoReply for Json<T> {
    fn into_reply(self, _: &Serializer) -> Reply {
        Ok(Some(Serializer::Json.encode(&self.0)?))
    }

    fn reply_schema() -> Option<Schema> {
        Some(schema_to_write::<T>())
    }
}

impl<T: prost::Message + Default> FromContext for Proto<T> {
    fn from_context(context: &mut Context) -> Result<Self, Error> {
        // Decoded from shared bytes, so that `bytes` fields are slices of the message that came in.
        let decoded = T::decode(context.body().clone()).map(Self);
        decoded.map_err(|error| refused(SerializerError::Decode(Box::new(error))))
    }
}

impl<T: prost::Message> IntoReply for Proto<T> {
    fn into_reply(self, _: &Serializer) -> Reply {
        Ok(Some(Bytes::from(self.0.encode_to_vec())))
    }
}

impl<T: DeserializeOwned + prost::Message + Default + JsonSchema> FromContext for Payload<T> {
    fn from_context(context: &mut Context) -> Result<Self, Error> {
        context.app.serializer().decode_payload(context.body()).map(Self).map_err(refused)
    }

    fn argument_schema() -> Option<Schema> {
        Some(schema_to_read::<T>())
    }
}

impl<T: Serialize + prost::Message + JsonSchema> IntoReply for Payload<T> {
    fn into_reply(self, serializer: &Serializer) -> Reply {
        Ok(Some(serializer.encode_payload(&self.0)?))
    }

    fn reply_schema() -> Option<Schema> {
        Some(schema_to_write::<T>())
    }
}

impl<T: DeserializeOwned + JsonSchema + Send> FromContext for Encoded<T> {
    fn from_context(context: &mut Context) -> Result<Self, Error> {
        context.app.serializer().decode(context.body()).map(Self).map_err(refused)
    }

    fn argument_schema() -> Option<Schema> {
        Some(schema_to_read::<T>())
    }
}

impl<T: Serialize + JsonSchema> IntoReply for Encoded<T> {
    fn into_reply(self, serializer: &Serializer) -> Reply {
        Ok(Some(serializer.encode(&self.0)?))
    }

    fn reply_schema() -> Option<Schema> {
        Some(schema_to_write::<T>())
    }
}

/// The answer to a payload that is no argument of the handler.
fn refused(error: SerializerError) -> Error {
    let code = match error {
        SerializerError::Decode(_) | SerializerError::Empty => codes::BAD_REQUEST,
        _ => codes::INTERNAL,
    };
    // The client is told the cause as well: it is about what the client sent.
    let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
    Error::new(code, format!("the argument was not understood: {cause}")).caused_by(error)
}

fn schema_to_read<T: JsonSchema>() -> Schema {
    SchemaSettings::default().for_deserialize().into_generator().into_root_schema_for::<T>()
}

fn schema_to_write<T: JsonSchema>() -> Schema {
    SchemaSettings::default().for_serialize().into_generator().into_root_schema_for::<T>()
}
