//! What holds for any message: it reads as it was written, and no cut or noise makes a panic.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::super::compression::{deflate_shorter, inflate};
use super::super::{varint, *};

const LIMIT: usize = 1024 * 1024;

fn dictionary() -> Dictionary {
    Dictionary::new([("onMessage", 0), ("room.room.join", 0x0102), ("a", 0xffff)]).unwrap()
}

/// Bodies of bytes that zlib can do nothing with, and of ones that it can.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..400),
        (any::<u8>(), 0..2000_usize).prop_map(|(byte, count)| vec![byte; count]),
    ]
}

fn routes() -> impl Strategy<Value = String> {
    prop_oneof![Just("onMessage".to_owned()), Just("a".to_owned()), "[a-zA-Zé.]{0,60}"]
}

fn messages() -> impl Strategy<Value = Message> {
    (0..4_u8, any::<u64>(), any::<u8>(), routes(), bodies(), any::<bool>()).prop_map(
        |(kind, id, shift, route, body, error)| {
            let kind = [MessageKind::Request, MessageKind::Notify, MessageKind::Response, MessageKind::Push]
                [usize::from(kind)];
            Message {
                kind,
                id: if kind.has_id() { id >> (shift % 64) } else { 0 },
                route: if kind.has_route() { Text::from(route) } else { Text::new() },
                body: Bytes::from(body),
                error: error && kind == MessageKind::Response,
            }
        },
    )
}

fn styles() -> impl Strategy<Value = Outbound> {
    (proptest::option::of(0..256_usize), any::<bool>())
        .prop_map(|(compression, dictionary)| Outbound { compression, dictionary })
}

fn encode(message: &Message, style: Outbound, out: &mut BytesMut) -> Result<(), EncodeError> {
    let Message { kind, id, route, body, error } = message;
    match kind {
        MessageKind::Request => encode_request(*id, route, body, &dictionary(), style, out),
        MessageKind::Notify => encode_notify(route, body, &dictionary(), style, out),
        MessageKind::Response => encode_response(*id, body, *error, style, out),
        MessageKind::Push => encode_push(route, body, &dictionary(), style, out),
    }
}

