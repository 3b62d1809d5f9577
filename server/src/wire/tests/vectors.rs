//! Every vector of `testdata/vectors.json`. Each section counts its vectors, so that none is lost unseen.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use prost::Message as _;
use serde_json::Value;

use super::super::compression::inflate;
use super::super::{varint, *};
use super::{hex, no_dictionary};

const LIMIT: usize = 1024 * 1024;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../testdata/vectors.json")).unwrap()
}

fn section(name: &str, count: usize) -> Vec<Value> {
    let section = vectors()[name].as_array().unwrap().clone();
    assert_eq!(section.len(), count, "vectors of {name}");
    section
}

fn text<'a>(vector: &'a Value, key: &str) -> &'a str {
    vector[key].as_str().unwrap_or_else(|| panic!("no {key} in {vector}"))
}

fn dictionary(vector: &Value) -> Dictionary {
    let entries: BTreeMap<String, u16> = serde_json::from_value(vector["dictionary"].clone()).unwrap_or_default();
    Dictionary::new(entries).unwrap()
}

#[test]
fn no_section_is_unknown() {
    let vectors = vectors();
    let names: Vec<_> = vectors.as_object().unwrap().keys().map(String::as_str).collect();
    let known = [
        "about",
        "bad_messages",
        "data_packets",
        "handshake_requests_bad",
        "handshake_requests_ok",
        "handshake_responses",
        "handshake_with_dictionary",
        "messages",
        "packets",
        "protobuf",
        "varints",
        "zlib_decode",
    ];
    assert_eq!(names, known);
}

#[test]
fn packets() {
    for vector in section("packets", 10) {
        let input = hex(text(&vector, "hex"));
        if vector.get("error").is_some() {
            assert_eq!(decode_packet(&input, LIMIT), Err(PacketError::Type(input[0])), "{vector}");
            continue;
        }
        if vector.get("incomplete").is_some() {
            assert_eq!(decode_packet(&input, LIMIT), Ok(None), "{vector}");
            continue;
        }
        let expected = vector["packets"].as_array().cloned().unwrap_or_else(|| vec![vector.clone()]);
        let mut rest = input.as_slice();
        let mut written = BytesMut::new();
        for expected in expected {
            let (packet, used) = decode_packet(rest, LIMIT).unwrap().unwrap();
            assert_eq!(u64::from(packet.kind as u8), expected["type"].as_u64().unwrap(), "{vector}");
            assert_eq!(packet.body, hex(text(&expected, "body")), "{vector}");
            encode_packet(packet.kind, packet.body, &mut written).unwrap();
            rest = &rest[used..];
        }
        assert!(rest.is_empty(), "{vector}");
        assert_eq!(written, input, "{vector}");
    }
}

#[test]
fn data_packets() {
    for vector in section("data_packets", 8) {
        let input = hex(text(&vector, "hex"));
        let (packet, used) = decode_packet(&input, LIMIT).unwrap().unwrap();
        assert_eq!((packet.kind, used), (PacketKind::Data, input.len()), "{vector}");
        check_message(&vector, packet.body);
    }
}

#[test]
fn messages() {
    for vector in section("messages", 16) {
        check_message(&vector, &hex(text(&vector, "hex")));
    }
}

fn check_message(vector: &Value, input: &[u8]) {
    let dictionary = dictionary(vector);
    let message = decode_message(Bytes::copy_from_slice(input), &dictionary, LIMIT)
        .unwrap_or_else(|error| panic!("{error}: {vector}"));
    let kind = match text(vector, "type") {
        "request" => MessageKind::Request,
        "notify" => MessageKind::Notify,
        "response" => MessageKind::Response,
        "push" => MessageKind::Push,
        other => panic!("a message of type {other}"),
    };
    let body = ["body_utf8", "inflated_utf8"]
        .iter()
        .find_map(|key| vector.get(key)?.as_str())
        .map_or_else(|| hex(text(vector, "body")), |body| body.as_bytes().to_vec());
    let expected = Message {
        kind,
        id: vector["id"].as_u64().unwrap_or(0),
        route: Text::copied(vector["route"].as_str().unwrap_or("")),
        body: Bytes::from(body),
        error: vector["error"].as_bool().unwrap_or(false),
    };
    assert_eq!(message, expected, "{vector}");
    if vector.get("decode_only").is_some() {
        return;
    }
    let style = Outbound { compression: Some(0), dictionary: true };
    let mut written = BytesMut::new();
    let Message { id, route, body, error, .. } = &message;
    match kind {
        MessageKind::Request => encode_request(*id, route, body, &dictionary, style, &mut written),
        MessageKind::Notify => encode_notify(route, body, &dictionary, style, &mut written),
        MessageKind::Response => encode_response(*id, body, *error, style, &mut written),
        MessageKind::Push => encode_push(route, body, &dictionary, style, &mut written),
    }
    .unwrap();
    assert_eq!(decode_packet(&written, LIMIT).unwrap().unwrap().0.body, input, "{vector}");
}

