//! All links of one worker.

use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use http::Uri;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tower::Service;

use super::{
    Config, Families, Identity, Link, Standing,
    config::MAX_BATCH,
    connector::{Connector, Io, Tcp},
    link::Common,
    metrics::Counts,
    opener,
    outbound::OVERHEAD,
    pitaya, proto,
    secure::Certificates,
};
use crate::topology::{Server, ServerId, Snapshot};

/// All links of one worker: those it opened, by server, and those it accepted.
#[derive(Debug)]
pub(crate) struct Links {
    shared: Arc<Shared>,
}

/// What the tasks of links share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) common: Arc<Common>,
    pub(super) families: OnceLock<Families>,
    connector: Connector,
    opened: Mutex<FxHashMap<ServerId, Arc<Link>>>,
    pub(super) accepted: Mutex<Vec<Arc<Link>>>,
    /// No link is opened or accepted any more.
    pub(super) closed: AtomicBool,
}

/// One link, for people.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct LinkStatus {
    /// The peer.
    pub(crate) server: ServerId,
    /// The peer's type, once it said it.
    pub(crate) server_type: Option<ServerId>,
    /// `opened` or `accepted`.
    pub(crate) direction: &'static str,
    /// `connecting`, `live` or `down`.
    pub(crate) standing: &'static str,
    /// The peer is going away.
    pub(crate) draining: bool,
    /// Calls in flight.
    pub(crate) pending: usize,
    /// Sessions of this server whose messages keep to the peer: some are in flight, or the choice is sticky.
    pub(crate) sessions: usize,
    /// Bytes that wait to be sent.
    pub(crate) queued_bytes: usize,
}

impl Links {
    /// Links of worker `worker` over TCP, as they are. Called on that worker's runtime.
    pub(crate) fn new(identity: Arc<Identity>, worker: usize, config: &Config) -> Arc<Self> {
        Self::secured(identity, worker, config, None, Tcp)
    }

    /// The same, encrypted when there are certificates.
    pub(crate) fn with_certificates(
        identity: Arc<Identity>,
        worker: usize,
        config: &Config,
        certificates: Option<Arc<Certificates>>,
    ) -> Arc<Self> {
        Self::secured(identity, worker, config, certificates, Tcp)
    }

    /// Links over connections that `connector` makes, from URIs `http://<address>`.
    #[cfg(test)]
    pub(crate) fn with_connector<C, T>(
        identity: Arc<Identity>,
        worker: usize,
        config: &Config,
        connector: C,
    ) -> Arc<Self>
    where
        C: Service<Uri, Response = TokioIo<T>, Error = io::Error> + Clone + Send + 'static,
        C::Future: Send,
        T: Io,
    {
        Self::secured(identity, worker, config, None, connector)
    }

    /// The same, encrypted when there are certificates.
    pub(super) fn secured<C, T>(
        identity: Arc<Identity>,
        worker: usize,
        config: &Config,
        certificates: Option<Arc<Certificates>>,
        connector: C,
    ) -> Arc<Self>
    where
        C: Service<Uri, Response = TokioIo<T>, Error = io::Error> + Clone + Send + 'static,
        C::Future: Send,
        T: Io,
    {
        // A frame that no peer takes would cost the link, not only its own request.
        let max_frame = config.max_frame.min(MAX_BATCH - OVERHEAD);
        let common = Common {
            identity,
            worker,
            config: Config { max_frame, ..config.clone() },
            certificates,
            counts: Counts::default(),
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
            draining: AtomicBool::new(false),
        };
        let shared = Shared {
            common: Arc::new(common),
            families: OnceLock::new(),
            connector: Connector::new(connector),
            opened: Mutex::default(),
            accepted: Mutex::default(),
            closed: AtomicBool::new(false),
        };
        Arc::new(Self { shared: Arc::new(shared) })
    }

