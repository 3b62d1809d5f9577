//! What the hot path pays for bytes: reading a request, writing its response, its route, and the handshake.
#![allow(clippy::unwrap_used, reason = "a benchmark may fail by panicking")]

use std::hint::black_box;
use std::time::Duration;

use bytes::BytesMut;
use cereus::wire::{
    Dictionary, HandshakeResponse, Outbound, Route, decode_message, decode_packet, encode_push, encode_request,
    encode_response, parse_handshake, share,
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const LIMIT: usize = 1024 * 1024;
const ROUTE: &str = "game.bench.echo";
const COMPRESSED: Outbound = Outbound { compression: Some(128), dictionary: true };

/// Text as games send it: it repeats itself, and not too much.
fn json(length: usize) -> Vec<u8> {
    let entry = |at: usize| format!("{{\"id\":{at},\"x\":{},\"name\":\"player-{}\"}},", at * 7919 % 1000, at * 31 % 97);
    (0..).flat_map(|at| entry(at).into_bytes()).take(length).collect()
}

fn request(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode request");
    let dictionary = Dictionary::new([(ROUTE, 7)]).unwrap();
    for length in [64, 1024] {
        for (name, style) in [
            ("plain", Outbound::PLAIN),
            ("code", Outbound { dictionary: true, ..Outbound::PLAIN }),
            ("zlib", Outbound { compression: Some(0), dictionary: false }),
        ] {
            let mut packet = BytesMut::new();
            encode_request(300, ROUTE, &json(length), &dictionary, style, &mut packet).unwrap();
            group.throughput(Throughput::Elements(1));
            group.bench_function(BenchmarkId::new(name, length), |bencher| {
                bencher.iter(|| {
                    let (packet, _) = decode_packet(black_box(&packet), LIMIT).unwrap().unwrap();
                    decode_message(share(packet.body), &dictionary, LIMIT).unwrap()
                });
            });
        }
    }
    group.finish();
}

fn response(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode response");
    let mut out = BytesMut::with_capacity(64 * 1024);
    for length in [64, 1024] {
        for (name, style) in [("plain", Outbound::PLAIN), ("compressing", COMPRESSED)] {
            let body = json(length);
            group.throughput(Throughput::Elements(1));
            group.bench_function(BenchmarkId::new(name, length), |bencher| {
                bencher.iter(|| {
                    out.clear();
                    encode_response(black_box(300), black_box(&body), false, style, &mut out).unwrap();
                });
            });
        }
    }
    let dictionary = Dictionary::new([(ROUTE, 7)]).unwrap();
    for (name, style) in [("name", Outbound::PLAIN), ("code", COMPRESSED)] {
        let body = json(64);
        group.bench_function(BenchmarkId::new("push", name), |bencher| {
            bencher.iter(|| {
                out.clear();
                encode_push(black_box(ROUTE), black_box(&body), &dictionary, style, &mut out).unwrap();
            });
        });
    }
    group.finish();
}

fn route(criterion: &mut Criterion) {
    criterion.bench_function("parse route", |bencher| bencher.iter(|| Route::parse(black_box(ROUTE)).unwrap()));
}

fn handshake(criterion: &mut Criterion) {
    let request = br#"{"sys":{"platform":"mac","libVersion":"0.3.5-release","clientBuildNumber":"20","clientVersion":"2.1"},"user":{"age":30}}"#;
    criterion.bench_function("handshake/request", |bencher| {
        bencher.iter(|| parse_handshake(black_box(request)).unwrap());
    });
    let dictionary = Dictionary::default();
    let response = HandshakeResponse {
        code: HandshakeResponse::OK,
        dictionary: &dictionary,
        heartbeat: Duration::from_secs(30),
        serializer: "json",
    };
    let mut out = BytesMut::new();
    criterion.bench_function("handshake/response", |bencher| {
        bencher.iter(|| {
            out.clear();
            response.encode(COMPRESSED, &mut out).unwrap();
        });
    });
}

criterion_group!(benches, request, response, route, handshake);
criterion_main!(benches);