proptest! {
    #[test]
    fn a_message_reads_as_it_was_written(message in messages(), style in styles(), before in any::<[u8; 3]>()) {
        let mut written = BytesMut::from(&before[..]);
        encode(&message, style, &mut written).unwrap();
        prop_assert_eq!(&written[..3], &before);
        let input = &written[3..];
        let (packet, used) = decode_packet(input, LIMIT).unwrap().unwrap();
        prop_assert_eq!((packet.kind, used), (PacketKind::Data, input.len()));
        let compressed = packet.body[0] & 0b1_0000 != 0;
        if compressed {
            prop_assert!(message.body.len() >= style.compression.unwrap());
            let mut plain = BytesMut::new();
            encode(&message, Outbound { compression: None, ..style }, &mut plain).unwrap();
            prop_assert!(input.len() < plain.len());
        }
        let read = decode_message(Bytes::copy_from_slice(packet.body), &dictionary(), LIMIT).unwrap();
        prop_assert_eq!(&read, &message);
        for cut in 0..input.len() {
            prop_assert_eq!(decode_packet(&input[..cut], LIMIT), Ok(None));
        }
    }

    #[test]
    fn a_message_that_is_cut_never_reads_as_another(message in messages(), style in styles()) {
        let mut written = BytesMut::new();
        encode(&message, style, &mut written).unwrap();
        let whole = written.split_off(HEADER).freeze();
        let compressed = whole[0] & 0b1_0000 != 0;
        for cut in 0..whole.len() {
            match decode_message(whole.slice(..cut), &dictionary(), LIMIT) {
                // What is left of an uncompressed message can be a message with less of its body, and no more than that.
                Ok(read) => {
                    prop_assert!(!compressed);
                    prop_assert_eq!((read.kind, read.id, &read.route), (message.kind, message.id, &message.route));
                    prop_assert_eq!(&read.body, &message.body[..message.body.len() - (whole.len() - cut)]);
                }
                Err(error) => prop_assert!(!error.reason().is_empty()),
            }
        }
    }

    #[test]
    fn packets_back_to_back_come_apart_again(
        packets in proptest::collection::vec((1..6_u8, proptest::collection::vec(any::<u8>(), 0..40)), 0..8)
    ) {
        let mut written = BytesMut::new();
        for (kind, body) in &packets {
            encode_packet(PacketKind::from_byte(*kind).unwrap(), body, &mut written).unwrap();
        }
        let mut rest = &written[..];
        for (kind, body) in &packets {
            let (packet, used) = decode_packet(rest, LIMIT).unwrap().unwrap();
            prop_assert_eq!((packet.kind as u8, packet.body), (*kind, body.as_slice()));
            rest = &rest[used..];
        }
        prop_assert_eq!(decode_packet(rest, LIMIT), Ok(None));
    }

    #[test]
    fn ids_read_as_they_were_written(id in any::<u64>(), shift in 0..64_u32) {
        let id = id >> shift;
        let mut written = BytesMut::new();
        varint::encode(id, &mut written);
        prop_assert_eq!(written.len(), varint::length(id));
        prop_assert_eq!(varint::decode(&written), Ok((id, &[][..])));
        for cut in 0..written.len() {
            prop_assert_eq!(varint::decode(&written[..cut]), Err(MessageError::Truncated));
        }
    }

    #[test]
    fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_packet(&noise, LIMIT);
        let _ = decode_message(Bytes::from(noise.clone()), &dictionary(), 1000);
        let _ = parse_handshake(&noise);
        let _ = decode_handshake_response(&noise, LIMIT);
        let _ = Error::from_json(&noise);
        let _ = Error::from_protobuf(&noise);
        let _ = inflate(&noise, 1000);
        let _ = Route::parse(&String::from_utf8_lossy(&noise));
    }

    #[test]
    fn zlib_comes_back_whole_or_not_at_all(body in bodies(), limit in 0..2000_usize) {
        let mut written = BytesMut::new();
        if deflate_shorter(&body, &mut written) {
            prop_assert!(written.len() < body.len());
            let expected = if body.len() <= limit { Ok(Bytes::from(body)) } else { Err(InflateError::TooLarge { limit }) };
            prop_assert_eq!(inflate(&written, limit), expected);
            for cut in 0..written.len() {
                prop_assert!(inflate(&written[..cut], LIMIT).is_err());
            }
        } else {
            prop_assert!(written.is_empty());
        }
    }

    #[test]
    fn routes_are_their_parts(parts in proptest::collection::vec("[ a-zé]{0,3}", 0..5)) {
        let route = parts.join(".");
        let parts: Vec<_> = route.split('.').collect();
        let expected = match parts.as_slice() {
            parts if parts.iter().any(|part| part.trim().is_empty()) => Err(RouteError::EmptyField),
            [service, method] => Ok((None, *service, *method, route.clone())),
            [kind, service, method] => Ok((Some(*kind), *service, *method, format!("{service}.{method}"))),
            _ => Err(RouteError::Invalid),
        };
        let read = Route::parse(&route)
            .map(|read| (read.server_type, read.service, read.method, read.service_method().to_owned()));
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn errors_survive_both_encodings(
        code in ".{0,8}",
        message in ".{0,20}",
        metadata in proptest::collection::btree_map(".{0,4}", ".{0,4}", 0..3)
    ) {
        let error = metadata.into_iter().fold(Error::new(code, message), |error, (key, value)| error.with(key, value));
        prop_assert_eq!(&Error::from_json(&error.to_json()).unwrap(), &error);
        prop_assert_eq!(&Error::from_protobuf(&error.to_protobuf()).unwrap(), &error);
    }

    #[test]
    fn handshakes_read_as_they_were_written(
        texts in proptest::array::uniform6(".{0,6}"),
        flags in any::<[bool; 3]>(),
        user in proptest::collection::btree_map(".{0,4}", any::<i64>(), 0..3),
    ) {
        let [platform, lib_version, client_build_number, client_version, kind, version] = texts;
        let [dict, kick_reason, drain] = flags;
        let user = user.into_iter().map(|(key, value)| (key, value.into())).collect();
        let handshake = Handshake {
            platform, lib_version, client_build_number, client_version, kind, version, dict, kick_reason, drain, user
        };
        let mut written = BytesMut::new();
        handshake.encode(&mut written).unwrap();
        let (packet, _) = decode_packet(&written, LIMIT).unwrap().unwrap();
        prop_assert_eq!(packet.kind, PacketKind::Handshake);
        prop_assert_eq!(&parse_handshake(packet.body).unwrap(), &handshake);
        for cut in 0..packet.body.len() {
            prop_assert!(parse_handshake(&packet.body[..cut]).is_err());
        }
    }
}
