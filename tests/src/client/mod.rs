//! An independent client of the client protocol.
//!
//! A [`Client`] keeps all that it receives in a log, in the order of arrival, so that a test can ask what came before
//! what. Requests are promises by id; several messages can leave in one write; every wait has a deadline. A connection
//! can also be driven by hand, packet by packet or byte by byte, to test what a server does with clients that do not
//! keep the protocol. What the server does wrong ends the log with [`EventKind::Violation`].

mod heartbeats;
mod log;
mod reply;
#[cfg(test)]
mod tests;
mod transport;
pub mod wire;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{sync::watch, task::JoinSet};
use tokio_tungstenite::tungstenite::Message as Frame;

pub use heartbeats::Heartbeats;
pub use log::{Event, EventKind};
pub use reply::{Failure, Reply};
pub use transport::Transport;

use log::Log;
use transport::{Reader, Received, Writer};

/// How long a test waits for anything, unless it says otherwise: longer than a server's request timeout.
pub const TIMEOUT: Duration = Duration::from_secs(15);

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// The body of its Handshake packet.
    pub handshake: serde_json::Value,
    /// When it sends heartbeats.
    pub heartbeats: Heartbeats,
    /// How long it waits for what it asked for.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        let sys =
            serde_json::json!({"platform": "test", "libVersion": "1", "clientBuildNumber": "1", "clientVersion": "1"});
        Options {
            handshake: serde_json::json!({"sys": sys, "user": {}}),
            heartbeats: Heartbeats::Answer,
            timeout: TIMEOUT,
        }
    }
}

/// What the server said in its handshake response.
#[derive(Clone, Debug, PartialEq)]
pub struct Welcome {
    /// 200 when it accepts the client.
    pub code: u64,
    /// Seconds between its heartbeats.
    pub heartbeat: f64,
    /// The name of its serializer.
    pub serializer: String,
    /// Its codes for routes.
    pub dictionary: BTreeMap<String, u16>,
    /// The whole body.
    pub body: Bytes,
}

/// One connection to a frontend. It ends when this is dropped.
#[derive(Debug)]
pub struct Client {
    writer: Arc<tokio::sync::Mutex<Writer>>,
    log: Arc<Log>,
    welcome: Arc<Mutex<Option<Welcome>>>,
    next_id: AtomicU64,
    /// Where to look for the next push.
    pushes: AtomicUsize,
    timeout: Duration,
    _tasks: JoinSet<()>,
}

impl Client {
    /// Connect, shake hands, acknowledge.
    pub async fn connect(address: SocketAddr, transport: Transport) -> anyhow::Result<Client> {
        Client::connect_with(address, transport, &Options::default()).await
    }

    /// [`Client::connect`] with a behaviour of its own.
    pub async fn connect_with(address: SocketAddr, transport: Transport, options: &Options) -> anyhow::Result<Client> {
        let client = Client::open(address, transport, options).await?;
        client.shake_hands(options).await?;
        Ok(client)
    }

    /// Connect and do nothing more. Of the options the handshake is not used.
    pub async fn open(address: SocketAddr, transport: Transport, options: &Options) -> anyhow::Result<Client> {
        let connecting = transport::connect(address, transport);
        let (writer, reader) = tokio::time::timeout(options.timeout, connecting).await??;
        let writer = Arc::new(tokio::sync::Mutex::new(writer));
        let (log, welcome) = (Arc::new(Log::new()), Arc::default());
        let (beats, beat) = watch::channel(0);
        let mut tasks = JoinSet::new();
        tasks.spawn(receive(reader, log.clone(), Arc::clone(&welcome), beats));
        tasks.spawn(heartbeats::send(options.heartbeats, beat, writer.clone()));
        Ok(Client {
            writer,
            log,
            welcome,
            next_id: AtomicU64::new(1),
            pushes: AtomicUsize::new(0),
            timeout: options.timeout,
            _tasks: tasks,
        })
    }

    async fn shake_hands(&self, options: &Options) -> anyhow::Result<()> {
        self.handshake(options.handshake.to_string()).await?;
        let welcome = self.handshake_response().await?;
        ensure!(welcome.code == 200, "the server refused the handshake: {welcome:?}");
        self.ack().await
    }

    /// Send a Handshake packet.
    pub async fn handshake(&self, body: impl AsRef<[u8]>) -> anyhow::Result<()> {
        self.send_packets(vec![wire::packet(wire::HANDSHAKE, body.as_ref())]).await
    }

