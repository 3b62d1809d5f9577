//! The accept loop: a permit, then a connection, then the least busy worker.

use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{Acceptor, admission::Admission, back_off::BackOff, deal::Dealer};

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
    let mut back_off = BackOff::new(acceptor.name());
    loop {
        let Ok(permit) = admission.permit().await else { return "no more permits" };
        let (socket, peer) = loop {
            let attempt = acceptor.accept().await;
            if let Some(accepted) = back_off.outlast(attempt).await {
                break accepted;
            }
        };
        if dealer.deal(socket, peer, permit).await.is_err() {
            return "no workers";
        }
    }
}
