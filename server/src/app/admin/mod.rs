//! The port for probes and operators: `GET /livez`, `/readyz` and `/status`, and `POST /drain`.
//!
//! It runs on the background runtime, so that it answers when a worker does not: that is what `/livez` is for. What it
//! says about the server comes from a [`StatusSource`].

mod status;

#[cfg(test)]
mod tests;

use std::{
    fmt::Write as _,
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    routing::{get, post},
};
use cereus_crds::contract;
use tokio_util::sync::CancellationToken;

pub use self::status::Phase;
pub(crate) use self::status::{ServerStatus, Status, StatusSource, TopologyStatus};
use super::workers::Ticks;

/// A worker that has not ticked for this long is taken for dead: no honest handler computes for so long.
const LIVENESS: Duration = Duration::from_secs(10);

/// Why there is no admin port.
#[derive(Debug, thiserror::Error)]
#[error("the admin port cannot listen on {address}")]
pub(crate) struct AdminError {
    address: SocketAddr,
    #[source]
    source: io::Error,
}

/// The admin port, bound and not yet served.
#[derive(Debug)]
pub(crate) struct Admin {
    listener: TcpListener,
    address: SocketAddr,
    token: Option<String>,
}

impl Admin {
    /// Listen. `token` is what a caller of `/drain` must show when the address is not loopback.
    pub(crate) fn bind(address: SocketAddr, token: Option<String>) -> Result<Self, AdminError> {
        let bind = || {
            let listener = contract::bind(address, TcpListener::bind)?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address, token })
        };
        bind().map_err(|source| AdminError { address, source })
    }

    /// Where it listens; with the port that the system chose, when 0 was asked for.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answer until `shutdown`. To be run on the background runtime.
    pub(crate) async fn serve(
        self,
        source: Arc<dyn StatusSource>,
        ticks: Ticks,
        shutdown: CancellationToken,
    ) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let guard = Guard { token: self.token, loopback: self.address.ip().is_loopback() };
        let router = router(Shared { source, ticks, guard: Arc::new(guard) });
        axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await
    }
}

/// Who may do more than read.
#[derive(Debug)]
struct Guard {
    token: Option<String>,
    loopback: bool,
}

impl Guard {
    fn check(&self, headers: &HeaderMap) -> Result<(), (StatusCode, &'static str)> {
        // A page in a browser on this machine reaches loopback too; browsers say so.
        if headers.contains_key(header::ORIGIN) {
            return Err((StatusCode::FORBIDDEN, "not for web pages\n"));
        }
        match &self.token {
            None if self.loopback => Ok(()),
            None => Err((StatusCode::FORBIDDEN, "set admin.token, or bind admin.listen to loopback\n")),
            Some(token) => {
                let given = headers.get(header::AUTHORIZATION).map(header::HeaderValue::as_bytes);
                let given = given.and_then(|value| value.strip_prefix(b"Bearer "));
                if given.is_some_and(|given| same(given, token.as_bytes())) || (given.is_none() && self.loopback) {
                    Ok(())
                } else {
                    Err((StatusCode::UNAUTHORIZED, "the token is missing or wrong\n"))
                }
            }
        }
    }
}

/// Compare in a time that tells nothing about where two secrets differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[derive(Clone)]
struct Shared {
    source: Arc<dyn StatusSource>,
    ticks: Ticks,
    guard: Arc<Guard>,
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/status", get(status))
        .route("/drain", post(drain))
        .with_state(shared)
}

async fn livez(State(shared): State<Shared>) -> (StatusCode, String) {
    let silent = shared.ticks.silent(Instant::now(), LIVENESS);
    if silent.is_empty() {
        return (StatusCode::OK, "alive\n".to_owned());
    }
    let mut text = String::new();
    for (worker, silence) in silent {
        // Writing into a String does not fail.
        let _ = writeln!(text, "worker {worker} has not ticked for {} s", silence.as_secs());
    }
    (StatusCode::SERVICE_UNAVAILABLE, text)
}

async fn readyz(State(shared): State<Shared>) -> (StatusCode, String) {
    match shared.source.readiness() {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

async fn status(State(shared): State<Shared>) -> Json<Status> {
    Json(shared.source.status())
}

async fn drain(
    State(shared): State<Shared>,
    headers: HeaderMap,
) -> Result<(StatusCode, &'static str), (StatusCode, &'static str)> {
    shared.guard.check(&headers)?;
    tracing::info!("draining was asked for on the admin port");
    shared.source.drain();
    Ok((StatusCode::ACCEPTED, "draining\n"))
}