    /// Wait for the handshake's response.
    pub async fn handshake_response(&self) -> anyhow::Result<Welcome> {
        self.log.wait("handshake response", self.timeout, |_| self.welcome.lock().clone()).await
    }

    /// Send an Ack packet.
    pub async fn ack(&self) -> anyhow::Result<()> {
        self.send_packets(vec![wire::packet(wire::ACK, &[])]).await
    }

    /// Send a Heartbeat packet.
    pub async fn heartbeat(&self) -> anyhow::Result<()> {
        self.send_packets(vec![wire::packet(wire::HEARTBEAT, &[])]).await
    }

    /// Send a request and wait for its answer.
    pub async fn request(&self, route: &str, body: impl AsRef<[u8]>) -> anyhow::Result<Reply> {
        let id = self.begin(route, body).await?;
        self.reply(id).await
    }

    /// Send a request: its id.
    pub async fn begin(&self, route: &str, body: impl AsRef<[u8]>) -> anyhow::Result<u64> {
        let id = self.id();
        self.send_packets(vec![wire::request(id, route, body.as_ref())]).await?;
        Ok(id)
    }

    /// Wait for the answer to the request `id`.
    pub async fn reply(&self, id: u64) -> anyhow::Result<Reply> {
        let what = format!("answer to request {id}");
        let event = self.log.wait(&what, self.timeout, |log| log.responses(id).into_iter().next()).await?;
        let serializer = self.welcome.lock().as_ref().map(|welcome| welcome.serializer.clone()).unwrap_or_default();
        Reply::new(event, serializer).context("not a response")
    }

    /// Send a message that has no answer.
    pub async fn notify(&self, route: &str, body: impl AsRef<[u8]>) -> anyhow::Result<()> {
        self.send_packets(vec![wire::notify(route, body.as_ref())]).await
    }

    /// Messages that leave together.
    pub fn batch(&self) -> Batch<'_> {
        Batch { client: self, packets: Vec::new(), ids: Vec::new() }
    }

    /// An id for a request that is made by hand.
    pub fn id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Send whole packets with one write; on a WebSocket each is a message of its own.
    pub async fn send_packets(&self, packets: Vec<Vec<u8>>) -> anyhow::Result<()> {
        let mut writer = self.writer.lock().await;
        tokio::time::timeout(self.timeout, writer.send_packets(packets)).await.context("the server does not read")?
    }

    /// Send bytes with one write, or as one WebSocket message.
    pub async fn send_raw(&self, bytes: impl Into<Vec<u8>>) -> anyhow::Result<()> {
        let mut writer = self.writer.lock().await;
        tokio::time::timeout(self.timeout, writer.send(bytes.into())).await.context("the server does not read")?
    }

    /// Send one WebSocket message as it is.
    pub async fn send_frame(&self, frame: Frame) -> anyhow::Result<()> {
        let mut writer = self.writer.lock().await;
        tokio::time::timeout(self.timeout, writer.send_frame(frame)).await.context("the server does not read")?
    }

    /// Say that nothing more will be sent, and go on receiving.
    pub async fn finish(&self) -> anyhow::Result<()> {
        self.writer.lock().await.finish().await
    }

    /// The next push in the order of arrival that was not given yet.
    pub async fn next_push(&self) -> anyhow::Result<(String, Bytes)> {
        let is_push = |kind: &EventKind| matches!(kind, EventKind::Push { .. });
        let from = self.pushes.load(Ordering::Relaxed);
        let event = self.log.wait("push", self.timeout, |log| log.find_from(from, is_push)).await?;
        self.pushes.store(event.sequence + 1, Ordering::Relaxed);
        match event.kind {
            EventKind::Push { route, body } => Ok((route, body)),
            kind => anyhow::bail!("not a push: {kind:?}"),
        }
    }

    /// Wait for an event that `wanted` accepts; it may have come already. `what` names it when it does not come.
    pub async fn wait_for(&self, what: &str, wanted: impl Fn(&EventKind) -> bool) -> anyhow::Result<Event> {
        self.wait_for_nth(what, 1, wanted).await
    }

    /// Wait for the `count`-th event that `wanted` accepts, those included that have come already.
    pub async fn wait_for_nth(
        &self,
        what: &str,
        count: usize,
        wanted: impl Fn(&EventKind) -> bool,
    ) -> anyhow::Result<Event> {
        self.log.wait(what, self.timeout, |log| log.find(count - 1, &wanted)).await
    }

    /// Wait for the end of the connection: how it came.
    ///
    /// # Errors
    ///
    /// When it does not end, and when the server broke the protocol first.
    pub async fn closed(&self) -> anyhow::Result<String> {
        match self.log.wait("end of the connection", self.timeout, Log::end).await?.kind {
            EventKind::Closed(how) => Ok(how),
            kind => anyhow::bail!("the server broke the protocol: {kind:?}"),
        }
    }

    /// Whether the connection is open, as far as is known.
    pub fn is_open(&self) -> bool {
        self.log.end().is_none()
    }

    /// All that has been received so far.
    pub fn events(&self) -> Vec<Event> {
        self.log.events()
    }

    /// How many answers the request `id` has got: a server that keeps the protocol gives one.
    pub fn answers(&self, id: u64) -> usize {
        self.log.responses(id).len()
    }
}

