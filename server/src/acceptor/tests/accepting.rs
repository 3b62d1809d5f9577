//! The accept loop and the TCP acceptor.

use std::{
    collections::VecDeque,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    net::TcpStream,
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Running;
use crate::{
    acceptor::{
        Acceptor, Admission, Config, Peer, Socket, StreamTransport, TcpAcceptor, WebSocketAcceptor, run, table,
    },
    agent::testing::{ACK, Bench, handshake, request},
    session::{CloseReason, KickReason},
};

fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// Shake hands; the answer is dropped.
async fn greet(stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin)) {
    stream.write_all(&handshake("{}")).await.expect("the server reads");
    let length = stream.read_u32().await.expect("the server answers") & 0xFF_FFFF;
    let mut answer = vec![0; length as usize];
    stream.read_exact(&mut answer).await.expect("the answer is whole");
    stream.write_all(&ACK).await.expect("the server reads");
}

#[tokio::test]
async fn a_client_connects_over_tcp() {
    let acceptor = TcpAcceptor::bind("tcp", loopback()).expect("a free port");
    let address = acceptor.local_address();
    assert_eq!(acceptor.address(), address.to_string());
    let mut running = Running::start(acceptor);
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    greet(&mut stream).await;
    let notes = running.bench.opened().await;
    stream.write_all(&request(1, "a", "hello")).await.expect("the server reads");
    assert_eq!(&*notes.next_message().await.body, b"hello");
    drop(stream);
    assert_eq!(notes.next_close().await, CloseReason::ClientClosed);
    running.end().await;
    assert!(TcpStream::connect(address).await.is_err(), "it still listens");
}

#[test]
fn an_address_in_use_is_named() {
    let first = TcpAcceptor::bind("first", loopback()).expect("a free port");
    let address = first.local_address();
    let errors = [
        TcpAcceptor::bind("second", address).expect_err("it is in use"),
        WebSocketAcceptor::bind("second", address, 1024).expect_err("it is in use"),
    ];
    for error in errors {
        assert_eq!(error.to_string(), format!("acceptor \"second\" cannot listen on {address}"));
        assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
    }
}

#[tokio::test]
async fn at_the_limit_accepting_waits() {
    let acceptor = TcpAcceptor::bind("tcp", loopback()).expect("a free port");
    let address = acceptor.local_address();
    let config = Config { max_connections: 2, ..Config::default() };
    let mut running = Running::start_with(acceptor, &config);
    let mut streams = VecDeque::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        greet(&mut stream).await;
        running.bench.opened().await;
        streams.push_back(stream);
    }
    // The system completes the connection, but nobody answers.
    let mut third = TcpStream::connect(address).await.expect("it is in the backlog");
    third.write_all(&handshake("{}")).await.expect("the system takes it");
    let answer = timeout(Duration::from_millis(50), third.read_u32()).await;
    assert!(answer.is_err(), "{answer:?}");
    streams.pop_front();
    assert_eq!(third.read_u8().await.expect("now it is its turn"), 1);
    drop((streams, third));
    running.end().await;
}

#[tokio::test]
async fn so_many_strangers_and_no_more() {
    let acceptor = TcpAcceptor::bind("tcp", loopback()).expect("a free port");
    let address = acceptor.local_address();
    let config = Config { max_pending_handshakes: 1, ..Config::default() };
    let mut running = Running::start_with(acceptor, &config);
    let mut first = TcpStream::connect(address).await.expect("it listens");
    let mut second = TcpStream::connect(address).await.expect("it listens");
    second.write_all(&handshake("{}")).await.expect("the system takes it");
    assert!(timeout(Duration::from_millis(50), second.read_u8()).await.is_err());
    greet(&mut first).await;
    running.bench.opened().await;
    assert_eq!(second.read_u8().await.expect("now it is its turn"), 1);
    drop((first, second));
    running.end().await;
}

/// A socket that is closed with unread bytes is reset, and then the peer may lose what it was sent.
#[tokio::test]
async fn the_last_words_reach_a_client_that_goes_on_sending() {
    for handshaken in [false, true] {
        let acceptor = TcpAcceptor::bind("tcp", loopback()).expect("a free port");
        let address = acceptor.local_address();
        let mut running = Running::start(acceptor);
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let (reason, last_words) = if handshaken {
            greet(&mut stream).await;
            let notes = running.bench.opened().await;
            notes.entity.kick(notes.record.id(), KickReason::Application);
            (CloseReason::Kicked, 5)
        } else {
            stream.write_all(&handshake("[]")).await.expect("the server reads");
            (CloseReason::InvalidHandshake, 1)
        };
        stream.write_all(&vec![0; 100_000]).await.expect("the server reads");
        running.stop.cancel();
        running.tasks.close();
        let ended = async {
            while running.bench.worker.counts().closed(reason) == 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(5), ended).await.expect("the connection ends");
        stream.write_all(&vec![0; 100_000]).await.expect("the server still takes it");
        assert_eq!(stream.read_u8().await.expect("it was not lost"), last_words);
        drop(stream);
        running.end().await;
    }
}

