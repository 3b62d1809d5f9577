//! The handshake: what is accepted, what is answered, and how each client is written to.

use std::time::Duration;

use bytes::BytesMut;
use serde_json::Value;

use super::super::*;

const LIMIT: usize = 1024 * 1024;

fn parse(request: &str) -> Result<Handshake, HandshakeError> {
    parse_handshake(request.as_bytes())
}

fn response(code: u16, dictionary: &Dictionary, heartbeat: Duration) -> BytesMut {
    let mut out = BytesMut::new();
    let response = HandshakeResponse { code, dictionary, heartbeat, serializer: "json" };
    response.encode(Outbound::PLAIN, &mut out).unwrap();
    out
}

#[test]
fn keys_match_in_any_case_and_unknown_ones_are_ignored() {
    let handshake = parse(
        r#" {"Sys":{"PLATFORM":"mac","libversion":"1","ClientBuildNumber":"2","CLIENTversion":"3","TYPE":"t","x":[{}],
            "Version":"4","DICT":true,"kickreason":true,"Drain":true,"platforms":1},"USER":{"K":null},"more":"x"} "#,
    )
    .unwrap();
    let expected = Handshake {
        platform: "mac".to_owned(),
        lib_version: "1".to_owned(),
        client_build_number: "2".to_owned(),
        client_version: "3".to_owned(),
        kind: "t".to_owned(),
        version: "4".to_owned(),
        dict: true,
        kick_reason: true,
        drain: true,
        user: [("K".to_owned(), Value::Null)].into_iter().collect(),
    };
    assert_eq!(handshake, expected);
}

