//! What is in the bodies that a server sends.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use prost::Message as _;
use serde::{Deserialize, de::DeserializeOwned};
use tokio::time::Instant;

use super::{
    Welcome,
    log::{Event, EventKind},
    wire,
};

/// The answer to a request.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The request's id.
    pub id: u64,
    /// Its place among all that the client received.
    pub sequence: usize,
    /// When it arrived.
    pub at: Instant,
    /// Whether the error bit is set.
    pub error: bool,
    /// The body, inflated.
    pub body: Bytes,
    serializer: String,
}

/// The body of an answer whose error bit is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// What kind of failure it is.
    pub code: String,
    /// What it says.
    #[serde(rename = "msg")]
    pub message: String,
    /// What else is known.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

/// `protos.Error`, as the protocol describes it.
#[derive(Clone, PartialEq, prost::Message)]
struct ErrorMessage {
    #[prost(string, tag = "1")]
    code: String,
    #[prost(string, tag = "2")]
    msg: String,
    #[prost(btree_map = "string, string", tag = "3")]
    metadata: BTreeMap<String, String>,
}

impl Reply {
    pub(super) fn new(event: Event, serializer: String) -> Option<Reply> {
        let Event { sequence, at, kind: EventKind::Response { id, error, body } } = event else { return None };
        Some(Reply { id, sequence, at, error, body, serializer })
    }

    /// The body of an answer that is no error.
    pub fn ok(&self) -> anyhow::Result<Bytes> {
        if self.error {
            bail!("request {} was answered with {:?}", self.id, self.failure());
        }
        Ok(self.body.clone())
    }

    /// The body of an answer that is no error, read as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        let body = self.ok()?;
        serde_json::from_slice(&body).with_context(|| format!("not the JSON expected: {body:?}"))
    }

    /// The body of an answer that is no error, as text.
    pub fn text(&self) -> anyhow::Result<String> {
        Ok(String::from_utf8(self.ok()?.into())?)
    }

    /// The error that the answer is.
    pub fn failure(&self) -> anyhow::Result<Failure> {
        if !self.error {
            bail!("request {} was answered with {:?}", self.id, self.body);
        }
        if self.serializer == "protobuf" {
            let ErrorMessage { code, msg, metadata } = ErrorMessage::decode(&*self.body)?;
            return Ok(Failure { code, message: msg, metadata });
        }
        serde_json::from_slice(&self.body).with_context(|| format!("not an error: {:?}", self.body))
    }

    /// The code of the error that the answer is; nothing when it is none.
    pub fn code(&self) -> Option<String> {
        self.error.then(|| self.failure().map_or_else(|_| "unreadable".to_owned(), |failure| failure.code))
    }
}

/// Read the body of a handshake response.
pub(super) fn welcome(body: &Bytes) -> anyhow::Result<Welcome> {
    #[derive(Deserialize)]
    struct Response {
        code: u64,
        sys: System,
    }
    #[derive(Deserialize)]
    struct System {
        dict: BTreeMap<String, u16>,
        heartbeat: f64,
        serializer: String,
    }
    let body = if body.first() == Some(&0x78) { wire::inflate(body)? } else { body.clone() };
    let Response { code, sys } =
        serde_json::from_slice(&body).with_context(|| format!("not a handshake response: {body:?}"))?;
    let System { dict, heartbeat, serializer } = sys;
    Ok(Welcome { code, heartbeat, serializer, dictionary: dict, body })
}
