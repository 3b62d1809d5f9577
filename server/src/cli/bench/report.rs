//! What is printed: a table for people, or one JSON object.
#![allow(clippy::print_stdout, reason = "the command line prints its result")]

use std::{collections::BTreeMap, fmt::Write as _};

use serde::Serialize;

use super::{process::CpuUse, statistics::Latency};

/// What a kind of load found.
pub(super) trait Report: Serialize {
    /// The name of the kind of load.
    const LOAD: &'static str;

    /// A heading, then rows of a name and a text.
    fn rows(&self, table: &mut Table);
}

/// Print `report`.
pub(super) fn print<R: Report>(report: &R, json: bool) -> anyhow::Result<()> {
    println!("{}", if json { to_json(report)? } else { to_table(report) });
    Ok(())
}

pub(super) fn to_json<R: Report>(report: &R) -> anyhow::Result<String> {
    #[derive(Serialize)]
    struct Named<'a, R> {
        load: &'static str,
        #[serde(flatten)]
        report: &'a R,
    }
    Ok(serde_json::to_string(&Named { load: R::LOAD, report })?)
}

pub(super) fn to_table<R: Report>(report: &R) -> String {
    let mut table = Table::default();
    report.rows(&mut table);
    table.text
}

/// Rows in two columns.
#[derive(Debug, Default)]
pub(super) struct Table {
    text: String,
}

impl Table {
    fn row(&mut self, name: &str, value: impl AsRef<str>) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        let _ = write!(self.text, "{name:<13} {}", value.as_ref());
    }

    fn counts(&mut self, name: &str, counts: &BTreeMap<String, u64>) {
        for (what, count) in counts {
            self.row(name, format!("{count} × {what}"));
        }
    }

    fn latency(&mut self, name: &str, latency: &Latency) {
        let Latency { mean, p50, p99, p99_9, max } = *latency;
        let value = [("p50", p50), ("p99", p99), ("p99.9", p99_9), ("max", max), ("mean", mean)]
            .map(|(name, value)| format!("{name} {}", time(value)))
            .join("   ");
        self.row(name, value);
    }

    fn cpu(&mut self, name: &str, each: &str, processes: &[CpuUse]) {
        for process in processes {
            let CpuUse { pid, name: command, microseconds_each, cores } = process;
            self.row(name, format!("{:>9} a {each}   {cores:.2} cores   {command} ({pid})", time(*microseconds_each)));
        }
        if processes.len() > 1 {
            let (each_sum, cores) = processes
                .iter()
                .fold((0.0, 0.0), |sum, process| (sum.0 + process.microseconds_each, sum.1 + process.cores));
            self.row(name, format!("{:>9} a {each}   {cores:.2} cores   together", time(each_sum)));
        }
    }
}

fn time(microseconds: f64) -> String {
    if microseconds < 1000.0 {
        format!("{microseconds:.2} µs")
    } else if microseconds < 1_000_000.0 {
        format!("{:.2} ms", microseconds / 1000.0)
    } else {
        format!("{:.2} s", microseconds / 1_000_000.0)
    }
}

/// `echo`.
#[derive(Debug, Serialize)]
pub(super) struct EchoReport {
    pub(super) target: String,
    pub(super) transport: String,
    pub(super) route: String,
    pub(super) connections: u64,
    pub(super) in_flight: Option<u64>,
    pub(super) rate: Option<u64>,
    pub(super) body_bytes: usize,
    pub(super) seconds: f64,
    /// Answers that arrived in the measured time, errors included.
    pub(super) answered: u64,
    pub(super) per_second: f64,
    /// Of the requests sent, or due, in the measured time.
    pub(super) latency_microseconds: Latency,
    pub(super) errors: BTreeMap<String, u64>,
    /// Requests sent in the measured time that got no answer.
    pub(super) unanswered: u64,
    /// Requests of a fixed rate that were due and found no room.
    pub(super) unsent: u64,
    /// Answers to no open request: always an error of the server.
    pub(super) unexpected: u64,
    pub(super) disconnected: u64,
    pub(super) failures: BTreeMap<String, u64>,
    pub(super) servers: Vec<CpuUse>,
    pub(super) generator: Vec<CpuUse>,
}

impl Report for EchoReport {
    const LOAD: &'static str = "echo";

    fn rows(&self, table: &mut Table) {
        table.row("target", format!("{} ({})   {}", self.target, self.transport, self.route));
        let load = match (self.in_flight, self.rate) {
            (Some(in_flight), _) => format!("{} connections × {in_flight} in flight", self.connections),
            (None, Some(rate)) => format!("{} connections, {rate} requests/s together", self.connections),
            (None, None) => format!("{} connections", self.connections),
        };
        table.row("load", format!("{load}   bodies of {} bytes   {:.1} s", self.body_bytes, self.seconds));
        table.row("answered", format!("{}   {:.0} /s", self.answered, self.per_second));
        table.latency("latency", &self.latency_microseconds);
        table.counts("error answers", &self.errors);
        for (name, count) in [
            ("unanswered", self.unanswered),
            ("unsent", self.unsent),
            ("unexpected", self.unexpected),
            ("disconnected", self.disconnected),
        ] {
            if count > 0 {
                table.row(name, count.to_string());
            }
        }
        table.counts("failures", &self.failures);
        table.cpu("server CPU", "request", &self.servers);
        table.cpu("generator CPU", "request", &self.generator);
    }
}

