//! A message: what is decoded can be written, and reads as the same message again; nothing panics or outgrows its limit.
#![no_main]

use bytes::{Bytes, BytesMut};
use cereus::wire::{
    Dictionary, MessageKind, Outbound, Route, decode_message, decode_packet, encode_notify, encode_push,
    encode_request, encode_response, share,
};
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 1 << 16;

fuzz_target!(|input: &[u8]| {
    let dictionary = Dictionary::new([("a", 1), ("onMessage", 4)]).unwrap();
    let read = decode_message(share(input), &dictionary, LIMIT);
    assert_eq!(read, decode_message(Bytes::copy_from_slice(input), &dictionary, LIMIT));
    let Ok(mut message) = read else { return };
    assert!(message.body.len() <= LIMIT.max(input.len()));
    let _ = Route::parse(&message.route);
    // Only a response can say that it is an error.
    message.error &= message.kind == MessageKind::Response;
    for compression in [None, Some(0)] {
        let style = Outbound { compression, dictionary: true };
        let (route, body) = (&message.route, &message.body);
        let mut out = BytesMut::new();
        match message.kind {
            MessageKind::Request => encode_request(message.id, route, body, &dictionary, style, &mut out),
            MessageKind::Notify => encode_notify(route, body, &dictionary, style, &mut out),
            MessageKind::Response => encode_response(message.id, body, message.error, style, &mut out),
            MessageKind::Push => encode_push(route, body, &dictionary, style, &mut out),
        }
        .unwrap();
        let (packet, used) = decode_packet(&out, 1 << 20).unwrap().unwrap();
        assert_eq!(used, out.len());
        let again = decode_message(share(packet.body), &dictionary, LIMIT.max(body.len())).unwrap();
        assert_eq!(again, message);
    }
});
