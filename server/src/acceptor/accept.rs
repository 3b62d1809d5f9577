//! The accept loop: a permit, then a connection, then the least busy worker.

use std::{io, time::Duration};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{Acceptor, admission::Admission, deal::Dealer};

/// The wait after a failed accept, doubled up to the second while it goes on: a system out of files must not spin.
const BACK_OFF: Duration = Duration::from_millis(10);
const LONGEST_BACK_OFF: Duration = Duration::from_millis(500);

/// Accept connections until `stop`, then close the listener. Runs on any runtime; connections are served by the workers.
pub(crate) async fn run<A: Acceptor>(mut acceptor: A, admission: Admission, dealer: Dealer, stop: CancellationToken) {
    info!(acceptor = acceptor.name(), address = acceptor.address(), "accepting connections");
    let ended = stop.run_until_cancelled(accept(&mut acceptor, &admission, &dealer)).await;
    if let Some(reason) = ended {
        warn!(acceptor = acceptor.name(), reason, "the acceptor ended by itself");
    }
    debug!(acceptor = acceptor.name(), "accepting no more");
}

/// Never returns while there is a worker; what it returns says why it had to.
async fn accept<A: Acceptor>(acceptor: &mut A, admission: &Admission, dealer: &Dealer) -> &'static str {
    let mut back_off = BackOff::default();
    loop {
        let Ok(permit) = admission.permit().await else { return "no more permits" };
        let (socket, peer) = loop {
            match acceptor.accept().await {
                Ok(accepted) => break accepted,
                // The client gave up while it was queued.
                Err(error) if concerns_one_connection(&error) => debug!(%error, "a connection ended before it began"),
                Err(error) => {
                    if !back_off.is_on() {
                        warn!(acceptor = acceptor.name(), %error, "cannot accept connections, trying again");
                    }
                    sleep(back_off.next()).await;
                }
            }
        };
        if back_off.is_on() {
            info!(acceptor = acceptor.name(), "accepting connections again");
            back_off = BackOff::default();
        }
        if dealer.deal(socket, peer, permit).await.is_err() {
            return "no workers";
        }
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, NotConnected};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | NotConnected)
}

/// How long to wait after the next failure.
#[derive(Debug, Default)]
struct BackOff(Option<Duration>);

impl BackOff {
    fn is_on(&self) -> bool {
        self.0.is_some()
    }

    fn next(&mut self) -> Duration {
        let wait = self.0.map_or(BACK_OFF, |last| (last * 2).min(LONGEST_BACK_OFF));
        self.0 = Some(wait);
        wait
    }
}
