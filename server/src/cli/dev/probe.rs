//! Readiness probes, with the habits of a kubelet.

use std::{convert::Infallible, future::Future, io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};

/// From one probe to the next once a server has been ready.
const PERIOD: Duration = Duration::from_secs(1);
/// The same before that, so that a start is seen soon.
const STARTUP_PERIOD: Duration = Duration::from_millis(100);
/// How long one may take.
const TIMEOUT: Duration = Duration::from_secs(1);
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

/// Ask `/readyz` once.
pub(super) async fn is_ready(admin: SocketAddr) -> bool {
    matches!(timeout(TIMEOUT, ask(admin)).await, Ok(Ok(true)))
}

async fn ask(admin: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect(admin).await?;
    let request = format!("GET /readyz HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut status = [0; "HTTP/1.1 200".len()];
    stream.read_exact(&mut status).await?;
    Ok(status.ends_with(b" 200"))
}
