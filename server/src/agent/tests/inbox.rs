//! Packets out of streams that are cut anywhere.

use bytes::Bytes;
use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};

use crate::{
    agent::{
        inbox::{Fault, Inbox, Incoming, Malformed, Next, Outcome},
        testing::packet,
    },
    wire::PacketKind,
};

const LIMIT: usize = 20_000;

type Found = Vec<(PacketKind, Vec<u8>)>;

fn kind(number: u8) -> PacketKind {
    PacketKind::from_byte(number).expect("it is one of five")
}

/// A receiver that keeps bodies, and stops before every `pause`th packet.
fn collect(found: &mut Found, pause: usize) -> impl FnMut(Incoming<'_>) -> Result<Next, ()> {
    let mut room = pause;
    move |mut incoming| {
        if room == 0 {
            room = pause;
            return Ok(Next::Keep);
        }
        room -= 1;
        let body = incoming.share();
        assert_eq!(body, incoming.body);
        found.push((incoming.kind, body.to_vec()));
        Ok(Next::Go)
    }
}

fn drain(inbox: &mut Inbox, found: &mut Found, pause: usize) {
    let mut receiver = collect(found, pause);
    while matches!(inbox.take(LIMIT, &mut receiver), Ok(Outcome::Stopped)) {}
}

fn packets() -> impl Strategy<Value = Found> {
    let body = proptest::collection::vec(any::<u8>(), 0..40);
    let body = proptest::prop_oneof![8 => body, 1 => (0..LIMIT).prop_map(|length| vec![1; length])];
    proptest::collection::vec((1..6_u8, body), 0..30)
        .prop_map(|packets| packets.into_iter().map(|(number, body)| (kind(number), body)).collect())
}

proptest! {
    #[test]
    fn cuts_and_pauses_change_nothing(sent in packets(), cuts in proptest::collection::vec(1..300_usize, 1..50), pause in 1..9_usize) {
        let bytes: Vec<u8> = sent.iter().flat_map(|(kind, body)| packet(*kind, body)).collect();
        let mut rest = &bytes[..];
        let (mut inbox, mut found) = (Inbox::default(), Found::new());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (now, later) = rest.split_at(rest.len().min(*cut));
            let outcome = inbox.stream(now, LIMIT, collect(&mut found, pause));
            if matches!(outcome, Ok(Outcome::Stopped)) {
                drain(&mut inbox, &mut found, pause);
            }
            rest = later;
        }
        prop_assert_eq!(found, sent);
        assert!(inbox.is_empty());
    }

    #[test]
    fn a_message_is_taken_whole(sent in packets(), pause in 1..9_usize) {
        let bytes: Vec<u8> = sent.iter().flat_map(|(kind, body)| packet(*kind, body)).collect();
        let (mut inbox, mut found) = (Inbox::default(), Found::new());
        let outcome = inbox.message(Bytes::from(bytes), LIMIT, collect(&mut found, pause));
        if matches!(outcome, Ok(Outcome::Stopped)) {
            drain(&mut inbox, &mut found, pause);
        }
        prop_assert_eq!(found, sent);
        assert!(inbox.is_empty());
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 1..200_usize) {
        let (mut inbox, mut found) = (Inbox::default(), Found::new());
        for chunk in bytes.chunks(cut) {
            if inbox.stream(chunk, LIMIT, collect(&mut found, usize::MAX)).is_err() {
                break;
            }
        }
        let _ = Inbox::default().message(Bytes::from(bytes), LIMIT, collect(&mut found, usize::MAX));
    }
}

#[test]
fn a_message_must_end_with_a_packet() {
    let whole = packet(PacketKind::Data, b"body");
    for cut in 1..whole.len() {
        let mut found = Found::new();
        let message = Bytes::from([&whole[..], &whole[..cut]].concat());
        let fault = Inbox::default().message(message, LIMIT, collect(&mut found, usize::MAX));
        assert!(matches!(fault, Err(Fault::Malformed(Malformed::CutMessage))), "cut at {cut}");
        assert_eq!(found.len(), 1);
    }
}
