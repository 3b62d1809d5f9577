//! Whole servers, each with threads of its own, that are told to stop.

use std::{
    io,
    net::SocketAddr,
    path::Path,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, duplex},
    net::TcpStream,
    sync::Notify,
    time::timeout,
};

use super::{
    Application, Phase, Running, Settings, StopRequests, StopStage, run::GRACE, run::run_until, workers::Background,
};
use crate::{
    acceptor::{Acceptor, Peer, Socket, StreamTransport},
    agent::testing::{ACK, handshake, request},
    handler::Service,
    topology::{DirectoryWriter, Server},
};

/// How long anything may take that should happen at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that runs in this process.
struct Process {
    stop: StopRequests,
    phases: mpsc::Receiver<(Phase, Running, Instant)>,
    thread: JoinHandle<anyhow::Result<()>>,
    running: Running,
}

impl Process {
    /// Starts a server with these settings and waits until it serves.
    fn start(settings: Value, prepare: impl FnOnce(&mut Application)) -> Self {
        let settings: Settings = serde_json::from_value(settings).unwrap();
        let mut application = Application::default();
        let echo = async |body: bytes::Bytes| body;
        application.service("test", Service::new().request("echo", echo));
        let (stop, (tell, phases)) = (StopRequests::default(), mpsc::channel());
        application.observe(move |phase, running| drop(tell.send((phase, running.clone(), Instant::now()))));
        prepare(&mut application);
        let until = stop.clone();
        let run = move || run_until(settings, application, Background::start()?, &until);
        let thread = std::thread::spawn(run);
        let (phase, running, _) = phases.recv_timeout(PATIENCE).unwrap();
        assert_eq!(phase, Phase::Serving);
        Self { stop, phases, thread, running }
    }

    /// A server that shows itself in `directory`, and knows those that do already.
    fn start_in(directory: &Path, mut settings: Value, prepare: impl FnOnce(&mut Application)) -> Self {
        settings["topology"] = json!({ "directory": directory });
        settings["link"] = json!({ "listen": "127.0.0.1:0" });
        let process = Self::start(settings, prepare);
        let writer = DirectoryWriter::new(directory).unwrap();
        let Running { id, server_type, link, .. } = process.running.clone();
        let address = link.unwrap();
        let server = Server {
            id,
            server_type,
            address,
            zone: None,
            version: None,
            ready: true,
            serving: true,
            terminating: false,
        };
        writer.write(&server).unwrap();
        process
    }

    /// Asks it to drain; when it began to.
    fn drain(&self) -> Instant {
        self.stop.at_least(StopStage::Drain);
        let (phase, _, at) = self.phases.recv_timeout(PATIENCE).unwrap();
        assert_eq!(phase, Phase::Draining);
        at
    }

    /// Waits for its end.
    fn end(self) {
        self.thread.join().unwrap().unwrap();
    }

    /// Where clients connect over TCP.
    fn tcp(&self) -> SocketAddr {
        self.running.acceptors[0].1.parse().unwrap()
    }

    /// What the admin port answers.
    async fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.running.admin.unwrap()).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// The status code of `/readyz`.
    async fn readiness(&self) -> String {
        self.get("/readyz").await.split(' ').nth(1).unwrap().to_owned()
    }

    /// What `/status` says of this.
    async fn status(&self, key: &str) -> Value {
        let answer = self.get("/status").await;
        let status: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        status[key].clone()
    }

    async fn queues(&self) -> Value {
        self.status("queues").await
    }
}

fn connector(linger: Duration) -> Value {
    let listen = json!([{ "name": "tcp", "protocol": "TCP", "address": "127.0.0.1:0" }]);
    let mut settings = custom(linger);
    settings["acceptor"] = json!({ "listen": listen });
    settings
}

/// A server whose clients come by acceptors that are made in code.
fn custom(linger: Duration) -> Value {
    let drain = json!({ "linger": format!("{}ms", linger.as_millis()) });
    json!({ "server": { "type": "connector", "workers": 2 }, "admin": { "listen": "127.0.0.1:0" }, "drain": drain })
}

async fn packet(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let length = timeout(PATIENCE, stream.read_u32()).await.unwrap().unwrap() & 0xFF_FFFF;
    let mut body = vec![0; length as usize];
    stream.read_exact(&mut body).await.unwrap();
    body
}

