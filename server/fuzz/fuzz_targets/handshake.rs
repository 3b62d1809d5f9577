//! Handshakes of clients and of servers: what is understood survives being written and read again; nothing panics.
#![no_main]

use bytes::BytesMut;
use cereus::wire::{
    HandshakeResponse, Outbound, decode_handshake_response, decode_packet, encode_packet, parse_handshake, PacketKind,
};
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 1 << 16;

fuzz_target!(|input: &[u8]| {
    if let Ok(handshake) = parse_handshake(input) {
        let mut out = BytesMut::new();
        handshake.encode(&mut out).unwrap();
        let (packet, _) = decode_packet(&out, 1 << 20).unwrap().unwrap();
        assert_eq!(parse_handshake(packet.body).unwrap(), handshake);
    }
    let mut out = BytesMut::new();
    encode_packet(PacketKind::Handshake, input, &mut out).unwrap();
    if let Ok(Some((read, used))) = decode_handshake_response(&out, LIMIT) {
        assert_eq!(used, out.len());
        let mut again = BytesMut::new();
        let response = HandshakeResponse {
            code: read.code,
            dictionary: &read.dictionary,
            heartbeat: read.heartbeat,
            serializer: &read.serializer,
        };
        response.encode(Outbound { compression: Some(0), dictionary: true }, &mut again).unwrap();
        let (reread, _) = decode_handshake_response(&again, 1 << 20).unwrap().unwrap();
        assert_eq!((reread.code, reread.dictionary, reread.serializer), (read.code, read.dictionary, read.serializer));
    }
});
