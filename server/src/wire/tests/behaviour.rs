//! Details of packets, messages, the dictionary, compression and routes that no vector shows.

use bytes::{Bytes, BytesMut};

use super::super::compression::inflate;
use super::super::*;
use super::{hex, no_dictionary};

const LIMIT: usize = 1024 * 1024;

fn plain_response(id: u64, body: &[u8]) -> BytesMut {
    let mut written = BytesMut::new();
    encode_response(id, body, false, Outbound::PLAIN, &mut written).unwrap();
    written
}

#[test]
fn the_size_of_a_packet_is_judged_before_its_body_arrives() {
    assert_eq!(decode_packet(&hex("04000010"), 16), Ok(None));
    assert_eq!(decode_packet(&hex("04000011"), 16), Err(PacketError::TooLarge { size: 17, limit: 16 }));
    assert_eq!(decode_packet(&hex("04ffffff"), MAX_BODY), Ok(None));
}

#[test]
fn the_length_of_a_packet_never_wraps() {
    let mut out = BytesMut::from("kept");
    let body = vec![7; MAX_BODY + 1];
    let error = PacketError::TooLarge { size: MAX_BODY + 1, limit: MAX_BODY };
    assert_eq!(encode_packet(PacketKind::Data, &body, &mut out), Err(error));
    assert_eq!(out, "kept");
    encode_packet(PacketKind::Data, &body[1..], &mut out).unwrap();
    assert_eq!(out[4..8], hex("04ffffff"));

    let mut out = BytesMut::from("kept");
    let error = EncodeError::TooLarge { size: MAX_BODY + 1 };
    assert_eq!(encode_response(1, &body[2..], false, Outbound::PLAIN, &mut out), Err(error));
    assert_eq!(out, "kept");
    encode_response(1, &body[3..], false, Outbound::PLAIN, &mut out).unwrap();
    assert_eq!(out.len(), 4 + HEADER + MAX_BODY);
}

#[test]
fn empty_packets_are_four_bytes() {
    for (kind, expected) in [
        (PacketKind::Handshake, "01000000"),
        (PacketKind::Ack, "02000000"),
        (PacketKind::Heartbeat, "03000000"),
        (PacketKind::Data, "04000000"),
        (PacketKind::Kick, "05000000"),
    ] {
        assert_eq!(kind.empty().to_vec(), hex(expected));
        assert_eq!(decode_packet(&kind.empty(), 0), Ok(Some((Packet { kind, body: &[] }, HEADER))));
    }
}

#[test]
fn route_and_body_share_what_was_read() {
    let input = share(&hex("00010161626364"));
    let message = decode_message(input.clone(), &no_dictionary(), LIMIT).unwrap();
    assert_eq!((&*message.route, &message.body[..]), ("a", &b"bcd"[..]));
    assert_eq!(message.route.as_ptr(), input[3..].as_ptr());
    assert_eq!(message.body.as_ptr(), input[4..].as_ptr());
}

#[test]
fn shared_copies_hold_any_length() {
    for length in [0, 1, 127, 128, 129, 511, 512, 513, 100_000] {
        let body: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
        assert_eq!(share(&body), body);
    }
}

#[test]
fn an_id_may_be_longer_than_it_needs_but_not_than_64_bits() {
    let message = |bytes| decode_message(Bytes::from(hex(bytes)), &no_dictionary(), LIMIT);
    assert_eq!(message("04810000").map(|message| message.id), Ok(1));
    assert_eq!(message("04ffffffffffffffffff01").map(|message| message.id), Ok(u64::MAX));
    assert_eq!(message("04ffffffffffffffffff02"), Err(MessageError::Id));
    assert_eq!(message("0480808080808080808080"), Err(MessageError::Id));
}

#[test]
fn a_route_that_is_not_text_is_refused() {
    let input = Bytes::from(hex("0202c328"));
    assert_eq!(decode_message(input, &no_dictionary(), LIMIT), Err(MessageError::NotUtf8));
}

#[test]
fn a_route_of_255_bytes_is_the_longest() {
    let dictionary = Dictionary::new([("x".repeat(300), 5)]).unwrap();
    let mut out = BytesMut::new();
    encode_push(&"x".repeat(255), b"", &dictionary, Outbound::PLAIN, &mut out).unwrap();
    let packet = decode_packet(&out, LIMIT).unwrap().unwrap().0;
    let message = decode_message(Bytes::copy_from_slice(packet.body), &dictionary, LIMIT).unwrap();
    assert_eq!(message.route, "x".repeat(255).as_str());

    out.clear();
    let error = EncodeError::RouteTooLong { length: 256 };
    assert_eq!(encode_push(&"x".repeat(256), b"", &dictionary, Outbound::PLAIN, &mut out), Err(error));
    assert!(out.is_empty());
    let style = Outbound { dictionary: true, ..Outbound::PLAIN };
    encode_push(&"x".repeat(300), b"", &dictionary, style, &mut out).unwrap();
    assert_eq!(out, hex("04000003070005"));
}