/// `idle`.
#[derive(Debug, Serialize)]
pub(super) struct IdleReport {
    pub(super) target: String,
    pub(super) transport: String,
    pub(super) connections: u64,
    pub(super) opening_seconds: f64,
    pub(super) hold_seconds: f64,
    pub(super) disconnected: u64,
    pub(super) failures: BTreeMap<String, u64>,
    pub(super) servers: Vec<MemoryUse>,
}

/// Resident memory of one process before the connections and with them.
#[derive(Clone, Debug, Serialize)]
pub(super) struct MemoryUse {
    pub(super) pid: u32,
    pub(super) name: String,
    pub(super) bytes_before: u64,
    pub(super) bytes_after: u64,
    pub(super) bytes_each: f64,
}

impl Report for IdleReport {
    const LOAD: &'static str = "idle";

    fn rows(&self, table: &mut Table) {
        table.row("target", format!("{} ({})", self.target, self.transport));
        let load = format!("{} idle connections, opened in {:.1} s", self.connections, self.opening_seconds);
        table.row("load", format!("{load}, held for {:.1} s", self.hold_seconds));
        if self.disconnected > 0 {
            table.row("disconnected", self.disconnected.to_string());
        }
        table.counts("failures", &self.failures);
        for MemoryUse { pid, name, bytes_before, bytes_after, bytes_each } in &self.servers {
            let (before, after) = (bytes_before / 1024, bytes_after / 1024);
            let each = bytes_each / 1024.0;
            table.row("memory", format!("{each:.2} KiB a connection   {before} → {after} KiB   {name} ({pid})"));
        }
    }
}

/// `churn`.
#[derive(Debug, Serialize)]
pub(super) struct ChurnReport {
    pub(super) target: String,
    pub(super) transport: String,
    pub(super) at_once: u64,
    pub(super) seconds: f64,
    /// Connections that were opened, past their handshake, and closed by both ends.
    pub(super) connections: u64,
    pub(super) per_second: f64,
    /// From the connect to the handshake's response.
    pub(super) handshake_microseconds: Latency,
    pub(super) failures: BTreeMap<String, u64>,
    pub(super) servers: Vec<CpuUse>,
    pub(super) generator: Vec<CpuUse>,
}

impl Report for ChurnReport {
    const LOAD: &'static str = "churn";

    fn rows(&self, table: &mut Table) {
        table.row("target", format!("{} ({})", self.target, self.transport));
        table.row("load", format!("connect, handshake, close: {} at once   {:.1} s", self.at_once, self.seconds));
        table.row("connections", format!("{}   {:.0} /s", self.connections, self.per_second));
        table.latency("handshake", &self.handshake_microseconds);
        table.counts("failures", &self.failures);
        table.cpu("server CPU", "connection", &self.servers);
        table.cpu("generator CPU", "connection", &self.generator);
    }
}

/// `broadcast`.
#[derive(Debug, Serialize)]
pub(super) struct BroadcastReport {
    pub(super) target: String,
    pub(super) transport: String,
    pub(super) service: String,
    pub(super) members: u64,
    pub(super) outstanding: u64,
    pub(super) body_bytes: usize,
    pub(super) seconds: f64,
    /// Messages that the last member got in the measured time.
    pub(super) published: u64,
    /// Pushes that arrived in that time.
    pub(super) pushes: u64,
    pub(super) pushes_per_second: f64,
    /// From sending a message until the last member has it.
    pub(super) latency_microseconds: Latency,
    /// Messages that not every member got: always an error of the server.
    pub(super) unfinished: u64,
    /// Pushes that came twice or out of their order, as a speaker that moves between servers may cause.
    pub(super) unordered: u64,
    pub(super) servers: Vec<CpuUse>,
    pub(super) generator: Vec<CpuUse>,
}

impl Report for BroadcastReport {
    const LOAD: &'static str = "broadcast";

    fn rows(&self, table: &mut Table) {
        table.row("target", format!("{} ({})   {}", self.target, self.transport, self.service));
        let load = format!("{} members, {} messages outstanding", self.members, self.outstanding);
        table.row("load", format!("{load}   bodies of {} bytes   {:.1} s", self.body_bytes, self.seconds));
        table.row(
            "pushes",
            format!("{}   {:.0} /s   of {} messages", self.pushes, self.pushes_per_second, self.published),
        );
        table.latency("to the last", &self.latency_microseconds);
        for (name, count) in [("unfinished", self.unfinished), ("unordered", self.unordered)] {
            if count > 0 {
                table.row(name, count.to_string());
            }
        }
        table.cpu("server CPU", "push", &self.servers);
        table.cpu("generator CPU", "push", &self.generator);
    }
}
