//! Probes, with the habits of a kubelet.

use std::{collections::BTreeMap, convert::Infallible, future::Future, io, net::SocketAddr, time::Duration};

use cereus_crds::contract::Probes;
use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep, sleep_until, timeout},
};

/// From one probe to the next once a server has been ready.
const PERIOD: Duration = Duration::from_secs(1);
/// The same before that, so that a start is seen soon.
const STARTUP_PERIOD: Duration = Duration::from_millis(100);
/// How long one may take.
const TIMEOUT: Duration = Duration::from_secs(1);
/// What is read of an answer, at most.
const LARGEST: u64 = 1 << 20;
/// So many failures in a row make a ready server unready.
const FAILURES: u32 = 3;

/// Probe for ever; `changed` is told each time the server becomes ready or stops being it.
pub(super) async fn follow<F: Future<Output = bool>>(
    probe: impl Fn() -> F,
    mut changed: impl FnMut(bool),
) -> Infallible {
    let mut failures = FAILURES;
    let mut period = STARTUP_PERIOD;
    loop {
        if probe().await {
            if failures >= FAILURES {
                changed(true);
            }
            failures = 0;
            period = PERIOD;
        } else {
            failures = failures.saturating_add(1);
            if failures == FAILURES {
                changed(false);
            }
        }
        sleep(period).await;
    }
}

/// Probe until the server is not worth keeping: it has not lived for the time of the startup probe, or lives no more. Says
/// which. One that is known to have been ready has lived.
pub(super) async fn lost<F: Future<Output = bool>>(
    probe: impl Fn(Duration) -> F,
    was_ready: impl Fn() -> bool,
    probes: Probes,
) -> String {
    let mut has_lived = false;
    let mut failures = 0;
    loop {
        if !has_lived && was_ready() {
            has_lived = true;
            failures = 0;
        }
        let now = if has_lived { probes.liveness } else { probes.startup };
        let next = Instant::now() + now.period;
        if probe(now.timeout).await {
            has_lived = true;
            failures = 0;
        } else {
            failures += 1;
        }
        if failures == now.failures {
            let what = if has_lived { "was not live" } else { "did not start" };
            return format!("{what} (/livez failed {failures} times)");
        }
        sleep_until(next).await;
    }
}

/// Ask `/livez` once.
pub(super) async fn is_live(admin: SocketAddr, patience: Duration) -> bool {
    matches!(timeout(patience, get(admin, "/livez")).await, Ok(Ok(Some(_))))
}

/// Ask `/readyz` once.
pub(super) async fn is_ready(admin: SocketAddr) -> bool {
    matches!(timeout(TIMEOUT, get(admin, "/readyz")).await, Ok(Ok(Some(_))))
}

/// Ask until the server knows of so many that are ready.
pub(super) async fn knows(admin: SocketAddr, servers: u64) {
    #[derive(serde::Deserialize)]
    struct Known {
        servers: BTreeMap<String, u64>,
    }
    let known =
        async || status::<Known>(admin).await.is_some_and(|known| known.servers.values().sum::<u64>() >= servers);
    while !known().await {
        sleep(STARTUP_PERIOD).await;
    }
}

/// What the server says of itself on `/status`, if it answers in time.
pub(super) async fn status<T: DeserializeOwned>(admin: SocketAddr) -> Option<T> {
    let body = timeout(TIMEOUT, get(admin, "/status")).await.ok()?.ok()??;
    serde_json::from_str(&body).ok()
}

/// The body of an answer with status 200.
async fn get(admin: SocketAddr, path: &str) -> io::Result<Option<String>> {
    let mut stream = TcpStream::connect(admin).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.take(LARGEST).read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    Ok(head.starts_with("HTTP/1.1 200").then(|| body.to_owned()))
}
