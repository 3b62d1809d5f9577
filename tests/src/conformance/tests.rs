use prost::Message as _;

use super::{Expected, Payload, TestRequest, TestResponse, TestRpcRequest, TestSendToUsers, rows};
use crate::cluster::Serializer;

#[test]
fn messages_are_the_same_to_serde_and_to_the_rows() {
    let request = TestRequest { msg: "good".to_owned() };
    let call = TestRpcRequest { route: "a.b.c".to_owned(), data: "d".to_owned() };
    let json = |payload: &Payload| payload.encode(Serializer::Json);
    let request_body = json(&Payload::Request(request.clone()));
    assert_eq!(serde_json::from_slice::<TestRequest>(&request_body).unwrap(), request);
    assert_eq!(serde_json::from_slice::<TestRpcRequest>(&json(&Payload::Rpc(call.clone()))).unwrap(), call);
    let response = TestResponse { code: 200, msg: "good".to_owned() };
    assert_eq!(serde_json::to_string(&response).unwrap(), r#"{"code":200,"msg":"good"}"#);
    assert_eq!(Expected::Response(response).encode(Serializer::Json).0, br#"{"code":200,"msg":"good"}"#);
}

#[test]
fn protocol_buffers_have_the_fields_of_the_protocol() {
    let request = Payload::Request(TestRequest { msg: "good".to_owned() }).encode(Serializer::Protobuf);
    assert_eq!(request, b"\x0a\x04good");
    let response = Expected::Response(TestResponse { code: 200, msg: "hi".to_owned() });
    assert_eq!(response.encode(Serializer::Protobuf), (b"\x08\xc8\x01\x12\x02hi".to_vec(), false));
    let users = TestSendToUsers { uids: vec!["u1".to_owned(), "u2".to_owned()], msg: "x".to_owned() };
    assert_eq!(users.encode_to_vec(), b"\x0a\x02u1\x0a\x02u2\x12\x01x");
    // As in the protocol's vectors.
    let error = Expected::Error("PIT-433", "test error".to_owned(), vec![("some", "meta")]);
    let expected = b"\x0a\x07PIT-433\x12\x0atest error\x1a\x0c\x0a\x04some\x12\x04meta".to_vec();
    assert_eq!(error.encode(Serializer::Protobuf), (expected, true));
}

#[test]
fn errors_have_their_keys_in_order() {
    let error = Expected::Error("PIT-433", "a \"b\"".to_owned(), vec![("some", "meta")]);
    let (body, is_error) = error.encode(Serializer::Json);
    assert_eq!(String::from_utf8(body).unwrap(), r#"{"code":"PIT-433","msg":"a \"b\"","metadata":{"some":"meta"}}"#);
    assert!(is_error);
}

#[test]
fn texts_follow_the_type() {
    let rows = rows("game", "connector");
    let row = rows.iter().find(|row| row.method == "nonexistenthandler").unwrap();
    assert_eq!(row.route("game"), "game.testsvc.nonexistenthandler");
    let (body, _) = row.expected.encode(Serializer::Json);
    let expected = r#"{"code":"PIT-404","msg":"pitaya/handler: game.testsvc.nonexistenthandler not found"}"#;
    assert_eq!(String::from_utf8(body).unwrap(), expected);
}
