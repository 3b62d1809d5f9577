//! The last lines of each server, for `cereus logs`.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

/// Lines that are kept of one server,
const LINES: usize = 1000;
/// and bytes of lines.
const BYTES: usize = 512 * 1024;
/// Lines that wait for somebody who follows; then some are missed, which is said.
const QUEUE: usize = 1024;

/// One line of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogLine {
    /// The server that wrote it.
    pub(crate) server: Arc<str>,
    /// What it wrote, without the end of the line.
    pub(crate) text: String,
}

/// The lines of all servers, also of those that are gone.
#[derive(Debug)]
pub(super) struct Logs {
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    /// By server; each line with its number among all.
    servers: BTreeMap<Arc<str>, Lines>,
    next: u64,
    live: broadcast::Sender<LogLine>,
}

#[derive(Debug, Default)]
struct Lines {
    lines: VecDeque<(u64, String)>,
    bytes: usize,
}

impl Default for Logs {
    fn default() -> Self {
        Self { kept: Mutex::new(Kept { servers: BTreeMap::new(), next: 0, live: broadcast::Sender::new(QUEUE) }) }
    }
}

impl Logs {
    /// Keep a line.
    pub(super) fn push(&self, server: &Arc<str>, text: &[u8]) {
        let text = String::from_utf8_lossy(text).into_owned();
        let mut kept = self.kept.lock();
        let number = kept.next;
        kept.next += 1;
        let ring = kept.servers.entry(Arc::clone(server)).or_default();
        ring.bytes += text.len();
        ring.lines.push_back((number, text.clone()));
        while ring.lines.len() > LINES || ring.bytes > BYTES {
            let Some((_, oldest)) = ring.lines.pop_front() else { break };
            ring.bytes -= oldest.len();
        }
        // It fails when nobody follows.
        let _ = kept.live.send(LogLine { server: Arc::clone(server), text });
    }

    /// The last lines of the servers that are asked for, in the order in which they were written, and all that come.
    pub(super) fn read(
        &self,
        is_asked: impl Fn(&str) -> bool,
        tail: usize,
    ) -> (Vec<LogLine>, broadcast::Receiver<LogLine>) {
        let kept = self.kept.lock();
        let servers = kept.servers.iter().filter(|(server, _)| is_asked(server));
        let lines =
            servers.flat_map(|(server, ring)| ring.lines.iter().map(move |(number, text)| (number, server, text)));
        let mut lines: Vec<_> = lines.collect();
        lines.sort_unstable_by_key(|(number, ..)| **number);
        let skipped = lines.len().saturating_sub(tail);
        let lines = lines.into_iter().skip(skipped);
        let lines = lines.map(|(_, server, text)| LogLine { server: Arc::clone(server), text: text.clone() });
        (lines.collect(), kept.live.subscribe())
    }

    /// Whether this server ever wrote something.
    pub(super) fn knows(&self, server: &str) -> bool {
        self.kept.lock().servers.contains_key(server)
    }
}