/// Messages that leave together, with one write.
#[derive(Debug)]
pub struct Batch<'a> {
    client: &'a Client,
    packets: Vec<Vec<u8>>,
    ids: Vec<u64>,
}

impl Batch<'_> {
    /// Add a request.
    #[must_use]
    pub fn request(mut self, route: &str, body: impl AsRef<[u8]>) -> Self {
        let id = self.client.id();
        self.ids.push(id);
        self.packets.push(wire::request(id, route, body.as_ref()));
        self
    }

    /// Add a message that has no answer.
    #[must_use]
    pub fn notify(mut self, route: &str, body: impl AsRef<[u8]>) -> Self {
        self.packets.push(wire::notify(route, body.as_ref()));
        self
    }

    /// Add a packet that was made by hand.
    #[must_use]
    pub fn packet(mut self, packet: Vec<u8>) -> Self {
        self.packets.push(packet);
        self
    }

    /// Send all: the ids of the requests. On a WebSocket each packet is a message of its own.
    pub async fn send(self) -> anyhow::Result<Vec<u64>> {
        self.client.send_packets(self.packets).await?;
        Ok(self.ids)
    }

    /// Send all as one piece, on a WebSocket as one message: the ids of the requests.
    pub async fn send_joined(self) -> anyhow::Result<Vec<u64>> {
        self.client.send_raw(self.packets.concat()).await?;
        Ok(self.ids)
    }
}

async fn receive(mut reader: Reader, log: Arc<Log>, welcome: Arc<Mutex<Option<Welcome>>>, beats: watch::Sender<u64>) {
    let mut dictionary = BTreeMap::new();
    loop {
        let event = match reader.receive().await {
            Ok(Received::Packet(wire::HEARTBEAT, _)) => {
                beats.send_modify(|count| *count += 1);
                EventKind::Heartbeat
            }
            Ok(Received::Packet(kind, body)) => understand(kind, &body, &welcome, &mut dictionary)
                .unwrap_or_else(|reason| EventKind::Violation(format!("{reason:#}"))),
            Ok(Received::End(how)) => EventKind::Closed(how),
            Err(reason) => EventKind::Violation(format!("{reason:#}")),
        };
        let end = event.is_end();
        log.append(event);
        if end {
            return;
        }
    }
}

fn understand(
    kind: u8,
    body: &Bytes,
    welcome: &Mutex<Option<Welcome>>,
    dictionary: &mut BTreeMap<u16, String>,
) -> anyhow::Result<EventKind> {
    match kind {
        wire::HANDSHAKE => {
            let answer = reply::welcome(body)?;
            let mut welcome = welcome.lock();
            ensure!(welcome.is_none(), "a second handshake response");
            dictionary.extend(answer.dictionary.iter().map(|(route, code)| (*code, route.clone())));
            let body = answer.body.clone();
            *welcome = Some(answer);
            Ok(EventKind::Handshake(body))
        }
        wire::DATA => Ok(match wire::message(body, dictionary)? {
            wire::Message::Response { id, error, body } => EventKind::Response { id, error, body },
            wire::Message::Push { route, body } => EventKind::Push { route, body },
        }),
        wire::KICK => Ok(EventKind::Kick(body.clone())),
        _ => anyhow::bail!("a server does not send packets of type {kind}"),
    }
}