#[test]
fn codes_are_big_endian_and_only_for_those_who_read_them() {
    let dictionary = Dictionary::new([("onMessage", 0x0102)]).unwrap();
    let mut out = BytesMut::new();
    let style = Outbound { dictionary: true, ..Outbound::PLAIN };
    encode_push("onMessage", b"!", &dictionary, style, &mut out).unwrap();
    assert_eq!(out, hex("0400000407010221"));
    out.clear();
    encode_push("onMessage", b"!", &dictionary, Outbound::PLAIN, &mut out).unwrap();
    assert_eq!(out[4..6], hex("0609"));
}

#[test]
fn dictionary_routes_are_trimmed_and_sorted() {
    let dictionary = Dictionary::new([(" b ", 1), ("a\n", 2)]).unwrap();
    assert_eq!((dictionary.code("b"), dictionary.code(" b "), dictionary.code("c")), (Some(1), None, None));
    assert_eq!(dictionary.route(2).map(Text::as_str), Some("a"));
    assert_eq!(serde_json::to_string(&dictionary).unwrap(), r#"{"a":2,"b":1}"#);
    assert_eq!((dictionary.len(), dictionary.is_empty()), (2, false));
}

#[test]
fn contradictions_in_a_dictionary_name_both_entries() {
    let error = |entries: [(&str, u16); 2]| Dictionary::new(entries).unwrap_err().to_string();
    assert_eq!(error([("a", 1), (" a", 2)]), r#"the route "a" is in the dictionary twice, with the codes 1 and 2"#);
    assert_eq!(error([("a", 7), ("b", 7)]), r#"the code 7 is in the dictionary twice, for the routes "a" and "b""#);
    assert!(Dictionary::new([("a", 1), ("a", 1)]).is_err());
}

#[test]
fn a_body_is_compressed_from_the_threshold_on_and_only_if_that_is_shorter() {
    let flags = |body: &[u8], compression| {
        let mut out = BytesMut::new();
        encode_response(1, body, true, Outbound { compression, dictionary: false }, &mut out).unwrap();
        (out[4], out.len())
    };
    let (compressible, noise) = ([b'x'; 128], (0..=255).collect::<Vec<u8>>());
    assert_eq!(flags(&compressible, None), (0b10_0100, HEADER + 2 + 128));
    assert_eq!(flags(&compressible, Some(129)), (0b10_0100, HEADER + 2 + 128));
    let (flag, length) = flags(&compressible, Some(128));
    assert!(flag == 0b11_0100 && length < HEADER + 2 + 128);
    assert_eq!(flags(&noise, Some(0)), (0b10_0100, HEADER + 2 + 256));
    assert_eq!(flags(b"", Some(0)), (0b10_0100, HEADER + 2));
}

#[test]
fn a_compressed_body_of_any_length_is_zlib_with_a_window_of_32_kib() {
    let text: Vec<u8> = (0..).flat_map(|at: u32| format!("player {at}, ").into_bytes()).take(100_000).collect();
    for length in [128, 1023, 1024, 1025, 4096, 4097, 16_384, 16_385, 32_769, 100_000] {
        let mut out = BytesMut::new();
        let style = Outbound { compression: Some(1), dictionary: false };
        encode_response(1, &text[..length], false, style, &mut out).unwrap();
        assert_eq!(out[4..8], hex("14017801"), "{length} bytes");
        let read = decode_message(share(&out[HEADER..]), &no_dictionary(), LIMIT).unwrap();
        assert!(read.body == text[..length], "{length} bytes");
    }
}

#[test]
fn inflating_stops_at_the_limit() {
    let mut out = BytesMut::new();
    let style = Outbound { compression: Some(0), dictionary: false };
    encode_response(1, &vec![0; 3 * LIMIT], false, style, &mut out).unwrap();
    let bomb = out.split_off(HEADER).freeze();
    assert!(bomb.len() < LIMIT / 10);
    let read = |limit| decode_message(bomb.clone(), &no_dictionary(), limit);
    assert_eq!(read(3 * LIMIT).unwrap().body.len(), 3 * LIMIT);
    for limit in [0, 1, 1000, LIMIT, 3 * LIMIT - 1] {
        assert_eq!(read(limit), Err(MessageError::Body(InflateError::TooLarge { limit })));
    }
}

#[test]
fn zlib_that_is_cut_or_damaged_is_refused_and_what_follows_its_end_ignored() {
    let whole = hex("789c2a492d2e01040000ffff045d01c1");
    for cut in 0..whole.len() {
        assert_eq!(inflate(&whole[..cut], LIMIT), Err(InflateError::Invalid), "{cut} bytes");
    }
    let mut damaged = whole.clone();
    damaged[15] ^= 1;
    assert_eq!(inflate(&damaged, LIMIT), Err(InflateError::Invalid));
    let mut longer = whole;
    longer.extend_from_slice(b"more");
    assert_eq!(inflate(&longer, LIMIT).unwrap(), "test");
    // With a preset dictionary, and gzip.
    assert_eq!(inflate(&hex("78bb000000010300000000010000"), LIMIT), Err(InflateError::Invalid));
    assert_eq!(inflate(&hex("1f8b0800000000000003030000000000"), LIMIT), Err(InflateError::Invalid));
}

#[test]
fn routes() {
    for (route, expected) in [
        ("room.join", Ok((None, "room", "join", "room.join"))),
        ("game.room.join", Ok((Some("game"), "room", "join", "room.join"))),
        (" game. room .join ", Ok((Some(" game"), " room ", "join ", " room .join "))),
        ("", Err("route field can not be empty")),
        ("room", Err("invalid route")),
        ("a.b.c.d", Err("invalid route")),
        ("room.", Err("route field can not be empty")),
        (".join", Err("route field can not be empty")),
        ("game. \t.join", Err("route field can not be empty")),
        ("a.b.c.d.", Err("route field can not be empty")),
        ("a.b.c.d.\u{a0}", Err("route field can not be empty")),
    ] {
        let read = Route::parse(route)
            .map(|route| (route.server_type, route.service, route.method, route.service_method()))
            .map_err(|error| error.to_string());
        assert_eq!(read, expected.map_err(str::to_owned), "{route:?}");
    }
    let error = Error::from(Route::parse("room").unwrap_err());
    assert_eq!((error.code(), error.message()), (codes::BAD_REQUEST, "invalid route"));
}

#[test]
fn responses_are_appended_without_gaps() {
    let mut out = plain_response(1, b"one");
    encode_response(300, b"two", true, Outbound::PLAIN, &mut out).unwrap();
    assert_eq!(out, [hex("0400000504016f6e65"), hex("0400000624ac0274776f")].concat());
}

#[test]
fn text_is_compared_and_written_as_a_string() {
    let text = Text::try_from(Bytes::from_static("héllo".as_bytes())).unwrap();
    assert_eq!(text, Text::from_static("héllo"));
    assert_eq!((format!("{text}"), format!("{text:?}")), ("héllo".to_owned(), "\"héllo\"".to_owned()));
    assert_eq!(serde_json::to_string(&text).unwrap(), "\"héllo\"");
    assert_eq!(serde_json::from_str::<Text>("\"héllo\"").unwrap(), text);
    assert_eq!(Text::try_from(Bytes::from_static(b"\xff")), Err(NotUtf8));
    let mut map = std::collections::HashMap::from([(text.clone(), 1)]);
    assert_eq!(map.remove("héllo"), Some(1));
    assert!(Text::from_static("a") < Text::from(String::from("b")));
    assert_eq!(text.into_bytes(), "héllo".as_bytes());
}

#[test]
fn unknown_keys_of_the_configuration_are_errors() {
    let config: Config = serde_json::from_str(r#"{"compression":{"threshold":64},"push_codes":"always"}"#).unwrap();
    assert_eq!((config.compression.enabled, config.compression.threshold), (true, 64));
    assert_eq!((config.compression.max_inflated, config.push_codes), (1024 * 1024, PushCodes::Always));
    assert!(serde_json::from_str::<Config>(r#"{"compression":{"level":1}}"#).is_err());
    assert!(serde_json::from_str::<Config>(r#"{"compresion":{}}"#).is_err());
    assert_eq!(Config::default().compression.threshold, 128);
}

#[test]
fn a_push_for_many_is_encoded_once_for_each_way_to_read_it() {
    let dictionary = Dictionary::new([("coded", 7)]).unwrap();
    let style = |compression, dictionary| Outbound { compression, dictionary };
    for (route, body) in [("coded", vec![b'x'; 400]), ("plain", vec![b'x'; 400]), ("coded", vec![b'x'; 4])] {
        let push = SharedPush::new(Text::from_static(route), Bytes::from(body));
        let mut packets = Vec::new();
        for style in [style(None, false), style(Some(100), false), style(None, true), style(Some(100), true)] {
            let mut alone = BytesMut::new();
            encode_push(route, push.body(), &dictionary, style, &mut alone).unwrap();
            let packet = push.packet(&dictionary, style).unwrap();
            assert_eq!(*packet, alone, "{route} {style:?}");
            assert_eq!(packet.as_ptr(), push.packet(&dictionary, style).unwrap().as_ptr(), "it is the same packet");
            packets.push(packet.as_ptr());
        }
        packets.sort();
        packets.dedup();
        let (compresses, codes) = (push.body().len() > 100, route == "coded");
        assert_eq!(packets.len(), (1 + usize::from(compresses)) * (1 + usize::from(codes)), "{route}");
    }
    let long = SharedPush::new(Text::from("r".repeat(256)), Bytes::new());
    let error = Err(EncodeError::RouteTooLong { length: 256 });
    assert_eq!(long.packet(&dictionary, Outbound::PLAIN), error);
}
