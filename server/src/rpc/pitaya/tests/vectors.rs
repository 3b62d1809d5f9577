//! The messages of protocol §12, byte by byte.

use bytes::Bytes;
use prost::Message;
use serde_json::Value;

use crate::rpc::proto::pitaya as protos;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn bytes(value: &Value, key: &str) -> Bytes {
    text(value, key).into()
}

/// Decodes, compares with the value if there is one, and encodes again.
fn check<M: Message + Default + PartialEq + std::fmt::Debug>(vector: &Value, expected: impl Fn(&Value) -> M) {
    let encoded = hex(vector["hex"].as_str().unwrap());
    let message = M::decode(encoded.as_slice()).unwrap();
    assert_eq!(message.encode_to_vec(), encoded, "{vector}");
    if let Some(value) = vector.get("value") {
        assert_eq!(message, expected(value), "{vector}");
        assert_eq!(expected(value).encode_to_vec(), encoded, "{vector}");
    }
}

fn request(value: &Value) -> protos::Request {
    let (session, message) = (&value["session"], &value["msg"]);
    assert_eq!((&value["type"], &message["type"]), (&"Sys".into(), &"Notify".into()));
    protos::Request {
        r#type: protos::RpcType::Sys.into(),
        session: Some(protos::Session {
            id: session["id"].as_i64().unwrap(),
            uid: text(session, "uid"),
            data: bytes(session, "data"),
        }),
        msg: Some(protos::Msg {
            id: 0,
            route: text(message, "route"),
            data: bytes(message, "data"),
            reply: String::new(),
            r#type: protos::MsgType::MsgNotify.into(),
        }),
        frontend_id: text(value, "frontendID"),
        metadata: bytes(value, "metadata"),
    }
}

fn error(value: &Value) -> protos::Error {
    let metadata = value["metadata"].as_object().into_iter().flatten();
    let metadata = metadata.map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned())).collect();
    protos::Error { code: text(value, "code"), msg: text(value, "msg"), metadata }
}

#[test]
fn every_vector_decodes_and_encodes() {
    let all: Value = serde_json::from_str(include_str!("../../../../testdata/vectors.json")).unwrap();
    let vectors = all["protobuf"].as_array().unwrap();
    assert_eq!(vectors.len(), 10);
    for vector in vectors {
        match vector["message"].as_str().unwrap() {
            "protos.Error" => check(vector, error),
            "protos.Request" => check(vector, request),
            "protos.Push" => check(vector, |value| protos::Push {
                route: text(value, "route"),
                uid: text(value, "uid"),
                data: bytes(value, "data"),
            }),
            "protos.BindMsg" => {
                check(vector, |value| protos::BindMsg { uid: text(value, "uid"), fid: text(value, "fid") });
            }
            "protos.KickMsg" => check(vector, |value| protos::KickMsg { user_id: text(value, "userId") }),
            "protos.KickAnswer" => {
                check(vector, |value| protos::KickAnswer { kicked: value["kicked"].as_bool().unwrap() });
            }
            "protos.Response" => {
                check(vector, |value| protos::Response { data: bytes(value, "data"), error: None });
            }
            other => panic!("no test reads {other}"),
        }
    }
}
