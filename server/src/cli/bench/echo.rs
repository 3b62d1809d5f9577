//! Requests on open connections.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use anyhow::{anyhow, bail};
use bytes::Bytes;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use rand::{RngCore as _, SeedableRng as _, rngs::StdRng};
use tokio::task::JoinSet;

use super::{
    arguments::EchoArguments,
    opening,
    pace::{self, Schedule, Share},
    pending::Pending,
    process::{Process, Reading},
    report::EchoReport,
    statistics::Statistics,
};
use crate::{
    cli::client::{Connection, Options, decode_error},
    wire::{Dictionary, MAX_BODY, Outbound, PacketKind, decode_message, encode_request},
};

/// Handshakes under way at the same time before the load begins.
const OPENING: u64 = 64;
/// Requests that a connection may have open at a fixed rate; those due beyond them wait, and their latency counts that.
const MAX_OPEN: usize = 1024;

/// What the connections of one run share.
struct Run {
    route: String,
    body: Vec<u8>,
    /// Nothing has a code: the route is sent as it was typed.
    dictionary: Dictionary,
    /// From here to `end` it is measured; before, the load warms up.
    measured: Instant,
    end: Instant,
    statistics: Mutex<Statistics>,
}

impl Run {
    fn measures(&self, time: Instant) -> bool {
        self.measured <= time && time < self.end
    }
}

/// What a connection sends.
enum Load {
    /// So many requests in flight.
    InFlight(usize),
    /// Its share of a fixed rate.
    Rate(Share),
}

/// One connection and its requests.
struct Driver {
    connection: Connection,
    serializer: String,
    load: Load,
    pending: Pending,
    run: Arc<Run>,
    waker: Arc<AtomicWaker>,
}

pub(super) async fn run(arguments: &EchoArguments) -> anyhow::Result<EchoReport> {
    let target = &arguments.target;
    let endpoint = super::endpoint(target).await?;
    let (servers, generator) = (Process::all(&target.pids)?, [Process::own()?]);
    let options = Options { timeout: target.timeout, ..Options::default() };
    let connections = opening::open(&endpoint, options, arguments.connections, OPENING, 1).await?;

    let start = Instant::now();
    let measured = start + arguments.warmup;
    let end = measured + arguments.duration;
    let run = Arc::new(Run {
        route: arguments.route.clone(),
        body: body(arguments),
        dictionary: Dictionary::default(),
        measured,
        end,
        statistics: Mutex::new(Statistics::new()?),
    });
    let schedule = arguments.rate.map(|rate| Schedule { start, end, rate, connections: connections.len() as u64 });
    let mut wakers = Vec::new();
    let mut drivers = JoinSet::new();
    for (number, (connection, answer)) in (0..).zip(connections) {
        let waker = Arc::new(AtomicWaker::new());
        wakers.push(waker.clone());
        let driver = Driver {
            connection,
            serializer: answer.serializer,
            load: match schedule {
                None => Load::InFlight(arguments.in_flight as usize),
                Some(schedule) => Load::Rate(Share::new(schedule, number)),
            },
            pending: Pending::new(),
            run: run.clone(),
            waker,
        };
        drivers.spawn(driver.drive(end + target.timeout));
    }
    let measurement = async {
        tokio::time::sleep_until(measured.into()).await;
        let before = (Reading::take(&servers)?, Reading::take(&generator)?);
        tokio::time::sleep_until(end.into()).await;
        anyhow::Ok((before, (Reading::take(&servers)?, Reading::take(&generator)?)))
    };
    let pacing = async {
        match schedule {
            Some(schedule) => pace::pace(schedule, &wakers).await.map_err(anyhow::Error::from),
            None => Ok(()),
        }
    };
    let ((before, after), ()) = tokio::try_join!(measurement, pacing)?;
    let mut unsent = 0;
    while let Some(left) = drivers.join_next().await {
        unsent += left?;
    }

    let statistics = run.statistics.lock();
    Ok(EchoReport {
        target: endpoint.name().to_owned(),
        transport: endpoint.transport().to_string(),
        route: arguments.route.clone(),
        connections: arguments.connections,
        in_flight: arguments.rate.is_none().then_some(arguments.in_flight),
        rate: arguments.rate,
        body_bytes: run.body.len(),
        seconds: arguments.duration.as_secs_f64(),
        answered: statistics.answered,
        per_second: per_second(statistics.answered, arguments.duration),
        latency_microseconds: statistics.latency(),
        errors: statistics.errors.clone(),
        unanswered: statistics.unanswered,
        unsent,
        unexpected: statistics.unexpected,
        disconnected: statistics.disconnected,
        failures: statistics.failures.clone(),
        servers: before.0.until(&after.0, &servers, statistics.answered),
        generator: before.1.until(&after.1, &generator, statistics.answered),
    })
}

