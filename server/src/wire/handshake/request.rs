//! The client's side of the handshake.

use std::fmt;

use bytes::BytesMut;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value, json};

use crate::wire::packet::{PacketError, PacketKind, encode_packet};

/// What a client says of itself. Text that it did not send is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Handshake {
    /// `sys.platform`, such as `mac`.
    pub platform: String,
    /// `sys.libVersion`: the version of the client library.
    pub lib_version: String,
    /// `sys.clientBuildNumber`.
    pub client_build_number: String,
    /// `sys.clientVersion`: the version of the game.
    pub client_version: String,
    /// `sys.type`: the family of the client library, such as `js-websocket`.
    pub kind: String,
    /// `sys.version`, as the JavaScript client sends it.
    pub version: String,
    /// `sys.dict`: the client reads dictionary codes in pushes.
    pub dict: bool,
    /// `sys.kickReason`: the client wants to be told why it is kicked.
    pub kick_reason: bool,
    /// `sys.drain`: the client wants to be told before the server stops.
    pub drain: bool,
    /// `user`: what the game's client added.
    pub user: Map<String, Value>,
}

/// Why a handshake was not understood.
#[derive(Debug, thiserror::Error)]
#[error("the handshake is not valid")]
pub struct HandshakeError(#[from] serde_json::Error);

/// Reads the body of a client's Handshake packet.
///
/// Everything is optional, keys match in any case, and unknown ones are ignored. Of a key that is repeated the last
/// value counts. Extensions that have another type than they should are taken as not sent.
///
/// # Errors
///
/// Anything but one JSON object or `null`; a `sys` or `user` that is neither an object nor `null`; a `platform`,
/// `libVersion`, `clientBuildNumber` or `clientVersion` that is no string.
pub fn parse_handshake(body: &[u8]) -> Result<Handshake, HandshakeError> {
    Ok(serde_json::from_slice::<Option<Document>>(body)?.map_or_else(Handshake::default, |document| document.0))
}

impl Handshake {
    /// Whether this is the family of JavaScript clients: they read dictionary codes and no compression.
    pub fn is_javascript(&self) -> bool {
        self.kind.starts_with("js")
    }

    /// Appends the Handshake packet that a client with these properties sends.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), PacketError> {
        let mut sys = Map::new();
        let texts = [
            ("platform", &self.platform),
            ("libVersion", &self.lib_version),
            ("clientBuildNumber", &self.client_build_number),
            ("clientVersion", &self.client_version),
            ("type", &self.kind),
            ("version", &self.version),
        ];
        for (key, text) in texts {
            if !text.is_empty() {
                sys.insert(key.to_owned(), Value::String(text.clone()));
            }
        }
        for (key, wanted) in [("dict", self.dict), ("kickReason", self.kick_reason), ("drain", self.drain)] {
            if wanted {
                sys.insert(key.to_owned(), Value::Bool(true));
            }
        }
        let body = json!({ "sys": sys, "user": self.user }).to_string();
        encode_packet(PacketKind::Handshake, body.as_bytes(), out)
    }
}

/// The whole request. Written by hand, as are its parts: derived code takes arrays for objects and knows one case only.
struct Document(Handshake);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Document;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object or null")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
                let mut sys = Sys::default();
                let mut user = Map::new();
                while let Some(key) = map.next_key()? {
                    match key {
                        Key::Sys => sys = map.next_value::<Option<Sys>>()?.unwrap_or_default(),
                        Key::User => user = map.next_value::<Option<Map<String, Value>>>()?.unwrap_or_default(),
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(Document(Handshake { user, ..sys.0 }))
            }
        }
        deserializer.deserialize_map(Visit)
    }
}

#[derive(Default)]
struct Sys(Handshake);

impl<'de> Deserialize<'de> for Sys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Sys;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object or null")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Sys, A::Error> {
                let mut sys = Handshake::default();
                while let Some(key) = map.next_key()? {
                    match key {
                        Key::Platform => sys.platform = map.next_value()?,
                        Key::LibVersion => sys.lib_version = map.next_value()?,
                        Key::ClientBuildNumber => sys.client_build_number = map.next_value()?,
                        Key::ClientVersion => sys.client_version = map.next_value()?,
                        Key::Type => sys.kind = text(map.next_value()?),
                        Key::Version => sys.version = text(map.next_value()?),
                        Key::Dict => sys.dict = map.next_value::<Value>()? == Value::Bool(true),
                        Key::KickReason => sys.kick_reason = map.next_value::<Value>()? == Value::Bool(true),
                        Key::Drain => sys.drain = map.next_value::<Value>()? == Value::Bool(true),
                        Key::Sys | Key::User | Key::Other => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(Sys(sys))
            }
        }
        deserializer.deserialize_map(Visit)
    }
}

fn text(value: Value) -> String {
    if let Value::String(text) = value { text } else { String::new() }
}

/// The keys that mean something, in any case.
#[derive(Clone, Copy)]
enum Key {
    Sys,
    User,
    Platform,
    LibVersion,
    ClientBuildNumber,
    ClientVersion,
    Type,
    Version,
    Dict,
    KickReason,
    Drain,
    Other,
}

impl Key {
    const NAMES: [(&'static str, Self); 11] = [
        ("sys", Self::Sys),
        ("user", Self::User),
        ("platform", Self::Platform),
        ("libVersion", Self::LibVersion),
        ("clientBuildNumber", Self::ClientBuildNumber),
        ("clientVersion", Self::ClientVersion),
        ("type", Self::Type),
        ("version", Self::Version),
        ("dict", Self::Dict),
        ("kickReason", Self::KickReason),
        ("drain", Self::Drain),
    ];
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl Visitor<'_> for Visit {
            type Value = Key;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a key")
            }

            fn visit_str<E: de::Error>(self, found: &str) -> Result<Key, E> {
                let known = Key::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(found));
                Ok(known.map_or(Key::Other, |&(_, key)| key))
            }
        }
        deserializer.deserialize_str(Visit)
    }
}
