//! A link against the least that does the same: frames of the same schema, batched by the same rule, length-prefixed on
//! a TCP connection with one writer. Each runs its echoing end on a thread of its own, both in one process and one run,
//! because only the ratio of the two means something.
//!
//! After the timings it prints the CPU time that a call takes, both ends together.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench may fail by panicking, prints what it measured, and ends with all its tasks"
)]

use std::{
    future::poll_fn,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use bytes::{Buf, BytesMut};
use cereus::bench_support::{Batch, Client, Frame, Response, echo, frame::Kind, request, response::Outcome};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use parking_lot::Mutex;
use prost::Message;
use slab::Slab;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime::{Builder, Runtime},
    sync::Notify,
};

/// Calls in flight: one that waits for each answer, and a busy frontend.
const IN_FLIGHT: [u64; 3] = [1, 64, 400];

const BATCH_FRAMES: usize = 64;
const BATCH_BYTES: usize = 64 << 10;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Runs the echoing end on a thread of its own.
fn serve<F: Future<Output = ()>>(end: impl FnOnce(TcpListener) -> F + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || runtime().block_on(async { end(listener).await }));
    address
}

/// One end of the multiplexer: frames that wait for the writer.
#[derive(Default)]
struct Queue(Mutex<(Vec<Frame>, Option<Waker>)>);

impl Queue {
    fn push(&self, kind: Kind) {
        let waker = {
            let mut queue = self.0.lock();
            queue.0.push(Frame { kind: Some(kind) });
            queue.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn poll(&self, frames: &mut Vec<Frame>, context: &Context<'_>) -> Poll<()> {
        let mut queue = self.0.lock();
        if queue.0.is_empty() {
            queue.1 = Some(context.waker().clone());
            return Poll::Pending;
        }
        std::mem::swap(&mut queue.0, frames);
        Poll::Ready(())
    }

    /// The writer: all that is queued, in batches, with one write.
    async fn write(&self, mut socket: OwnedWriteHalf) {
        let (mut frames, mut out) = (Vec::new(), Vec::new());
        loop {
            poll_fn(|context| self.poll(&mut frames, context)).await;
            let mut batch = Batch::default();
            let mut bytes = 0;
            for frame in frames.drain(..) {
                let length = frame.encoded_len();
                if batch.frames.len() == BATCH_FRAMES || (!batch.frames.is_empty() && bytes + length > BATCH_BYTES) {
                    put(&mut batch, &mut out);
                    bytes = 0;
                }
                bytes += length;
                batch.frames.push(frame);
            }
            put(&mut batch, &mut out);
            if socket.write_all(&out).await.is_err() {
                return;
            }
            out.clear();
        }
    }
}

fn put(batch: &mut Batch, out: &mut Vec<u8>) {
    let length = u32::try_from(batch.encoded_len()).expect("a small batch");
    out.extend_from_slice(&length.to_be_bytes());
    batch.encode(out).expect("room");
    batch.frames.clear();
}

/// Hands over all frames that arrive.
async fn read(mut socket: OwnedReadHalf, mut deliver: impl FnMut(Kind)) {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(BATCH_BYTES);
        if !socket.read_buf(&mut buffer).await.is_ok_and(|read| read > 0) {
            return;
        }
        while let Some(length) = buffer.first_chunk().map(|length| u32::from_be_bytes(*length) as usize) {
            if buffer.len() < 4 + length {
                break;
            }
            buffer.advance(4);
            let batch = Batch::decode(buffer.split_to(length).freeze()).expect("a batch");
            batch.frames.into_iter().filter_map(|frame| frame.kind).for_each(&mut deliver);
        }
    }
}

async fn raw_echo(listener: TcpListener) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    while let Ok((socket, _)) = listener.accept().await {
        socket.set_nodelay(true).expect("a socket");
        let (reader, writer) = socket.into_split();
        let queue = Arc::new(Queue::default());
        let frames = queue.clone();
        tokio::spawn(async move { frames.write(writer).await });
        tokio::spawn(read(reader, move |kind| {
            if let Kind::Request(request) = kind {
                queue.push(Kind::Response(Response { id: request.id, outcome: Some(Outcome::Body(request.body)) }));
            }
        }));
    }
}

