//! What the services answer, as data.

use prost::Message as _;

use super::messages::{TestRequest, TestResponse, TestRpcRequest};
use crate::{client::Reply, cluster::Serializer};

/// A request's body.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    /// No bytes at all.
    Empty,
    /// Bytes that no serializer has made.
    Raw(&'static str),
    /// A message.
    Request(TestRequest),
    /// A call that the handler is to make.
    Rpc(TestRpcRequest),
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    /// Bytes that no serializer has made.
    Raw(&'static str),
    /// A message.
    Response(TestResponse),
    /// An error: code, text, metadata.
    Error(&'static str, String, Vec<(&'static str, &'static str)>),
}

/// One request and its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The handler in the service `testsvc`.
    pub method: &'static str,
    /// The request's body.
    pub payload: Payload,
    /// The answer.
    pub expected: Expected,
}

impl Row {
    /// The whole route on servers of `server_type`.
    pub fn route(&self, server_type: &str) -> String {
        format!("{server_type}.testsvc.{}", self.method)
    }
}

impl Payload {
    /// The bytes.
    pub fn encode(&self, serializer: Serializer) -> Vec<u8> {
        match (self, serializer) {
            (Payload::Empty, _) => Vec::new(),
            (Payload::Raw(text), _) => text.as_bytes().to_vec(),
            (Payload::Request(request), Serializer::Protobuf) => request.encode_to_vec(),
            (Payload::Request(TestRequest { msg }), Serializer::Json) => {
                serde_json::json!({ "msg": msg }).to_string().into_bytes()
            }
            (Payload::Rpc(request), Serializer::Protobuf) => request.encode_to_vec(),
            (Payload::Rpc(TestRpcRequest { route, data }), Serializer::Json) => {
                serde_json::json!({ "route": route, "data": data }).to_string().into_bytes()
            }
        }
    }
}

impl Expected {
    /// The exact bytes of the answer's body, and whether its error bit is set.
    pub fn encode(&self, serializer: Serializer) -> (Vec<u8>, bool) {
        match (self, serializer) {
            (Expected::Raw(text), _) => (text.as_bytes().to_vec(), false),
            (Expected::Response(response), Serializer::Protobuf) => (response.encode_to_vec(), false),
            (Expected::Response(TestResponse { code, msg }), Serializer::Json) => {
                (format!("{{\"code\":{code},\"msg\":{}}}", json_text(msg)).into_bytes(), false)
            }
            (Expected::Error(code, message, metadata), Serializer::Json) => {
                let mut fields = format!("\"code\":{},\"msg\":{}", json_text(code), json_text(message));
                if !metadata.is_empty() {
                    let pairs: Vec<_> = metadata
                        .iter()
                        .map(|(key, value)| format!("{}:{}", json_text(key), json_text(value)))
                        .collect();
                    fields = format!("{fields},\"metadata\":{{{}}}", pairs.join(","));
                }
                (format!("{{{fields}}}").into_bytes(), true)
            }
            (Expected::Error(code, message, metadata), Serializer::Protobuf) => {
                let mut bytes = Vec::new();
                put_field(1, code.as_bytes(), &mut bytes);
                put_field(2, message.as_bytes(), &mut bytes);
                for (key, value) in metadata {
                    let mut pair = Vec::new();
                    put_field(1, key.as_bytes(), &mut pair);
                    put_field(2, value.as_bytes(), &mut pair);
                    put_field(3, &pair, &mut bytes);
                }
                (bytes, true)
            }
        }
    }

    /// What is wrong with `reply`; nothing when it is what is expected, to the byte.
    pub fn difference(&self, reply: &Reply, serializer: Serializer) -> Option<String> {
        let (body, error) = self.encode(serializer);
        let same = (&*reply.body, reply.error) == (&*body, error);
        let show = |body: &[u8], error: bool| {
            format!("{} {:?}", if error { "error" } else { "answer" }, String::from_utf8_lossy(body))
        };
        (!same).then(|| format!("expected {}, got {}", show(&body, error), show(&reply.body, reply.error)))
    }
}

/// A text as JSON writes it.
fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A field of protocol buffers that has a length; those here are short.
fn put_field(number: u8, bytes: &[u8], out: &mut Vec<u8>) {
    assert!(bytes.len() < 0x80, "a longer field has a longer length");
    out.extend([number << 3 | 2, bytes.len() as u8]);
    out.extend_from_slice(bytes);
}

/// The rows as a client sees them that asks servers of the type `own`, while servers of the type `other` run too.
pub fn rows(own: &str, other: &str) -> Vec<Row> {
    let row = |method, payload, expected| Row { method, payload, expected };
    let request = |text: &str| Payload::Request(TestRequest { msg: text.to_owned() });
    let response = |text: &str| Expected::Response(TestResponse { code: 200, msg: text.to_owned() });
    let call = |server_type: &str, method: &str, data: &str| {
        Payload::Rpc(TestRpcRequest { route: format!("{server_type}.testremotesvc.{method}"), data: data.to_owned() })
    };
    let error = |code, text: &str| Expected::Error(code, text.to_owned(), Vec::new());
    let no_reply = || error("PIT-000", "reply must not be null");
    let own_type = "you are making a rpc that may be processed locally, either specify a different server type or \
                    specify a server id";
    let not_found = format!("pitaya/handler: {own}.testsvc.nonexistenthandler not found");
    let no_route = vec![("route", "testremotesvc.rpctestnotfound")];
    vec![
        row("testrequestonlysessionreturnsptr", Payload::Empty, response("hello")),
        row("testrequestonlysessionreturnsptrnil", Payload::Empty, no_reply()),
        row("testrequestonlysessionreturnsrawnil", Payload::Empty, no_reply()),
        row("testrequestreturnsptr", request("good"), response("good")),
        row("testrequestreturnsraw", request("good"), Expected::Raw("good")),
        row("testrequestreceivereturnsraw", Payload::Raw("woow"), Expected::Raw("woow")),
        row("nonexistenthandler", Payload::Raw("woow"), error("PIT-404", &not_found)),
        row("testrequestreturnserror", Payload::Raw("woow"), error("PIT-555", "somerror")),
        row("testsendrpc", call(other, "rpctestrawptrreturnsptr", "thisthis"), response("got thisthis")),
        row("testsendrpc", call(other, "rpctestptrreturnsptr", "thisthis"), response("got thisthis")),
        row(
            "testsendrpc",
            call(other, "rpctestreturnserror", "thisthis"),
            Expected::Error("PIT-433", "test error".to_owned(), vec![("some", "meta")]),
        ),
        row("testsendrpc", call(own, "rpctestrawptrreturnsptr", "thisthis"), error("PIT-000", own_type)),
        row(
            "testsendrpc",
            call(other, "rpctestnotfound", "thisthis"),
            Expected::Error("PIT-404", "route not found".to_owned(), no_route),
        ),
        row("testsendrpcnoargs", call(other, "rpctestnoargs", ""), response("got nothing")),
        row("testbind", Payload::Empty, Expected::Raw("ack")),
    ]
}
