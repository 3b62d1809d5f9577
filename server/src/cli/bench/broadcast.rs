//! Messages for all members of one group.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use rand::{RngCore as _, SeedableRng as _, rngs::StdRng};
use tokio::task::JoinSet;

use super::{
    arguments::BroadcastArguments,
    echo::{per_second, response_head},
    opening,
    process::{Process, Reading},
    report::BroadcastReport,
    statistics::Statistics,
};
use crate::{
    cli::client::{Connection, Options, decode_error},
    wire::{Dictionary, MAX_BODY, MessageKind, Outbound, PacketKind, decode_message, encode_notify, encode_request},
};

/// Digits of a message's number, behind the group's name and a `|`.
const DIGITS: usize = 16;
/// A member reads a push at a time, or a few: large buffers for many members would be the generator's own memory.
const READ_SIZE: usize = 2 * 1024;

/// What the connections of one run share.
struct Run {
    /// The group's name and the `|` behind it.
    prefix: String,
    members: usize,
    measured: Instant,
    end: Instant,
    state: Mutex<State>,
    /// The speaker's task: there may be room for another message.
    speaker: AtomicWaker,
}

struct State {
    statistics: Statistics,
    /// Messages that not all members have, from the one with the number `first` on.
    open: VecDeque<Message>,
    first: u64,
    outstanding: usize,
    /// Messages that all members got while it was measured.
    published: u64,
    /// Pushes that came out of their order, or twice.
    unordered: u64,
}

/// A message that was said.
struct Message {
    started: Instant,
    missing: usize,
}

impl Run {
    fn measures(&self, time: Instant) -> bool {
        self.measured <= time && time < self.end
    }
}

pub(super) async fn run(arguments: &BroadcastArguments) -> anyhow::Result<BroadcastReport> {
    let target = &arguments.target;
    let endpoint = super::endpoint(target).await?;
    let (servers, generator) = (Process::all(&target.pids)?, [Process::own()?]);
    let options = Options { timeout: target.timeout, read_size: READ_SIZE, ..Options::default() };
    let speaker = opening::open(&endpoint, options, 1, 1, 1).await?;
    let members = opening::open(&endpoint, options, arguments.members, arguments.opening, arguments.sources).await?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let group = format!("bench-{}-{}", std::process::id(), since.as_millis());
    let members = join(members, arguments, &group).await?;

    let start = Instant::now();
    let measured = start + arguments.warmup;
    let end = measured + arguments.duration;
    let state = State {
        statistics: Statistics::new()?,
        open: VecDeque::new(),
        first: 0,
        outstanding: 0,
        published: 0,
        unordered: 0,
    };
    let run = Arc::new(Run {
        prefix: format!("{group}|"),
        members: members.len(),
        measured,
        end,
        state: Mutex::new(state),
        speaker: AtomicWaker::new(),
    });
    let mut drivers = JoinSet::new();
    for connection in members {
        let mut member = Member { connection, run: run.clone(), next: 0 };
        drivers.spawn(async move { std::future::poll_fn(|context| member.poll(context)).await });
    }
    let mut speaking = JoinSet::new();
    for (connection, _) in speaker {
        let mut speaker = Speaker::new(connection, run.clone(), arguments);
        let deadline = end + target.timeout;
        speaking.spawn(async move {
            let speaking = std::future::poll_fn(|context| speaker.poll(context));
            // What is still open at the deadline is counted below.
            tokio::time::timeout_at(deadline.into(), speaking).await.unwrap_or(Ok(()))
        });
    }
    let measurement = async {
        tokio::time::sleep_until(measured.into()).await;
        let before = (Reading::take(&servers)?, Reading::take(&generator)?);
        tokio::time::sleep_until(end.into()).await;
        let after = (Reading::take(&servers)?, Reading::take(&generator)?);
        while let Some(spoken) = speaking.join_next().await {
            spoken??;
        }
        anyhow::Ok((before, after))
    };
    // Without one of the members no message would ever be with all of them.
    let lost = async {
        let lost = drivers.join_next().await.context("there are no members")?;
        lost?.and_then(|()| Err(anyhow!("a member's connection ended")))
    };
    let (before, after) = tokio::select! {
        biased;
        lost = lost => return lost,
        measured = measurement => measured?,
    };

    let state = run.state.lock();
    let pushes = state.statistics.answered;
    Ok(BroadcastReport {
        target: endpoint.name().to_owned(),
        transport: endpoint.transport().to_string(),
        service: arguments.service.clone(),
        members: arguments.members,
        outstanding: arguments.outstanding,
        body_bytes: arguments.body as usize,
        seconds: arguments.duration.as_secs_f64(),
        published: state.published,
        pushes,
        pushes_per_second: per_second(pushes, arguments.duration),
        latency_microseconds: state.statistics.latency(),
        unfinished: state.outstanding as u64,
        unordered: state.unordered,
        servers: before.0.until(&after.0, &servers, pushes),
        generator: before.1.until(&after.1, &generator, pushes),
    })
}

