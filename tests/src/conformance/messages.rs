//! The messages of the services, as JSON and as protocol buffers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What most handlers take.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TestRequest {
    /// A text that the answer repeats.
    #[prost(string, tag = "1")]
    pub msg: String,
}

/// What most handlers give.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TestResponse {
    /// 200.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// The answer's text.
    #[prost(string, tag = "2")]
    pub msg: String,
}

/// A call to another server that the handler is to make.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TestRpcRequest {
    /// `type.service.method`.
    #[prost(string, tag = "1")]
    pub route: String,
    /// The text of the call's argument.
    #[prost(string, tag = "2")]
    pub data: String,
}

/// A push that the handler is to send.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TestSendToUsers {
    /// Whom to.
    #[prost(string, repeated, tag = "1")]
    pub uids: Vec<String>,
    /// The push's whole body.
    #[prost(string, tag = "2")]
    pub msg: String,
}