/// Gives what it is told to.
struct Scripted {
    results: mpsc::Receiver<io::Result<Pipe>>,
}

struct Pipe(DuplexStream);

impl Socket for Pipe {
    type Transport = StreamTransport<DuplexStream>;

    async fn open(self, peer: Peer) -> io::Result<(Self::Transport, Peer)> {
        Ok((StreamTransport::new(self.0), peer))
    }
}

impl Acceptor for Scripted {
    type Socket = Pipe;

    fn name(&self) -> &'static str {
        "scripted"
    }

    fn address(&self) -> String {
        "nowhere".to_owned()
    }

    async fn accept(&mut self) -> io::Result<(Pipe, Peer)> {
        match self.results.recv().await {
            Some(result) => result.map(|pipe| (pipe, Peer::default())),
            None => std::future::pending().await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_system_out_of_files_slows_accepting_down() {
    const EMFILE: i32 = 24;
    let (script, results) = mpsc::channel(100);
    let mut running = Running::start(Scripted { results });
    let start = Instant::now();
    for _ in 0..8 {
        script.send(Err(io::Error::from_raw_os_error(EMFILE))).await.expect("it accepts");
    }
    let (mut client, far) = duplex(1024);
    script.send(Ok(Pipe(far))).await.expect("it accepts");
    greet(&mut client).await;
    running.bench.opened().await;
    // 10 + 20 + 40 + 80 + 160 + 320 + 500 + 500 ms.
    assert_eq!(start.elapsed().as_millis() / 10, 163);

    // A client that gave up in the backlog slows nothing down.
    let start = Instant::now();
    script.send(Err(io::ErrorKind::ConnectionAborted.into())).await.expect("it accepts");
    let (mut other, far) = duplex(1024);
    script.send(Ok(Pipe(far))).await.expect("it accepts");
    greet(&mut other).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    drop((client, other));
    running.end().await;
}

#[tokio::test(start_paused = true)]
#[allow(clippy::disallowed_methods, reason = "the test waits for the tasks itself")]
async fn each_goes_to_the_worker_with_the_fewest() {
    let (script, results) = mpsc::channel(100);
    let (dealer, seats) = table(3);
    let stop = CancellationToken::new();
    let admission = Admission::new(&Config::default(), 1);
    let gauge = dealer.gauge();
    tokio::spawn(run(Scripted { results }, admission, dealer, stop.clone()));
    // Nobody takes it yet.
    let (early, far) = duplex(1024);
    script.send(Ok(Pipe(far))).await.expect("it accepts");
    sleep(Duration::from_millis(1)).await;
    assert_eq!(gauge(), 1);
    drop(early);
    let benches: Vec<_> = seats.iter().map(|_| Bench::new()).collect();
    for (seat, bench) in seats.into_iter().zip(&benches) {
        tokio::spawn(seat.serve(Arc::clone(&bench.worker), TaskTracker::new()));
    }
    sleep(Duration::from_millis(1)).await;
    assert_eq!(gauge(), 0);
    let counts = || benches.iter().map(|bench| bench.worker.counts().pending()).collect::<Vec<_>>();
    let mut clients = VecDeque::new();
    for _ in 0..7 {
        let (client, far) = duplex(1024);
        script.send(Ok(Pipe(far))).await.expect("it accepts");
        clients.push_back(client);
    }
    sleep(Duration::from_millis(1)).await;
    let mut dealt = counts();
    dealt.sort_unstable();
    assert_eq!(dealt, [2, 2, 3]);
    // They went around, so these two were one worker's: it gets the next two.
    let before = counts();
    drop((clients.remove(4), clients.remove(1)));
    sleep(Duration::from_millis(1)).await;
    assert_ne!(counts(), before);
    for _ in 0..2 {
        let (client, far) = duplex(1024);
        script.send(Ok(Pipe(far))).await.expect("it accepts");
        clients.push_back(client);
    }
    sleep(Duration::from_millis(1)).await;
    assert_eq!(counts(), before);
    stop.cancel();
    sleep(Duration::from_millis(1)).await;
    assert_eq!(gauge(), 0, "it keeps no queue");
}