/// Shakes hands and asks `route` for an echo.
async fn greet(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), route: &str) {
    stream.write_all(&handshake("{}")).await.unwrap();
    packet(stream).await;
    stream.write_all(&[&ACK[..], &request(1, route, "hello")].concat()).await.unwrap();
    let answer = packet(stream).await;
    assert!(answer.ends_with(b"hello"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn a_server_without_sessions_stops_long_before_tasks_are_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let room = json!({ "server": { "type": "room", "id": "room-1", "workers": 2 } });
    let room = Process::start_in(directory.path(), room, |_| ());
    let connector = Process::start_in(directory.path(), connector(Duration::ZERO), |_| ());
    // A session that has gone, and its link, which stays.
    greet(&mut TcpStream::connect(connector.tcp()).await.unwrap(), "room.test.echo").await;
    // Connections on which nothing is said hold up neither the drain nor the end.
    let mut silent = Vec::new();
    for address in [connector.tcp(), connector.running.link.unwrap(), room.running.link.unwrap()] {
        for _ in 0..2 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
    }
    for process in [room, connector] {
        let name = process.running.server_type.clone();
        let start = Instant::now();
        process.stop.at_least(StopStage::Drain);
        process.end();
        assert!(start.elapsed() < GRACE / 2, "{name} took {:?}", start.elapsed());
    }
}

#[tokio::test]
async fn a_handler_that_computes_for_ever_does_not_keep_the_server_from_stopping() {
    let directory = tempfile::tempdir().unwrap();
    let room = json!({ "server": { "type": "room", "id": "room-1", "workers": 1 } });
    let room = Process::start_in(directory.path(), room, |_| ());
    let mut settings = connector(Duration::ZERO);
    settings["server"]["workers"] = json!(1);
    let (busy, (go_on, held)) = (Arc::new(Notify::new()), mpsc::channel::<()>());
    let (begun, held) = (busy.clone(), Arc::new(Mutex::new(held)));
    let connector = Process::start_in(directory.path(), settings, |application| {
        let compute = move |_: bytes::Bytes| {
            let (begun, held) = (begun.clone(), held.clone());
            async move {
                begun.notify_one();
                let _ = held.lock().recv();
                bytes::Bytes::new()
            }
        };
        application.service("long", Service::new().request("compute", compute));
    });
    let mut client = TcpStream::connect(connector.tcp()).await.unwrap();
    // It has a link, which its worker keeps.
    greet(&mut client, "room.test.echo").await;
    client.write_all(&request(2, "connector.long.compute", "")).await.unwrap();
    timeout(PATIENCE, busy.notified()).await.unwrap();
    connector.stop.at_least(StopStage::Close);
    let ended = tokio::task::spawn_blocking(move || connector.end());
    timeout(PATIENCE, ended).await.expect("it does not stop").unwrap();
    drop(go_on);
    room.stop.at_least(StopStage::Close);
    room.end();
}

#[tokio::test]
async fn a_server_that_is_deleted_is_ready_until_its_listeners_close_and_not_after() {
    let connector = Process::start(connector(Duration::from_millis(300)), |_| ());
    // It keeps the server draining.
    let mut client = TcpStream::connect(connector.tcp()).await.unwrap();
    greet(&mut client, "connector.test.echo").await;
    assert_eq!(connector.readiness().await, "200");
    let start = connector.drain();
    loop {
        let readiness = connector.readiness().await;
        match TcpStream::connect(connector.tcp()).await {
            Ok(_) => assert_eq!(readiness, "200", "it listened even after it was asked"),
            Err(_) => break,
        }
    }
    while connector.readiness().await != "503" {
        assert!(start.elapsed() < PATIENCE, "it is ready although it does not listen");
    }
    drop(client);
    connector.end();
}

#[tokio::test]
async fn draining_by_hand_ends_readiness_at_once() {
    let (go_on, held) = mpsc::channel::<()>();
    // It gets no further than to serve until the test lets it.
    let connector = Process::start(connector(Duration::from_mins(1)), |application| {
        application.observe(move |_, _| {
            let _ = held.recv();
        });
    });
    let mut stream = TcpStream::connect(connector.running.admin.unwrap()).await.unwrap();
    stream.write_all(b"POST /drain HTTP/1.0\r\n\r\n").await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
    assert_eq!(connector.readiness().await, "503");
    drop(go_on);
    connector.stop.at_least(StopStage::Close);
    connector.end();
}

/// Gives what it is told to, and says when it is asked and when it is dropped.
struct Scripted {
    name: &'static str,
    pipes: tokio::sync::mpsc::Receiver<DuplexStream>,
    asked: mpsc::Sender<()>,
    dropped: mpsc::Sender<Instant>,
}

impl Drop for Scripted {
    fn drop(&mut self) {
        // The test may have ended.
        let _ = self.dropped.send(Instant::now());
    }
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

    fn name(&self) -> &str {
        self.name
    }

    fn address(&self) -> String {
        "nowhere".to_owned()
    }

    async fn accept(&mut self) -> io::Result<(Pipe, Peer)> {
        let _ = self.asked.send(());
        match self.pipes.recv().await {
            Some(pipe) => Ok((Pipe(pipe), Peer::default())),
            None => std::future::pending().await,
        }
    }
}

/// Clients of one acceptor that is made in code.
struct Clients {
    pipes: tokio::sync::mpsc::Sender<DuplexStream>,
    asked: mpsc::Receiver<()>,
    dropped: mpsc::Receiver<Instant>,
}

impl Clients {
    fn of(application: &mut Application, name: &'static str) -> Self {
        let (pipes, accepted) = tokio::sync::mpsc::channel(8);
        let ((ask, asked), (drop, dropped)) = (mpsc::channel(), mpsc::channel());
        let acceptor = Scripted { name, pipes: accepted, asked: ask, dropped: drop };
        application.acceptor(move || Ok::<_, io::Error>(acceptor));
        Self { pipes, asked, dropped }
    }

    async fn connect(&self) -> DuplexStream {
        let (near, far) = duplex(1 << 16);
        self.pipes.send(far).await.unwrap();
        near
    }
}

#[tokio::test]
async fn a_drained_server_lingers_on_the_acceptors_of_the_game_too() {
    const LINGER: Duration = Duration::from_millis(300);
    let mut clients = None;
    let server = Process::start(custom(LINGER), |application| clients = Some(Clients::of(application, "own")));
    let clients = clients.unwrap();
    let start = server.drain();
    let mut late = clients.connect().await;
    greet(&mut late, "connector.test.echo").await;
    drop(late);
    let dropped = clients.dropped.recv_timeout(PATIENCE).unwrap();
    assert!(dropped - start >= LINGER, "it accepted for {:?}", dropped - start);
    server.end();
}

#[tokio::test]
async fn the_limit_of_connections_lets_each_acceptor_of_the_game_have_one() {
    let mut settings = custom(Duration::ZERO);
    settings["acceptor"] = json!({ "max_connections": 1, "max_pending_handshakes": 1 });
    let mut clients = Vec::new();
    let server = Process::start(settings, |application| {
        clients.extend(["one", "other"].map(|name| Clients::of(application, name)));
    });
    for clients in &clients {
        clients.asked.recv_timeout(PATIENCE).unwrap();
    }
    let mut streams = Vec::new();
    for clients in &clients {
        let mut stream = clients.connect().await;
        greet(&mut stream, "connector.test.echo").await;
        streams.push(stream);
    }
    drop(streams);
    server.drain();
    server.end();
}

#[tokio::test]
async fn every_queue_has_a_gauge() {
    let connector = Process::start(connector(Duration::ZERO), |_| ());
    let idle = json!({
        "client_outbound_messages": 0, "client_outbound_bytes": 0, "client_outbound_most_messages": 0, "handshakes": 0,
        "hand_over_connections": 0, "hand_over_lanes": 0, "hand_over_links": 0, "lane_jobs": 0,
    });
    assert_eq!(connector.queues().await, idle);
    let counters = connector.status("counters").await;
    for what_did_not_fit in ["links_full", "links_too_large", "notifies_failed"] {
        assert_eq!(counters[what_did_not_fit], 0, "{what_did_not_fit}");
    }
    let silent = TcpStream::connect(connector.tcp()).await.unwrap();
    let start = Instant::now();
    while connector.queues().await["handshakes"] != 1 {
        assert!(start.elapsed() < PATIENCE, "its handshake is not counted");
    }
    drop(silent);
    connector.drain();
    connector.end();
}
