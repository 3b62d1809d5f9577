//! How servers of other types choose among the replicas of a server type.

use std::{borrow::Cow, fmt, str::FromStr};

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::schema;

/// How a server of this type is chosen for a message.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.key) || self.policy == 'hash'")
        .message(Message::Expression(
            "'only the policy hash has a key, and the policy is ' + self.policy".to_owned()
        ))
        .field_path(".key")
)]
pub struct Routing {
    /// The policy: `leastPending` (the default) takes the one of two random servers that owes the caller fewer answers;
    /// `random` any; `roundRobin` one after another; `hash` always the same for the same key, unless that one has much
    /// more to do than the others; `sticky` is chosen once per session as leastPending does, and kept until that server
    /// leaves.
    #[serde(default)]
    pub policy: Policy,
    /// For the policy hash, what is hashed: `uid` (the default; before the session has one, its id), `session` (its id),
    /// or `data:<key>`, a value of the session such as the room it is in (`uid` while it has no such value).
    #[serde(default, skip_serializing_if = "HashKey::is_default")]
    pub key: HashKey,
    /// Whether servers in the caller's own zone come first: `prefer`, or `ignore` (the default). It says nothing for the
    /// policy hash, which has to choose the same server from every zone.
    #[serde(default)]
    pub zone: Zone,
}

/// The rule by which one of several servers is chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Policy {
    /// The one of two random servers that owes the caller fewer answers.
    #[default]
    LeastPending,
    /// Any server, each as likely as the other.
    Random,
    /// One after another.
    RoundRobin,
    /// Always the same server for the same key, unless that server has much more to do than the others.
    Hash,
    /// Chosen once per session as leastPending does, and kept until that server leaves.
    Sticky,
}

/// Whether the zone of a server matters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Zone {
    /// Servers in the caller's zone are chosen while there are any.
    Prefer,
    /// The zone plays no part.
    #[default]
    Ignore,
}

/// What the policy hash takes as its key; written `uid`, `session` or `data:<key>`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashKey {
    /// The user that the session is bound to.
    #[default]
    Uid,
    /// The session's id.
    Session,
    /// The session's value under this key.
    Data(String),
}

impl HashKey {
    /// Whether it is what is hashed when nothing is said. It is not written then: the rule about keys cannot tell a key
    /// that was defaulted from one that was given.
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The text names nothing that can be hashed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a routing key: uid, session or data:<key>")]
pub struct HashKeyError {
    text: String,
}

impl FromStr for HashKey {
    type Err = HashKeyError;

    fn from_str(text: &str) -> Result<Self, HashKeyError> {
        match text {
            "uid" => Ok(Self::Uid),
            "session" => Ok(Self::Session),
            other => match other.strip_prefix("data:") {
                Some(key) if !key.is_empty() => Ok(Self::Data(key.to_owned())),
                _ => Err(HashKeyError { text: text.to_owned() }),
            },
        }
    }
}

impl fmt::Display for HashKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uid => formatter.write_str("uid"),
            Self::Session => formatter.write_str("session"),
            Self::Data(key) => write!(formatter, "data:{key}"),
        }
    }
}

impl Serialize for HashKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HashKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for HashKey {
    fn schema_name() -> Cow<'static, str> {
        "HashKey".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema::text("a routing key: uid, session or data:<key>", "^(uid|session|data:.+)$", 256)
    }
}