/// Makes every connection a member of `group`, as a user of its own.
async fn join(
    connections: Vec<(Connection, crate::wire::ServerHandshake)>,
    arguments: &BroadcastArguments,
    group: &str,
) -> anyhow::Result<Vec<Connection>> {
    let route = format!("{}.join", arguments.service);
    let dictionary = Dictionary::default();
    let mut joining = JoinSet::new();
    for (number, (mut connection, answer)) in connections.into_iter().enumerate() {
        let body = format!("{group}|{group}-{number}");
        encode_request(1, &route, body.as_bytes(), &dictionary, Outbound::PLAIN, connection.outgoing())?;
        let answered = async move {
            connection.flush().await?;
            loop {
                let (kind, body) = connection.next().await?.context("the server closed the connection")?;
                let Some(head) = response_head(&body).filter(|_| kind == PacketKind::Data) else { continue };
                if head.error {
                    let message = decode_message(body, &Dictionary::default(), MAX_BODY)?;
                    bail!("{}", decode_error(&message.body, &answer.serializer));
                }
                return anyhow::Ok(connection);
            }
        };
        joining.spawn(tokio::time::timeout(arguments.target.timeout, answered));
    }
    let mut members = Vec::new();
    while let Some(joined) = joining.join_next().await {
        members.push(joined?.context("no answer to a join")?.context("a member cannot join")?);
    }
    Ok(members)
}

/// Who says what all members get.
struct Speaker {
    connection: Connection,
    run: Arc<Run>,
    route: String,
    outstanding: usize,
    next: u64,
    /// Group, number and filling, as it was sent the last time.
    body: Vec<u8>,
}