pub(super) fn per_second(count: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { count as f64 / time.as_secs_f64() }
}

/// The body of every request. Random bytes do not shrink, so that no server gains or loses by compressing them.
fn body(arguments: &EchoArguments) -> Vec<u8> {
    if let Some(text) = &arguments.payload {
        return text.clone().into_bytes();
    }
    let mut bytes = vec![0; arguments.body as usize];
    StdRng::seed_from_u64(1).fill_bytes(&mut bytes);
    bytes
}

impl Driver {
    /// Send and receive until the run is over and all is answered, at most until `deadline`. Gives the number of
    /// requests that were due and never sent.
    async fn drive(mut self, deadline: Instant) -> u64 {
        let work = std::future::poll_fn(|context| self.poll(context));
        let ended = match tokio::time::timeout_at(deadline.into(), work).await {
            Ok(Err(reason)) => Some(reason),
            Ok(Ok(())) | Err(_) => None,
        };
        let mut statistics = self.run.statistics.lock();
        let in_time = self.pending.started().filter(|started| self.run.measures(*started));
        statistics.unanswered += in_time.count() as u64;
        if let Some(reason) = ended {
            statistics.disconnected += 1;
            statistics.fail(&reason);
        }
        match self.load {
            Load::InFlight(_) => 0,
            Load::Rate(share) => share.left(),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<anyhow::Result<()>> {
        self.waker.register(context.waker());
        let mut now = Instant::now();
        loop {
            self.send(now)?;
            if let Poll::Ready(Err(error)) = self.connection.poll_flush(context) {
                return Poll::Ready(Err(error.into()));
            }
            if now >= self.run.end && self.pending.len() == 0 {
                return Poll::Ready(Ok(()));
            }
            match self.connection.poll_fill(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Ready(Ok(false)) => return Poll::Ready(Err(anyhow!("the server closed the connection"))),
                Poll::Ready(Ok(true)) => {
                    now = Instant::now();
                    self.receive(now)?;
                }
            }
        }
    }

    /// Queue all requests that are to be sent by `now`.
    fn send(&mut self, now: Instant) -> anyhow::Result<()> {
        if now >= self.run.end {
            return Ok(());
        }
        loop {
            let started = match &mut self.load {
                Load::InFlight(count) => (self.pending.len() < *count).then_some(now),
                Load::Rate(share) if self.pending.len() < MAX_OPEN => share.take(now),
                Load::Rate(_) => None,
            };
            let Some(started) = started else { return Ok(()) };
            let id = self.pending.open(started);
            let Run { route, body, dictionary, .. } = &*self.run;
            encode_request(id, route, body, dictionary, Outbound::default(), self.connection.outgoing())?;
        }
    }

    /// Count the answers that have arrived.
    fn receive(&mut self, now: Instant) -> anyhow::Result<()> {
        let Driver { connection, serializer, pending, run, .. } = self;
        let mut statistics = run.statistics.lock();
        connection.drain(|kind, body| {
            match kind {
                PacketKind::Data => {}
                PacketKind::Kick => bail!("the server kicked the client: {}", String::from_utf8_lossy(body)),
                _ => bail!("the server sent a packet of kind {kind:?} after the handshake"),
            }
            let Some(head) = response_head(body) else { return Ok(()) };
            let Some(started) = pending.close(head.id) else {
                statistics.unexpected += 1;
                return Ok(());
            };
            if run.measures(now) {
                statistics.answered += 1;
            }
            if run.measures(started) {
                statistics.record(now.saturating_duration_since(started));
                if head.error {
                    let message = decode_message(Bytes::copy_from_slice(body), &run.dictionary, MAX_BODY)?;
                    let error = decode_error(&message.body, serializer);
                    *statistics.errors.entry(error.code().to_owned()).or_default() += 1;
                }
            }
            Ok(())
        })
    }
}

/// What is needed of a response.
pub(super) struct ResponseHead {
    pub(super) id: u64,
    pub(super) error: bool,
}

/// The start of a response; nothing for other messages. A whole decode copies the body, which costs the generator more
/// than anything else it does for an answer.
pub(super) fn response_head(message: &[u8]) -> Option<ResponseHead> {
    let (flag, rest) = message.split_first()?;
    if flag >> 1 & 0b111 != 2 {
        return None;
    }
    let mut id = 0;
    for (position, byte) in rest.iter().take(10).enumerate() {
        id |= u64::from(byte & 0x7F) << (7 * position);
        if byte & 0x80 == 0 {
            return Some(ResponseHead { id, error: flag & 0x20 != 0 });
        }
    }
    None
}
