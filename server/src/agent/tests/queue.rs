//! The bound of one client's queue.

use std::convert::Infallible;

use bytes::BytesMut;

use crate::agent::{
    buffers::Buffers,
    config::OutboundConfig,
    queue::{Amount, Batch, Overflow, Queue},
};

fn put(queue: &mut Queue, buffers: &Buffers, body: usize) -> Result<(), Overflow> {
    let bound = OutboundConfig { messages: 3, bytes: 100 };
    let encode = |packets: &mut BytesMut| {
        packets.extend_from_slice(&[4, 0, 0, body as u8]);
        packets.resize(packets.len() + body, 0);
        Ok::<_, Infallible>(())
    };
    let Ok(result) = queue.put(&bound, buffers, encode);
    result
}

#[test]
fn what_is_written_waits_no_more() {
    let (mut queue, buffers, mut batch) = (Queue::default(), Buffers::default(), Batch::default());
    for _ in 0..3 {
        put(&mut queue, &buffers, 6).expect("there is room");
    }
    batch.refill(&mut queue);
    assert_eq!(batch.rest().len(), 30);
    // One and a half packets are written.
    batch.advance(15);
    batch.blocked(&mut queue);
    assert_eq!(queue.waiting(), Amount { messages: 2, bytes: 15 });
    put(&mut queue, &buffers, 6).expect("two wait");
    assert_eq!(put(&mut queue, &buffers, 6), Err(Overflow));
    assert_eq!(queue.waiting(), Amount { messages: 3, bytes: 25 });

    batch.advance(15);
    batch.finish(&buffers);
    batch.refill(&mut queue);
    assert_eq!(queue.waiting(), Amount { messages: 1, bytes: 10 });
    batch.advance(10);
    batch.finish(&buffers);
    batch.refill(&mut queue);
    assert!(batch.is_empty());
    assert_eq!(queue.waiting(), Amount::default());
    assert_eq!(buffers.idle(), 2);
}

#[test]
fn one_that_is_too_large_by_itself_is_taken_alone() {
    let (mut queue, buffers, mut batch) = (Queue::default(), Buffers::default(), Batch::default());
    put(&mut queue, &buffers, 200).expect("nothing else waits");
    batch.refill(&mut queue);
    batch.blocked(&mut queue);
    assert_eq!(put(&mut queue, &buffers, 1), Err(Overflow));
}

#[test]
fn what_cannot_be_encoded_leaves_nothing() {
    let (mut queue, buffers) = (Queue::default(), Buffers::default());
    let bound = OutboundConfig::default();
    assert!(queue.put(&bound, &buffers, |_| Err("no")).is_err());
    assert!(queue.is_empty());
    assert_eq!(queue.waiting(), Amount::default());
    assert_eq!(buffers.idle(), 1);
}
