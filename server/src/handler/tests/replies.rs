use serde::{Deserialize, Serialize};
use serde_json::json;

use super::*;
use crate::{
    handler::{Encoded, Json, Payload, Proto},
    request::{Cancelled, Deadline, State},
    session::Session,
    wire::{BoxError, CustomSerializer},
};

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize, schemars::JsonSchema)]
struct TestRequest {
    #[prost(string, tag = "1")]
    msg: String,
}

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize, schemars::JsonSchema)]
struct TestResponse {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    msg: String,
}

async fn nothing() {}

async fn payload(Payload(request): Payload<TestRequest>) -> Payload<TestResponse> {
    Payload(TestResponse { code: 200, msg: request.msg })
}

async fn proto(Proto(request): Proto<TestRequest>) -> Proto<TestResponse> {
    Proto(TestResponse { code: 200, msg: request.msg })
}

async fn json_value(Json(value): Json<serde_json::Value>) -> Json<serde_json::Value> {
    Json(json!({ "got": value }))
}

fn replies() -> Registry {
    registry(
        Service::new()
            .request("bytes", async || Bytes::from_static(b"raw"))
            .request("vec", async || b"raw".to_vec())
            .request("string", async || String::from("raw"))
            .request("text", async || Text::from("raw"))
            .request("str", async || "raw")
            .request("echo", async |body: Bytes| body)
            .request("json", json_value)
            .request("payload", payload)
            .request("proto", proto)
            .request("some", async || Some("raw"))
            .request("none", async || None::<Bytes>)
            .request("ok", async || Ok::<_, Error>("raw"))
            .request("ok_some", async || Ok::<_, Error>(Some("raw")))
            .request("ok_none", async || Ok::<Option<Bytes>, Error>(None))
            .request("err", async || Err::<Bytes, _>(Error::new("PIT-555", "somerror").with("some", "meta")))
            .request("err_text", async || Err::<(), _>("no such room"))
            .request("anyhow", async || Err::<(), _>(anyhow::anyhow!("no such room")))
            .request("nothing", nothing)
            .request("ok_nothing", async || Ok::<(), Error>(())),
    )
}

#[tokio::test]
async fn what_handlers_return_becomes_the_answer() {
    let registry = replies();
    let check = async |method: &str, body: &'static [u8], expected: &[u8]| {
        let answer = request(&registry, method, body).await;
        assert_eq!(answer.as_deref(), Ok(expected), "{method}");
    };
    for method in ["bytes", "vec", "string", "text", "str", "some", "ok", "ok_some"] {
        check(method, b"", b"raw").await;
    }
    check("echo", b"woow", b"woow").await;
    check("echo", b"", b"").await;
    check("json", br#"{"a":1}"#, br#"{"got":{"a":1}}"#).await;
    check("payload", br#"{"msg":"good"}"#, br#"{"code":200,"msg":"good"}"#).await;
    check("proto", b"\x0a\x04good", b"\x08\xc8\x01\x12\x04good").await;
    check("proto", b"", b"\x08\xc8\x01").await;
}

#[tokio::test]
async fn nothing_is_no_answer_to_a_request() {
    let registry = replies();
    for method in ["none", "ok_none", "nothing", "ok_nothing"] {
        let error = failed(request(&registry, method, b"").await);
        assert_eq!(error, ("PIT-000".into(), "reply must not be null".into()), "{method}");
    }
}

#[tokio::test]
async fn errors_become_the_answer() {
    let registry = replies();
    let error = request(&registry, "err", b"").await.unwrap_err();
    assert_eq!(error, Error::new("PIT-555", "somerror").with("some", "meta"));
    for method in ["err_text", "anyhow"] {
        assert_eq!(failed(request(&registry, method, b"").await), ("PIT-000".into(), "no such room".into()));
    }
}

#[tokio::test]
async fn a_payload_is_in_the_form_of_the_servers_serializer() {
    let registry = registry(Service::new().request("payload", payload));
    let request = |body: &'static [u8]| {
        let mut context = context(Kind::Request, "payload", body);
        context.app = protobuf_app();
        call(&registry, context)
    };
    assert_eq!(request(b"\x0a\x04good").await.as_deref(), Ok(&b"\x08\xc8\x01\x12\x04good"[..]));
    assert_eq!(request(b"").await.as_deref(), Ok(&b"\x08\xc8\x01"[..]));
    assert_eq!(request(b"\x0a\x09good").await.unwrap_err().code(), "PIT-400");
}

/// Every byte plus one.
struct Shifted;

impl CustomSerializer for Shifted {
    fn name(&self) -> &'static str {
        "shifted"
    }

    fn encode(&self, value: &serde_json::Value) -> Result<Bytes, BoxError> {
        Ok(value.to_string().bytes().map(|byte| byte.wrapping_add(1)).collect())
    }

    fn decode(&self, payload: &[u8]) -> Result<serde_json::Value, BoxError> {
        Ok(serde_json::from_slice(&payload.iter().map(|byte| byte.wrapping_sub(1)).collect::<Vec<_>>())?)
    }
}