#[test]
fn bad_messages() {
    let dictionary = Dictionary::new([("a", 1)]).unwrap();
    for vector in section("bad_messages", 14) {
        let expected = match text(&vector, "why") {
            "empty" => MessageError::Empty,
            "type 4" => MessageError::Kind(4),
            "type 7" => MessageError::Kind(7),
            "id over 64 bits" => MessageError::Id,
            "unknown code" => MessageError::UnknownCode(9),
            "zlib header" | "compressed flag, empty body" => MessageError::Body(InflateError::Invalid),
            _ => MessageError::Truncated,
        };
        let input = Bytes::from(hex(text(&vector, "hex")));
        assert_eq!(decode_message(input, &dictionary, LIMIT), Err(expected), "{vector}");
    }
}

#[test]
fn varints() {
    for vector in section("varints", 9) {
        let (value, bytes) = (vector[0].as_u64().unwrap(), hex(vector[1].as_str().unwrap()));
        let mut written = BytesMut::new();
        varint::encode(value, &mut written);
        assert_eq!(written, bytes, "{vector}");
        assert_eq!(varint::length(value), bytes.len(), "{vector}");
        assert_eq!(varint::decode(&bytes), Ok((value, &[][..])), "{vector}");
    }
}

#[test]
fn zlib_decode() {
    for vector in section("zlib_decode", 4) {
        let inflated = inflate(&hex(vector[0].as_str().unwrap()), LIMIT).unwrap();
        assert_eq!(inflated, vector[1].as_str().unwrap(), "{vector}");
    }
}

#[test]
fn handshake_responses() {
    for vector in section("handshake_responses", 2) {
        let body = text(&vector, "body_utf8");
        let serializer = if body.contains("protobuf") { Serializer::Protobuf } else { Serializer::Json };
        let response = HandshakeResponse {
            code: HandshakeResponse::OK,
            dictionary: &no_dictionary(),
            heartbeat: Duration::from_secs(30),
            serializer: serializer.name(),
        };
        let mut written = BytesMut::new();
        response.encode(Outbound::PLAIN, &mut written).unwrap();
        assert_eq!(written[..4], hex(text(&vector, "packet_prefix")), "{vector}");
        assert_eq!(&written[4..], body.as_bytes(), "{vector}");
    }
}

#[test]
fn handshake_with_dictionary() {
    let vector = vectors()["handshake_with_dictionary"].clone();
    assert_eq!(vector.as_object().unwrap().len(), 3);
    let dictionary = dictionary(&vector);
    let expected = ServerHandshake {
        code: 200,
        dictionary: dictionary.clone(),
        heartbeat: Duration::from_secs(30),
        serializer: "json".to_owned(),
    };
    let compressed = hex(text(&vector, "zlib_packet_decode_only"));
    let read = decode_handshake_response(&compressed, LIMIT).unwrap();
    assert_eq!(read, Some((expected.clone(), compressed.len())));

    let response = HandshakeResponse {
        code: 200,
        dictionary: &dictionary,
        heartbeat: Duration::from_secs(30),
        serializer: "json",
    };
    let mut plain = BytesMut::new();
    response.encode(Outbound::PLAIN, &mut plain).unwrap();
    assert_eq!(plain.len() - HEADER, usize::try_from(vector["plain_length"].as_u64().unwrap()).unwrap());
    let mut written = BytesMut::new();
    response.encode(Outbound { compression: Some(128), dictionary: false }, &mut written).unwrap();
    assert!(written.len() < plain.len(), "{} bytes compressed, {} plain", written.len(), plain.len());
    assert_eq!(written[HEADER], 0x78);
    assert_eq!(decode_handshake_response(&written, LIMIT).unwrap(), Some((expected, written.len())));
}