impl Speaker {
    fn new(connection: Connection, run: Arc<Run>, arguments: &BroadcastArguments) -> Self {
        let mut filling = vec![0; (arguments.body as usize).saturating_sub(run.prefix.len() + DIGITS)];
        // Random letters do not shrink much, so that no server gains or loses by compressing them.
        StdRng::seed_from_u64(1).fill_bytes(&mut filling);
        for byte in &mut filling {
            *byte = b'0' + *byte % 64;
        }
        let body = [run.prefix.as_bytes(), &[b'0'; DIGITS], &filling].concat();
        let outstanding = arguments.outstanding as usize;
        Self { connection, run, route: format!("{}.say", arguments.service), outstanding, next: 0, body }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<anyhow::Result<()>> {
        self.run.speaker.register(context.waker());
        loop {
            let now = Instant::now();
            self.send(now)?;
            if let Poll::Ready(Err(error)) = self.connection.poll_flush(context) {
                return Poll::Ready(Err(error.into()));
            }
            if now >= self.run.end && self.run.state.lock().outstanding == 0 {
                return Poll::Ready(Ok(()));
            }
            match self.connection.poll_fill(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Ready(Ok(false)) => return Poll::Ready(Err(anyhow!("the server closed the connection"))),
                Poll::Ready(Ok(true)) => self.connection.drain(|kind, _| is_data(kind))?,
            }
        }
    }

    /// Say as much as may be outstanding.
    fn send(&mut self, now: Instant) -> anyhow::Result<()> {
        if now >= self.run.end {
            return Ok(());
        }
        let mut state = self.run.state.lock();
        while state.outstanding < self.outstanding {
            let number = format!("{:0DIGITS$x}", self.next);
            let start = self.run.prefix.len();
            if let Some(digits) = self.body.get_mut(start..start + DIGITS) {
                digits.copy_from_slice(number.as_bytes());
            }
            let (route, body) = (&self.route, &self.body);
            encode_notify(route, body, &Dictionary::default(), Outbound::PLAIN, self.connection.outgoing())?;
            state.open.push_back(Message { started: now, missing: self.run.members });
            state.outstanding += 1;
            self.next += 1;
        }
        Ok(())
    }
}

/// Who gets it.
struct Member {
    connection: Connection,
    run: Arc<Run>,
    /// The number of the message that should come next.
    next: u64,
}

impl Member {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<anyhow::Result<()>> {
        loop {
            if let Poll::Ready(Err(error)) = self.connection.poll_flush(context) {
                return Poll::Ready(Err(error.into()));
            }
            match self.connection.poll_fill(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Ready(Ok(false)) => return Poll::Ready(Err(anyhow!("the server closed a member's connection"))),
                Poll::Ready(Ok(true)) => self.receive(Instant::now())?,
            }
        }
    }

    /// Count the messages that have arrived.
    fn receive(&mut self, now: Instant) -> anyhow::Result<()> {
        let Member { connection, run, next } = self;
        let mut state = run.state.lock();
        let mut is_done = false;
        connection.drain(|kind, packet| {
            is_data(kind)?;
            let Some(number) = number(packet, &run.prefix)? else { return Ok(()) };
            if number != *next {
                state.unordered += 1;
            }
            *next = number + 1;
            if run.measures(now) {
                state.statistics.answered += 1;
            }
            let place = number.checked_sub(state.first).and_then(|place| usize::try_from(place).ok());
            let Some(message) = place.and_then(|place| state.open.get_mut(place)) else { return Ok(()) };
            message.missing = message.missing.saturating_sub(1);
            if message.missing > 0 {
                return Ok(());
            }
            let started = message.started;
            is_done = true;
            state.outstanding -= 1;
            if run.measures(now) {
                state.published += 1;
                state.statistics.record(now.saturating_duration_since(started));
            }
            while state.open.front().is_some_and(|message| message.missing == 0) {
                state.open.pop_front();
                state.first += 1;
            }
            Ok(())
        })?;
        drop(state);
        if is_done {
            run.speaker.wake();
        }
        Ok(())
    }
}

fn is_data(kind: PacketKind) -> anyhow::Result<()> {
    match kind {
        PacketKind::Data => Ok(()),
        PacketKind::Kick => bail!("the server kicked a client"),
        _ => bail!("the server sent a packet of kind {kind:?} after the handshake"),
    }
}

/// The number of a message that was said to the group; nothing for other packets.
fn number(packet: &[u8], prefix: &str) -> anyhow::Result<Option<u64>> {
    /// The bit of a compressed body.
    const COMPRESSED: u8 = 0b0001_0000;
    let Some((&[flag, length], rest)) = packet.split_first_chunk() else { return Ok(None) };
    if flag >> 1 & 0b111 != MessageKind::Push as u8 {
        return Ok(None);
    }
    let parse = |body: &[u8]| {
        let digits = body.strip_prefix(prefix.as_bytes())?.get(..DIGITS)?;
        u64::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
    };
    if flag & COMPRESSED == 0 {
        return Ok(rest.get(usize::from(length)..).and_then(parse));
    }
    let message = decode_message(Bytes::copy_from_slice(packet), &Dictionary::default(), MAX_BODY)?;
    Ok(parse(&message.body))
}