    /// Says who gets what links receive; once, before the first link. They usually hold the links themselves.
    pub(crate) fn attach(&self, families: Families) {
        if self.shared.families.set(families).is_err() {
            tracing::error!("the families of links are attached already");
        }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Who this server is.
    pub(crate) fn identity(&self) -> &Identity {
        &self.shared.common.identity
    }

    /// Counts of these links.
    pub(crate) fn counts(&self) -> &Counts {
        &self.shared.common.counts
    }

    /// The link to `server`; it is opened if there is none. What is sent meanwhile waits for the first connection.
    pub(crate) fn open(&self, server: &Server) -> Arc<Link> {
        self.open_as(server, |link| !link.is_unary(), |common| Link::to(server, common))
    }

    /// As `open`, for a server that takes unary calls in the place of a link.
    pub(crate) fn open_unary(&self, server: &Server) -> Arc<Link> {
        self.open_as(server, Link::is_unary, |common| pitaya::link(server, common))
    }

    fn open_as(
        &self,
        server: &Server,
        fits: impl Fn(&Link) -> bool,
        new: impl FnOnce(Arc<Common>) -> Arc<Link>,
    ) -> Arc<Link> {
        let mut opened = self.shared.opened.lock();
        if let Some(link) = opened.get(&server.id).filter(|link| !link.stopped().is_cancelled()) {
            if fits(link) {
                return link.clone();
            }
            // The type's protocol was changed: the link of the other kind ends when nothing is in flight.
            link.set_leaving(true);
        }
        let link = new(self.shared.common.clone());
        match self.shared.families.get() {
            Some(families) if !self.shared.closed.load(Relaxed) => {
                opened.insert(server.id.clone(), link.clone());
                let task = self.shared.clone().keep(link.clone(), families.clone());
                self.shared.common.tasks.spawn_on(task, &self.shared.common.runtime);
            }
            // Closed, or not wired yet: the link is down from the start.
            _ => link.lose(),
        }
        link
    }

    /// The link to a server, if it was opened.
    pub(crate) fn get(&self, server: &str) -> Option<Arc<Link>> {
        self.shared.opened.lock().get(server).cloned()
    }

    /// The link to a server that `open` would give, if there is one.
    pub(crate) fn opened(&self, server: &str) -> Option<Arc<Link>> {
        self.get(server).filter(|link| !link.is_over() && !link.is_unary())
    }

    /// Whether another link leads to the peer of this one, which was opened.
    pub(crate) fn is_replaced(&self, link: &Arc<Link>) -> bool {
        self.shared.opened.lock().get(link.server()).is_some_and(|other| !Arc::ptr_eq(other, link))
    }

    /// The link that was accepted last.
    #[cfg(test)]
    pub(crate) fn accepted(&self) -> Arc<Link> {
        self.shared.accepted.lock().last().cloned().expect("a link was accepted")
    }

    /// Closes links to servers that are gone from the topology, each as soon as nothing is in flight and nobody holds
    /// it; the others learn where their servers are now.
    pub(crate) fn retain(&self, snapshot: &Snapshot) {
        let opened: Vec<_> = self.shared.opened.lock().values().cloned().collect();
        for link in opened {
            let server = snapshot.server(link.server());
            if let Some(server) = server {
                link.set_address(server.address);
            }
            link.set_leaving(server.is_none());
        }
    }

    /// Says on every accepted link, and on those accepted later, that this server is going away.
    pub(crate) fn drain(&self, deadline: Duration) {
        self.shared.common.draining.store(true, Relaxed);
        let deadline_millis = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        for link in self.shared.accepted.lock().iter() {
            link.send(proto::Draining { deadline_millis }.into());
        }
    }

    /// Closes all links after what is queued was sent. No link is opened or accepted any more.
    pub(crate) fn close(&self) {
        self.shared.closed.store(true, Relaxed);
        let mut links: Vec<_> = self.shared.opened.lock().values().cloned().collect();
        links.extend(self.shared.accepted.lock().iter().cloned());
        for link in links {
            link.close();
        }
        self.shared.common.tasks.close();
    }

    /// Resolves when all links have ended, after `close`.
    pub(crate) async fn closed(&self) {
        self.shared.common.tasks.wait().await;
    }

    /// Whether every server that calls this one knows that it is going away.
    pub(crate) fn are_drained(&self) -> bool {
        self.shared.accepted.lock().iter().all(|link| link.is_drained())
    }

    /// The state of all links.
    pub(crate) fn list(&self) -> Vec<LinkStatus> {
        let mut links: Vec<_> = self.shared.opened.lock().values().cloned().collect();
        links.extend(self.shared.accepted.lock().iter().cloned());
        links.iter().map(|link| status(link)).collect()
    }
}

impl Shared {
    /// An opened link's task.
    async fn keep(self: Arc<Self>, link: Arc<Link>, families: Families) {
        opener::run(&link, || self.connector.get(), &families).await;
        let mut opened = self.opened.lock();
        if opened.get(link.server()).is_some_and(|other| Arc::ptr_eq(other, &link)) {
            opened.remove(link.server());
        }
    }
}

fn status(link: &Link) -> LinkStatus {
    LinkStatus {
        server: link.server().clone(),
        server_type: link.peer().map(|peer| peer.server_type.clone()),
        direction: if link.is_opened() { "opened" } else { "accepted" },
        standing: match link.standing() {
            Standing::Connecting => "connecting",
            Standing::Live => "live",
            Standing::Down => "down",
        },
        draining: link.is_draining(),
        pending: link.pending(),
        sessions: link.sessions(),
        queued_bytes: link.queued(),
    }
}
