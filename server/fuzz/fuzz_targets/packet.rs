//! A stream of packets: what is decoded is written again as it was, and nothing panics.
#![no_main]

use bytes::BytesMut;
use cereus::wire::{decode_packet, encode_packet};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut rest = input;
    while let Ok(Some((packet, used))) = decode_packet(rest, 1 << 16) {
        let (whole, after) = rest.split_at(used);
        let mut written = BytesMut::new();
        encode_packet(packet.kind, packet.body, &mut written).unwrap();
        assert_eq!(written, whole);
        rest = after;
    }
});
