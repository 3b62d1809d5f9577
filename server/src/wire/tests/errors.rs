//! Errors through wrapping and encoding, and serializers.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::*;

type Boxed = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
#[error("while doing {0}")]
struct Wrapped(&'static str, #[source] Boxed);

fn full() -> Error {
    Error::new("ROOM-7", "full").with("room", "lobby").with("limit", "4")
}

/// What caused it; its own details come first, so that they are found through transparent wrappers.
fn cause(error: &Error) -> &(dyn std::error::Error + 'static) {
    std::error::Error::source(error).unwrap().source().unwrap()
}

#[test]
fn json_has_its_keys_in_order_and_no_empty_metadata() {
    assert_eq!(full().to_json(), r#"{"code":"ROOM-7","msg":"full","metadata":{"limit":"4","room":"lobby"}}"#);
    assert_eq!(Error::new("", "").to_json(), r#"{"code":"PIT-000","msg":""}"#);
    assert_eq!(Error::new("a\"", "é\n").to_json(), r#"{"code":"a\"","msg":"é\n"}"#);
}

#[test]
fn the_source_is_for_the_log_only() {
    let error = full().caused_by(std::io::Error::other("disk"));
    assert_eq!(error, full());
    assert_eq!(error.to_json(), full().to_json());
    assert_eq!(cause(&error).to_string(), "disk");
    assert_eq!(error.to_string(), "ROOM-7: full");
}

#[test]
fn an_application_error_survives_wrapping() {
    let once: Boxed = Box::new(Wrapped("this", Box::new(full())));
    let twice: Boxed = Box::new(Wrapped("that", once));
    let found = Error::from(twice);
    assert_eq!(found, full());
    assert_eq!(cause(&found).to_string(), "while doing that");

    let boxed: Boxed = Box::new(full());
    assert_eq!(Error::from(boxed), full());
}

#[test]
fn an_application_error_survives_transparent_wrappers() {
    #[derive(Debug, thiserror::Error)]
    #[error(transparent)]
    struct Transparent(#[from] Error);

    assert_eq!(Error::from_any(Transparent(full())), full());
    assert_eq!(Error::from_any(std::io::Error::other(full())), full());
    assert_eq!(Error::from_any(std::sync::Arc::new(full())), full());
}

#[test]
fn an_error_without_a_code_is_unknown() {
    let error = Error::from(Boxed::from("no luck"));
    assert_eq!((error.code(), error.message()), ("PIT-000", "no luck"));
    let error = Error::from_any(std::io::Error::other("disk"));
    assert_eq!((error.code(), error.message()), ("PIT-000", "disk"));
    assert!(cause(&error).is::<std::io::Error>());
}

#[test]
fn an_application_error_survives_anyhow() {
    assert_eq!(Error::from_any(full()), full());
    assert_eq!(Error::from_any(anyhow::Error::from(full())), full());
    assert_eq!(Error::from_any(anyhow::Error::from(full()).context("one").context("two")), full());
    assert_eq!(Error::from_any(anyhow::anyhow!("plain")).message(), "plain");
    let wrapped = anyhow::Error::from(Wrapped("this", Box::new(full())));
    assert_eq!(Error::from_any(wrapped), full());
}

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
struct Greeting {
    #[prost(string, tag = "1")]
    name: String,
}

/// JSON in capital letters.
struct Shouting;

impl CustomSerializer for Shouting {
    fn name(&self) -> &'static str {
        "shouting"
    }

    fn encode(&self, value: &Value) -> Result<Bytes, Boxed> {
        Ok(Bytes::from(value.to_string().to_uppercase()))
    }

    fn decode(&self, payload: &[u8]) -> Result<Value, Boxed> {
        Ok(serde_json::from_str(&str::from_utf8(payload)?.to_lowercase())?)
    }
}

fn greeting() -> Greeting {
    Greeting { name: "ada".to_owned() }
}

#[test]
fn each_serializer_reads_what_it_wrote() {
    let custom = Serializer::Custom(Arc::new(Shouting));
    for (serializer, name, written) in [
        (Serializer::Json, "json", &br#"{"name":"ada"}"#[..]),
        (Serializer::Protobuf, "protobuf", b"\x0a\x03ada"),
        (custom, "shouting", br#"{"NAME":"ADA"}"#),
    ] {
        assert_eq!(serializer.name(), name);
        assert_eq!(Serializer::named(name).is_some(), name != "shouting");
        assert_eq!(serializer.encode_payload(&greeting()).unwrap(), written, "{name}");
        assert_eq!(serializer.decode_payload::<Greeting>(written).unwrap(), greeting(), "{name}");
        let error = Error::new("e-1", "full").with("a", "b");
        assert_eq!(serializer.decode_error(&serializer.encode_error(&error)).unwrap(), error, "{name}");
    }
}

#[test]
fn an_empty_payload_is_an_empty_protobuf_message_and_no_json() {
    assert_eq!(Serializer::Protobuf.decode_payload::<Greeting>(b"").unwrap(), Greeting::default());
    let error = Error::from(Serializer::Json.decode::<Greeting>(b"").unwrap_err());
    assert_eq!((error.code(), error.message()), (codes::BAD_REQUEST, "the payload is empty"));
    let error = Error::from(Serializer::Json.decode_payload::<Greeting>(b"{").unwrap_err());
    assert_eq!(error.code(), codes::BAD_REQUEST);
    assert!(error.message().starts_with("the payload is not valid: "), "{error}");
}

#[test]
fn a_reply_that_cannot_be_serialized_is_an_error() {
    let keyed_by_lists = std::collections::BTreeMap::from([(vec![1], 2)]);
    let error = Error::from(Serializer::Json.encode(&keyed_by_lists).unwrap_err());
    assert_eq!((error.code(), error.message()), (codes::UNKNOWN, "the reply cannot be serialized"));
    assert!(matches!(Serializer::Protobuf.encode("text"), Err(SerializerError::NotProtobuf)));
    assert!(matches!(Serializer::Protobuf.decode::<String>(b"x"), Err(SerializerError::NotProtobuf)));
}
