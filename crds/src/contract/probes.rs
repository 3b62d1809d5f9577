//! How an image is asked how it is.

use std::time::Duration;

use crate::{
    Protocol,
    names::{ADMIN_PORT, LINK_PORT},
};

/// One probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// What is asked.
    pub kind: ProbeKind,
    /// From one to the next.
    pub period: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How many failures in a row count. One success always does.
    pub failures: u32,
}

/// What a probe asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeKind {
    /// A GET of `path` at the port of this name; any status from 200 to 399 is a success.
    Http {
        /// The name of the port.
        port: &'static str,
        /// The path.
        path: &'static str,
    },
    /// A connection to the port of this name.
    Tcp {
        /// The name of the port.
        port: &'static str,
    },
}

/// The probes of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probes {
    /// Until it succeeds once, nothing else is asked; when it fails for good, the server is restarted.
    pub startup: Probe,
    /// When it fails, the server gets no new work.
    pub readiness: Probe,
    /// When it fails, the server is restarted.
    pub liveness: Probe,
}

/// The probes of a server. One in another language is asked by connecting to the port on which it serves.
pub fn probes(protocol: Protocol) -> Probes {
    let ask = |path| match protocol {
        Protocol::Cereus => ProbeKind::Http { port: ADMIN_PORT, path },
        Protocol::Pitaya => ProbeKind::Tcp { port: LINK_PORT },
    };
    let probe = |path, seconds, failures| Probe {
        kind: ask(path),
        period: Duration::from_secs(seconds),
        timeout: Duration::from_secs(seconds),
        failures,
    };
    Probes {
        // Two minutes for a game to load what it needs.
        startup: probe("/livez", 1, 120),
        // A new server takes messages within a second of being ready.
        readiness: probe("/readyz", 1, 3),
        // A worker counts as stuck after ten seconds; a restart loses sessions, so one slow answer is not enough.
        liveness: probe("/livez", 5, 3),
    }
}
