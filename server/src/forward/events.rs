//! What the life of links means for sessions: pins end with their link, and a drain goes on when peers have answered.

use std::sync::Arc;

use tokio::sync::Notify;

use super::pins::Pins;
use crate::rpc::{Link, LinkEvents, Links};
use crate::session::Pool;

/// Listens to the links of one worker.
#[derive(Debug)]
pub(crate) struct Events {
    links: Arc<Links>,
    pool: Arc<Pool>,
    pins: Arc<Pins>,
    /// A peer has answered `Drained`, or its link has ended.
    changed: Arc<Notify>,
}

impl Events {
    /// For the sessions in `pool` and the pins in `pins`; `changed` is told when a drain may have got further.
    pub(crate) fn new(links: Arc<Links>, pool: Arc<Pool>, pins: Arc<Pins>, changed: Arc<Notify>) -> Self {
        Self { links, pool, pins, changed }
    }
}

impl LinkEvents for Events {
    fn up(&self, link: &Arc<Link>) {
        tracing::info!(peer = %link.server(), opened = link.is_opened(), worker = link.worker(), "link up");
    }

    fn down(&self, link: &Arc<Link>) {
        tracing::info!(peer = %link.server(), opened = link.is_opened(), worker = link.worker(), "link down");
        if !link.is_opened() {
            self.pins.lose(link);
        } else if !self.links.is_replaced(link) {
            // Pins name the server: once it has another link, they were made on that one.
            for entry in self.pool.entries() {
                if usize::from(entry.record.id().worker()) == link.worker() {
                    (0..entry.record.unpin_all(link.server())).for_each(|_| link.release());
                }
            }
        }
        self.changed.notify_waiters();
    }

    fn draining(&self, link: &Arc<Link>) {
        tracing::info!(peer = %link.server(), worker = link.worker(), "peer drains");
    }

    fn drained(&self, _link: &Arc<Link>) {
        self.changed.notify_waiters();
    }
}