#[test]
fn handshake_requests_ok() {
    let requests = section("handshake_requests_ok", 6);
    let parse = |at: usize| parse_handshake(requests[at].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!([parse(0), parse(1), parse(2)], [(); 3].map(|()| Handshake::default()));
    let javascript = Handshake { kind: "js-websocket".to_owned(), version: "0.0.1".to_owned(), ..Handshake::default() };
    assert_eq!(parse(3), javascript);
    assert_eq!(parse(4), Handshake { platform: "mac".to_owned(), ..Handshake::default() });
    let mac = Handshake {
        platform: "mac".to_owned(),
        lib_version: "0.3.5-release".to_owned(),
        client_build_number: "20".to_owned(),
        client_version: "2.1".to_owned(),
        user: serde_json::from_str(r#"{"age":30}"#).unwrap(),
        ..Handshake::default()
    };
    assert_eq!(parse(5), mac);
}

#[test]
fn handshake_requests_bad() {
    for vector in section("handshake_requests_bad", 9) {
        let request = vector.as_str().unwrap();
        assert!(parse_handshake(request.as_bytes()).is_err(), "{request:?}");
    }
}

/// The messages between servers are generated from their schema elsewhere; here they are only read and written again.
mod protos {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Request {
        #[prost(int32, tag = "1")]
        pub(super) kind: i32,
        #[prost(message, optional, tag = "2")]
        pub(super) session: Option<Session>,
        #[prost(message, optional, tag = "3")]
        pub(super) msg: Option<Msg>,
        #[prost(string, tag = "4")]
        pub(super) frontend_id: String,
        #[prost(bytes = "vec", tag = "5")]
        pub(super) metadata: Vec<u8>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Session {
        #[prost(int64, tag = "1")]
        pub(super) id: i64,
        #[prost(string, tag = "2")]
        pub(super) uid: String,
        #[prost(bytes = "vec", tag = "3")]
        pub(super) data: Vec<u8>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Msg {
        #[prost(uint64, tag = "1")]
        pub(super) id: u64,
        #[prost(string, tag = "2")]
        pub(super) route: String,
        #[prost(bytes = "vec", tag = "3")]
        pub(super) data: Vec<u8>,
        #[prost(string, tag = "4")]
        pub(super) reply: String,
        #[prost(int32, tag = "5")]
        pub(super) kind: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Push {
        #[prost(string, tag = "1")]
        pub(super) route: String,
        #[prost(string, tag = "2")]
        pub(super) uid: String,
        #[prost(bytes = "vec", tag = "3")]
        pub(super) data: Vec<u8>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct BindMsg {
        #[prost(string, tag = "1")]
        pub(super) uid: String,
        #[prost(string, tag = "2")]
        pub(super) fid: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct KickMsg {
        #[prost(string, tag = "1")]
        pub(super) user_id: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct KickAnswer {
        #[prost(bool, tag = "1")]
        pub(super) kicked: bool,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Response {
        #[prost(bytes = "vec", tag = "1")]
        pub(super) data: Vec<u8>,
    }
}

#[test]
fn protobuf() {
    for vector in section("protobuf", 10) {
        let bytes = hex(text(&vector, "hex"));
        let value = &vector["value"];
        let written = match text(&vector, "message") {
            "protos.Error" => {
                let error = Error::from_protobuf(&bytes).unwrap();
                assert_eq!(serde_json::from_slice::<Value>(&error.to_json()).unwrap(), *value, "{vector}");
                error.to_protobuf().to_vec()
            }
            "protos.Request" => {
                let request = protos::Request::decode(bytes.as_slice()).unwrap();
                let msg = request.msg.clone().unwrap();
                if let Some(note) = vector["note"].as_str().filter(|note| note.starts_with("sys.")) {
                    assert_eq!((request.kind, msg.route.as_str()), (1, note), "{vector}");
                } else {
                    let session = request.session.clone().unwrap();
                    assert_eq!((request.kind, session.id, msg.kind), (0, 7, 1), "{vector}");
                    assert_eq!(session.data, text(&value["session"], "data").as_bytes(), "{vector}");
                    assert_eq!(msg.route, text(&value["msg"], "route"), "{vector}");
                    assert_eq!(msg.data, text(&value["msg"], "data").as_bytes(), "{vector}");
                    assert_eq!(request.frontend_id, text(value, "frontendID"), "{vector}");
                    assert_eq!(request.metadata, text(value, "metadata").as_bytes(), "{vector}");
                }
                request.encode_to_vec()
            }
            "protos.Push" => {
                let push = protos::Push::decode(bytes.as_slice()).unwrap();
                assert_eq!((&*push.route, &*push.uid), (text(value, "route"), text(value, "uid")), "{vector}");
                assert_eq!(push.data, text(value, "data").as_bytes(), "{vector}");
                push.encode_to_vec()
            }
            "protos.BindMsg" => {
                let bind = protos::BindMsg::decode(bytes.as_slice()).unwrap();
                assert_eq!((&*bind.uid, &*bind.fid), (text(value, "uid"), text(value, "fid")), "{vector}");
                bind.encode_to_vec()
            }
            "protos.KickMsg" => {
                let kick = protos::KickMsg::decode(bytes.as_slice()).unwrap();
                assert_eq!(kick.user_id, text(value, "userId"), "{vector}");
                kick.encode_to_vec()
            }
            "protos.KickAnswer" => {
                let answer = protos::KickAnswer::decode(bytes.as_slice()).unwrap();
                assert_eq!(Some(answer.kicked), value["kicked"].as_bool(), "{vector}");
                answer.encode_to_vec()
            }
            "protos.Response" => {
                let response = protos::Response::decode(bytes.as_slice()).unwrap();
                assert_eq!(response.data, text(value, "data").as_bytes(), "{vector}");
                response.encode_to_vec()
            }
            other => panic!("an unknown message {other}"),
        };
        assert_eq!(written, bytes, "{vector}");
    }
}