/// The calling end of the multiplexer.
#[derive(Default)]
struct Raw {
    queue: Queue,
    /// Calls in flight, by id, and those that are still to be made.
    calls: Mutex<(Slab<()>, u64)>,
    done: Notify,
}

impl Raw {
    async fn open(address: SocketAddr) -> Arc<Self> {
        let socket = TcpStream::connect(address).await.expect("a connection");
        socket.set_nodelay(true).expect("a socket");
        let (reader, writer) = socket.into_split();
        let raw = Arc::new(Self::default());
        let (writing, reading) = (raw.clone(), raw.clone());
        tokio::spawn(async move { writing.queue.write(writer).await });
        tokio::spawn(read(reader, move |kind| {
            if let Kind::Response(response) = kind {
                reading.answered(&response);
            }
        }));
        raw
    }

    fn call(&self) {
        let id = self.calls.lock().0.insert(()) as u64;
        self.queue.push(Kind::Request(cereus::bench_support::Request { id, ..request() }));
    }

    fn answered(&self, response: &Response) {
        let mut calls = self.calls.lock();
        calls.0.remove(usize::try_from(response.id).expect("an id"));
        if calls.1 > 0 {
            calls.1 -= 1;
            drop(calls);
            self.call();
        } else if calls.0.is_empty() {
            self.done.notify_one();
        }
    }

    async fn run(&self, count: u64, in_flight: u64) {
        let first = count.min(in_flight);
        self.calls.lock().1 = count - first;
        for _ in 0..first {
            self.call();
        }
        self.done.notified().await;
    }
}

/// CPU time of all threads of this process.
fn cpu() -> Duration {
    let nanoseconds = |task: std::fs::DirEntry| -> Option<u64> {
        std::fs::read_to_string(task.path().join("schedstat")).ok()?.split(' ').next()?.parse().ok()
    };
    let tasks = std::fs::read_dir("/proc/self/task").map(|tasks| tasks.flatten().filter_map(nanoseconds).sum());
    Duration::from_nanos(tasks.unwrap_or_default())
}

/// CPU time for each of `calls` calls, in microseconds.
fn cost(calls: u32, run: impl FnOnce()) -> f64 {
    let start = cpu();
    run();
    cpu().saturating_sub(start).as_secs_f64() * 1e6 / f64::from(calls)
}

fn link(criterion: &mut Criterion) {
    let runtime = runtime();
    let (link_address, raw_address) = (serve(echo), serve(raw_echo));
    let (link, raw) = runtime.block_on(async { (Client::open(link_address), Raw::open(raw_address).await) });
    let mut group = criterion.benchmark_group("link");
    group.throughput(Throughput::Elements(1)).measurement_time(Duration::from_secs(4)).sample_size(20);
    for in_flight in IN_FLIGHT {
        group.bench_function(format!("link, {in_flight} in flight"), |bencher| {
            bencher.iter_custom(|count| {
                let start = Instant::now();
                runtime.block_on(link.run(count, in_flight));
                start.elapsed()
            });
        });
        group.bench_function(format!("raw TCP, {in_flight} in flight"), |bencher| {
            bencher.iter_custom(|count| {
                let start = Instant::now();
                runtime.block_on(raw.run(count, in_flight));
                start.elapsed()
            });
        });
    }
    group.finish();
    let arguments: Vec<String> = std::env::args().collect();
    if !arguments.iter().any(|argument| argument == "--bench")
        || arguments.iter().any(|argument| argument == "--profile-time")
    {
        return;
    }
    for in_flight in IN_FLIGHT {
        let calls = if in_flight == 1 { 20_000 } else { 400_000 };
        for round in 1..=3 {
            let ours = cost(calls, || runtime.block_on(link.run(calls.into(), in_flight)));
            let theirs = cost(calls, || runtime.block_on(raw.run(calls.into(), in_flight)));
            println!(
                "CPU for a call, both ends, {in_flight} in flight, round {round}: link {ours:.2} µs, raw TCP {theirs:.2} µs"
            );
        }
    }
}

criterion_group!(benches, link);
criterion_main!(benches);
