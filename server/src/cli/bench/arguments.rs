//! What may be typed after `cereus bench`.

use std::time::Duration;

use clap::{Args, Subcommand, value_parser};

/// Most connections that one run opens.
const MAX_CONNECTIONS: u64 = 60_000;
/// Longest time that one run lasts, in each of its phases.
const MAX_TIME: Duration = Duration::from_hours(1);

/// Arguments of `cereus bench`.
#[derive(Args, Clone, Debug)]
pub(crate) struct BenchArguments {
    #[command(subcommand)]
    pub(super) load: Load,
}

/// The kinds of load.
#[derive(Subcommand, Clone, Debug)]
pub(super) enum Load {
    /// Requests on open connections: throughput, latency, CPU time per request.
    Echo(EchoArguments),
    /// Open connections that only answer heartbeats: memory per connection.
    Idle(IdleArguments),
    /// Connect, shake hands, close, again and again: connections per second, CPU time per connection.
    Churn(ChurnArguments),
    /// Messages to a group, each pushed to all members: pushes per second, latency, CPU time per push.
    Broadcast(BroadcastArguments),
}

/// What all kinds of load share.
#[derive(Args, Clone, Debug)]
pub(super) struct Target {
    /// The frontend's listener: `HOST:PORT`.
    #[arg(value_name = "ADDR")]
    pub(super) address: String,
    /// Speak WebSocket instead of plain TCP.
    #[arg(long)]
    pub(super) ws: bool,
    /// Allow a target on another machine.
    #[arg(long)]
    pub(super) allow_remote: bool,
    /// Processes whose CPU time and memory are reported; may be given more than once.
    #[arg(long = "pid", value_name = "PID", num_args = 1..)]
    pub(super) pids: Vec<u32>,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    pub(super) json: bool,
    /// How long a handshake or the last answers may take.
    #[arg(long, value_name = "TIME", default_value = "12s", value_parser = time)]
    pub(super) timeout: Duration,
}

/// Arguments of `cereus bench echo`.
#[derive(Args, Clone, Debug)]
pub(super) struct EchoArguments {
    #[command(flatten)]
    pub(super) target: Target,
    /// The route that is requested.
    #[arg(long)]
    pub(super) route: String,
    /// Connections that are opened.
    #[arg(long, default_value_t = 50, value_parser = value_parser!(u64).range(1..=MAX_CONNECTIONS))]
    pub(super) connections: u64,
    /// Requests that each connection keeps in flight: an answer makes room for the next request.
    #[arg(long, default_value_t = 8, value_parser = value_parser!(u64).range(1..=1024), conflicts_with = "rate")]
    pub(super) in_flight: u64,
    /// Requests per second over all connections, sent whether or not answers come; latency counts from the time a
    /// request was due.
    #[arg(long, value_parser = value_parser!(u64).range(1..=10_000_000))]
    pub(super) rate: Option<u64>,
    /// How long is measured.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(super) duration: Duration,
    /// How long the load runs before that.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = time)]
    pub(super) warmup: Duration,
    /// Bytes of each request's body, which does not compress.
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u32).range(0..=1_048_576))]
    pub(super) body: u32,
    /// The text of each request's body, instead of `--body` bytes.
    #[arg(long, value_name = "TEXT", conflicts_with = "body")]
    pub(super) payload: Option<String>,
}

/// Arguments of `cereus bench idle`.
#[derive(Args, Clone, Debug)]
pub(super) struct IdleArguments {
    #[command(flatten)]
    pub(super) target: Target,
    /// Connections that are opened.
    #[arg(long, default_value_t = 1000, value_parser = value_parser!(u64).range(1..=MAX_CONNECTIONS))]
    pub(super) connections: u64,
    /// How long they are held once all are open; memory is read at the end of it.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time)]
    pub(super) hold: Duration,
    /// Handshakes under way at the same time.
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u64).range(1..=1024))]
    pub(super) opening: u64,
    /// Loopback addresses that connections come from, in turn: 127.0.0.1, 127.0.0.2 and so on.
    #[arg(long, default_value_t = 4, value_parser = value_parser!(u32).range(1..=250))]
    pub(super) sources: u32,
}

/// Arguments of `cereus bench churn`.
#[derive(Args, Clone, Debug)]
pub(super) struct ChurnArguments {
    #[command(flatten)]
    pub(super) target: Target,
    /// Connections under way at the same time.
    #[arg(long, default_value_t = 32, value_parser = value_parser!(u64).range(1..=1024))]
    pub(super) opening: u64,
    /// How long is measured.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time)]
    pub(super) duration: Duration,
    /// How long the load runs before that.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time)]
    pub(super) warmup: Duration,
    /// Loopback addresses that connections come from, in turn, so that closed ones do not use up the ports.
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u32).range(1..=250))]
    pub(super) sources: u32,
}

/// Arguments of `cereus bench broadcast`.
#[derive(Args, Clone, Debug)]
pub(super) struct BroadcastArguments {
    #[command(flatten)]
    pub(super) target: Target,
    /// The service that members join and speak by: `TYPE.SERVICE`, with a request `join` that takes `GROUP|USER` and a
    /// notify `say` that takes `GROUP|TEXT` and pushes it to all members.
    #[arg(long, default_value = "game.bench")]
    pub(super) service: String,
    /// Connections that join the group.
    #[arg(long, default_value_t = 1000, value_parser = value_parser!(u64).range(1..=MAX_CONNECTIONS))]
    pub(super) members: u64,
    /// Messages that are kept on their way: one that all members have makes room for the next.
    #[arg(long, default_value_t = 4, value_parser = value_parser!(u64).range(1..=1024))]
    pub(super) outstanding: u64,
    /// How long is measured.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(super) duration: Duration,
    /// How long the load runs before that.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = time)]
    pub(super) warmup: Duration,
    /// Bytes of each message's body, at least as many as the group's name and a number take.
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u32).range(0..=1_048_576))]
    pub(super) body: u32,
    /// Handshakes under way at the same time.
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u64).range(1..=1024))]
    pub(super) opening: u64,
    /// Loopback addresses that connections come from, in turn: 127.0.0.1, 127.0.0.2 and so on.
    #[arg(long, default_value_t = 4, value_parser = value_parser!(u32).range(1..=250))]
    pub(super) sources: u32,
}

/// `10s`, `1500ms`, `2m`: read by the same parser as times elsewhere on the command line.
pub(in crate::cli) fn time(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| format!("`{text}` is not a time such as 10s, 500ms or 2m"))?;
    let seconds = match unit {
        "ms" => number / 1000.0,
        "s" => number,
        "m" => number * 60.0,
        _ => return Err(format!("`{text}` needs a unit: ms, s or m")),
    };
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if time <= MAX_TIME => Ok(time),
        _ => Err(format!("`{text}` is longer than {} minutes", MAX_TIME.as_secs() / 60)),
    }
}