#[test]
fn a_wrong_type_is_invalid_where_the_key_is_old_and_ignored_where_it_is_new() {
    for key in ["platform", "libVersion", "clientBuildNumber", "clientVersion", "CLIENTVERSION"] {
        for value in ["1", "true", "{}", "[]", "null"] {
            assert!(parse(&format!(r#"{{"sys":{{"{key}":{value}}}}}"#)).is_err(), "{key} {value}");
        }
    }
    for key in ["type", "version", "dict", "kickReason", "drain", "resume", "rsa"] {
        for value in ["1", "{}", "[]", "null", "false"] {
            let handshake = parse(&format!(r#"{{"sys":{{"{key}":{value}}}}}"#)).unwrap();
            assert_eq!(handshake, Handshake::default(), "{key} {value}");
        }
    }
}

#[test]
fn objects_and_nothing_else() {
    for request in [
        r#"{"sys":[]}"#,
        r#"{"sys":1}"#,
        r#"{"sys":"x"}"#,
        r#"{"sys":["mac"]}"#,
        r#"{"user":1}"#,
        "true",
        "\"x\"",
        "{}{}",
        "{}\0",
        "{",
        " ",
        "{'a':1}",
        "{\"a\":1,}",
    ] {
        assert!(parse(request).is_err(), "{request}");
    }
    assert!(parse_handshake(b"{\"user\":{\"a\":\"\xff\"}}").is_err());
    assert_eq!(parse(r#"{"user":null}"#).unwrap(), Handshake::default());
    assert_eq!(parse(" \r\n null ").unwrap(), Handshake::default());
}

#[test]
fn endless_nesting_is_refused() {
    for unit in [r#"{"user":"#, r#"{"x":"#, "["] {
        assert!(parse(&unit.repeat(100_000)).is_err());
    }
    assert!(parse(&format!(r#"{{"user":{{"a":{}}}}}"#, "[".repeat(100_000))).is_err());
}

#[test]
fn the_last_of_a_repeated_key_counts() {
    let handshake = parse(r#"{"sys":{"platform":"a","PLATFORM":"b"},"user":{"x":1},"USER":{"y":2}}"#).unwrap();
    assert_eq!(handshake.platform, "b");
    assert_eq!(Value::Object(handshake.user).to_string(), r#"{"y":2}"#);
}

#[test]
fn numbers_were_off_by_one_digit_after_being_written_and_read_again() {
    let number = "5".repeat(83);
    let handshake = parse(&format!(r#"{{"user":{{"gold":{number},"x":5.5555555555555546e82}}}}"#)).unwrap();
    let exact: f64 = number.parse().unwrap();
    assert_eq!(handshake.user["gold"].as_f64().map(f64::to_bits), Some(exact.to_bits()));
    let mut out = BytesMut::new();
    handshake.encode(&mut out).unwrap();
    assert_eq!(parse_handshake(&out[HEADER..]).unwrap(), handshake);
}

#[test]
fn the_heartbeat_has_no_needless_decimal_point() {
    for (heartbeat, expected) in [(30_000, "30"), (1_500, "1.5"), (250, "0.25"), (1_001, "1.001"), (0, "0")] {
        let out = response(200, &Dictionary::default(), Duration::from_millis(heartbeat));
        let body = format!(r#"{{"code":200,"sys":{{"dict":{{}},"heartbeat":{expected},"serializer":"json"}}}}"#);
        assert_eq!(&out[HEADER..], body.as_bytes());
    }
}

#[test]
fn a_refusal_has_the_same_shape() {
    let dictionary = Dictionary::new([("b", 2), ("a", 1)]).unwrap();
    let out = response(HandshakeResponse::REFUSED, &dictionary, Duration::from_secs(30));
    let body = r#"{"code":400,"sys":{"dict":{"a":1,"b":2},"heartbeat":30,"serializer":"json"}}"#;
    assert_eq!(&out[HEADER..], body.as_bytes());
}

#[test]
fn the_response_can_be_read_as_it_arrives() {
    let dictionary = Dictionary::new((0..40_u16).map(|code| (format!("route.number.{code}"), code))).unwrap();
    let heartbeat = Duration::from_millis(1_500);
    let plain = HandshakeResponse { code: 200, dictionary: &dictionary, heartbeat, serializer: "protobuf" };
    for compression in [None, Some(128)] {
        let mut out = BytesMut::new();
        plain.encode(Outbound { compression, dictionary: false }, &mut out).unwrap();
        let whole = out.len();
        out.extend_from_slice(&PacketKind::Heartbeat.empty());
        for cut in 0..whole {
            assert!(decode_handshake_response(&out[..cut], LIMIT).unwrap().is_none(), "{cut} of {whole}");
        }
        let (read, used) = decode_handshake_response(&out, LIMIT).unwrap().unwrap();
        assert_eq!((read.code, read.heartbeat, &*read.serializer, used), (200, heartbeat, "protobuf", whole));
        assert_eq!(read.dictionary, dictionary);
    }
}

#[test]
fn responses_that_are_none_are_errors() {
    let read = |body: &[u8]| {
        let mut out = BytesMut::new();
        encode_packet(PacketKind::Handshake, body, &mut out).unwrap();
        decode_handshake_response(&out, LIMIT)
    };
    assert!(matches!(read(b"x\x9cgarbage"), Err(ServerHandshakeError::Inflate(_))));
    assert!(matches!(read(b"{}"), Err(ServerHandshakeError::Json(_))));
    assert!(matches!(read(br#"{"code":200,"sys":{"heartbeat":-1}}"#), Err(ServerHandshakeError::Heartbeat(_))));
    let twice = br#"{"code":200,"sys":{"dict":{"a":1,"b":1}}}"#;
    assert!(matches!(read(twice), Err(ServerHandshakeError::Dictionary(_))));
    assert_eq!(read(br#"{"code":400}"#).unwrap().unwrap().0.code, 400);
    let kick = decode_handshake_response(&PacketKind::Kick.empty(), LIMIT);
    assert!(matches!(kick, Err(ServerHandshakeError::Unexpected(PacketKind::Kick))));
    assert!(matches!(decode_handshake_response(b"HTTP/1.1", LIMIT), Err(ServerHandshakeError::Packet(_))));
}

#[test]
fn each_client_is_written_to_as_it_can_read() {
    let native = Handshake { platform: "ios".to_owned(), ..Handshake::default() };
    let javascript = parse(r#"{"sys":{"type":"js-websocket","version":"0.0.1","rsa":{}}}"#).unwrap();
    let reads_codes = Handshake { dict: true, ..Handshake::default() };
    let default = Config::default();
    let always = Config { push_codes: PushCodes::Always, ..default };
    let off = Config { compression: CompressionConfig { enabled: false, ..default.compression }, ..default };
    for (handshake, config, compression, dictionary) in [
        (&native, &default, Some(128), false),
        (&native, &always, Some(128), true),
        (&native, &off, None, false),
        (&reads_codes, &default, Some(128), true),
        (&javascript, &default, None, true),
        (&javascript, &off, None, true),
        (&Handshake::default(), &default, Some(128), false),
    ] {
        assert_eq!(Outbound::for_client(handshake, config), Outbound { compression, dictionary }, "{handshake:?}");
    }
}
