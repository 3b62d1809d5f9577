//! How many instructions the hot path executes, against limits that are committed here.
//!
//! Counted by Callgrind, so that a busy machine changes nothing. The same build counts the same each time; another
//! compiler, C library or processor (which chooses how memory is copied) moves a count a little. Hence a limit is about
//! five per cent above what was measured when it was set: room for that, and not for another allocation on the path.
//!
//! What a benchmark works on is made before counting starts and never dropped, so that only the work is counted. The
//! allocator is the system's.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::ref_option,
    reason = "a bench may fail by panicking; its macros make the rest"
)]

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use cereus::{
    bench_support::{Batch, LocalRequests, Queue},
    wire::{
        Dictionary, Message, Outbound, Route, decode_message, decode_packet, encode_request, encode_response, share,
    },
};
use gungraun::{Callgrind, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main};
use prost::Message as _;

const LIMIT: usize = 1024 * 1024;
const ROUTE: &str = "game.bench.echo";
const BODY: [u8; 64] = [7; 64];
/// A full batch.
const FRAMES: usize = 64;

/// No more than this many instructions.
fn at_most(instructions: u64) -> LibraryBenchmarkConfig {
    LibraryBenchmarkConfig::default().tool(Callgrind::default().hard_limits([(EventKind::Ir, instructions)])).clone()
}

fn leak<T>(value: T) -> &'static mut T {
    Box::leak(Box::new(value))
}

/// The packet of a request, and the dictionary to read it with.
fn packet() -> &'static (BytesMut, Dictionary) {
    let dictionary = Dictionary::new([(ROUTE, 7)]).expect("a dictionary");
    let mut packet = BytesMut::new();
    encode_request(300, ROUTE, &BODY, &dictionary, Outbound::PLAIN, &mut packet).expect("a small request");
    leak((packet, dictionary))
}

fn read((packet, dictionary): &(BytesMut, Dictionary)) -> Message {
    let (packet, _) = decode_packet(packet, LIMIT).expect("well-formed").expect("complete");
    decode_message(share(packet.body), dictionary, LIMIT).expect("well-formed")
}

#[library_benchmark(config = at_most(620))]
#[bench::plain(packet())]
fn decode_a_request(input: &(BytesMut, Dictionary)) -> Message {
    read(black_box(input))
}

fn room() -> &'static mut BytesMut {
    leak(BytesMut::with_capacity(64 * 1024))
}

#[library_benchmark(config = at_most(180))]
#[bench::plain(room())]
fn encode_a_response(out: &mut BytesMut) {
    encode_response(black_box(300), black_box(&BODY), false, Outbound::PLAIN, out).expect("a small response");
}

#[library_benchmark(config = at_most(247))]
#[bench::three_parts(ROUTE)]
fn parse_a_route(route: &str) -> Route<'_> {
    Route::parse(black_box(route)).expect("a route")
}

fn queue() -> (&'static mut Queue, &'static mut BytesMut) {
    (leak(Queue::of_requests(FRAMES)), room())
}

#[library_benchmark(config = at_most(77_600))]
#[bench::requests(queue())]
fn encode_a_batch((queue, out): (&mut Queue, &mut BytesMut)) {
    assert_eq!(queue.encode(black_box(out)), FRAMES);
}

/// A batch as it arrives.
fn batch() -> Bytes {
    let mut out = BytesMut::new();
    Queue::of_requests(FRAMES).encode(&mut out);
    out.freeze()
}

#[library_benchmark(config = at_most(111_600))]
#[bench::requests(batch())]
fn decode_a_batch(bytes: Bytes) -> Batch {
    let mut batch = Batch { frames: Vec::with_capacity(FRAMES) };
    batch.merge(black_box(bytes)).expect("a batch");
    assert_eq!(batch.frames.len(), FRAMES);
    batch
}

/// A worker that has handled a request, so that what only the first one does is not counted, and further requests that
/// come at once.
fn local(requests: usize) -> (&'static LocalRequests, Vec<Message>) {
    let worker = leak(LocalRequests::new().expect("a worker"));
    let message = read(packet());
    assert_eq!(worker.requests(vec![message.clone()]).as_deref(), Some(&BODY[..]));
    (worker, vec![message; requests])
}

#[library_benchmark]
#[bench::one(args = (local(1)), config = at_most(6_640))]
#[bench::eight(args = (local(8)), config = at_most(23_340))]
fn handle_local_requests((worker, messages): (&LocalRequests, Vec<Message>)) -> Bytes {
    worker.requests(black_box(messages)).expect("an answer")
}

library_benchmark_group!(
    name = hot_path,
    benchmarks =
        [decode_a_request, encode_a_response, parse_a_route, encode_a_batch, decode_a_batch, handle_local_requests]
);

main!(library_benchmark_groups = hot_path);