#[tokio::test]
async fn an_encoded_value_is_in_the_form_of_the_servers_serializer_also_of_its_own() {
    let doubled = async |Encoded(number): Encoded<u8>| Encoded(2 * number);
    let registry = registry(Service::new().request("doubled", doubled));
    let request = async |serializer: Serializer, body: &'static [u8]| {
        let mut context = context(Kind::Request, "doubled", body);
        context.app = App::builder("room-1", "room").serializer(serializer).build();
        call(&registry, context).await
    };
    assert_eq!(request(Serializer::Json, b"21").await.as_deref(), Ok(&b"42"[..]));
    assert_eq!(request(Serializer::Custom(Arc::new(Shifted)), b"32").await.as_deref(), Ok(&b"53"[..]));
    assert_eq!(request(Serializer::Custom(Arc::new(Shifted)), b"woow").await.unwrap_err().code(), "PIT-400");
    assert_eq!(request(Serializer::Protobuf, b"21").await.unwrap_err().code(), "PIT-500");
}

#[tokio::test]
async fn an_argument_that_is_not_understood_is_a_bad_request() {
    let registry = replies();
    let check = async |method: &str, body: &'static [u8], part: &str| {
        let (code, message) = failed(request(&registry, method, body).await);
        assert_eq!(code, "PIT-400", "{method}");
        assert!(message.starts_with("the argument was not understood: "), "{message}");
        assert!(message.contains(part), "{message}");
    };
    check("json", b"", "empty").await;
    check("payload", b"", "empty").await;
    check("payload", b"{", "EOF").await;
    check("payload", br#"{"other":1}"#, "missing field `msg`").await;
    check("payload", br#"{"msg":"good"} x"#, "trailing characters").await;
    check("proto", b"\x0a\x09good", "").await;
}

#[tokio::test]
async fn a_handler_takes_up_to_eight_arguments() {
    #[expect(clippy::too_many_arguments, reason = "eight is the limit that is tested")]
    async fn eight(
        context: Context,
        app: App,
        body: Bytes,
        session: Option<Session>,
        State(state): State<String>,
        Deadline(deadline): Deadline,
        Cancelled(token): Cancelled,
        Json(value): Json<serde_json::Value>,
    ) -> Json<serde_json::Value> {
        assert_eq!((context.service(), context.method()), ("test", "eight"));
        assert_eq!(context.deadline, deadline);
        assert!(session.is_none() && !token.is_cancelled());
        Json(json!([app.server_type().to_string(), body.len(), *state, value, context.request_id]))
    }
    let registry = registry(Service::new().request("eight", eight));
    let answer = request(&registry, "eight", b"true").await.unwrap();
    assert_eq!(answer, br#"["connector",4,"shared",true,7]"#[..]);
}

#[tokio::test]
async fn what_the_server_lacks_is_an_internal_error() {
    let registry = registry(
        Service::new()
            .request("state", async |_: State<Vec<u8>>| "unreachable")
            .request("session", async |_: Session| "unreachable"),
    );
    let (code, message) = failed(request(&registry, "state", b"").await);
    assert_eq!((&*code, &*message), ("PIT-500", "no state of type `alloc::vec::Vec<u8>` was registered"));
    assert_eq!(failed(request(&registry, "session", b"").await).0, "PIT-500");
}

#[test]
fn schemas_of_arguments_and_answers_are_kept() {
    #[derive(Serialize, schemars::JsonSchema)]
    struct Rename {
        #[serde(rename = "newName", skip_serializing_if = "Option::is_none")]
        new_name: Option<String>,
    }
    let registry = registry(
        Service::new()
            .request("payload", payload)
            .request("second", async |_: Option<Session>, _: Json<TestRequest>| Ok::<_, Error>(Some(Json(true))))
            .request("rename", async || Json(Rename { new_name: None }))
            .notify("raw", async |_: Bytes| ()),
    );
    let schemas = |method: &str| registry.lookup(&format!("test.{method}")).unwrap().schemas();
    let property = |schema: Option<schemars::Schema>, name: &str| -> serde_json::Value {
        schema.unwrap().get("properties").unwrap().get(name).unwrap().get("type").unwrap().clone()
    };
    assert_eq!(property(schemas("payload").argument, "msg"), json!("string"));
    assert_eq!(property(schemas("payload").reply, "code"), json!("integer"));
    assert_eq!(property(schemas("second").argument, "msg"), json!("string"));
    assert_eq!(schemas("second").reply.unwrap().get("type"), Some(&json!("boolean")));
    assert_eq!(property(schemas("rename").reply, "newName"), json!(["string", "null"]));
    let raw = schemas("raw");
    assert!(raw.argument.is_none() && raw.reply.is_none());
}
