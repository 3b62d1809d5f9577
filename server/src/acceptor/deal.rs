//! Handing accepted sockets to the workers.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::task::TaskTracker;

use super::{Peer, Socket, admission::Permit};
use crate::agent::{self, Worker};

/// Sockets on their way to one worker. When a worker is so busy that this many wait, accepting waits too.
const WAITING: usize = 256;

/// Gives each socket to the worker with the fewest connections. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Dealer {
    hands: Arc<[Hand]>,
}

struct Hand {
    sockets: mpsc::Sender<Box<dyn Dealt>>,
    load: Arc<AtomicUsize>,
}

/// Tells, when it is asked, how much is in some queues.
pub(crate) type Gauge = Box<dyn Fn() -> usize + Send + Sync>;

/// Counts what is in these queues, and keeps none of them open.
pub(crate) fn gauge<'a, T: Send + 'static>(queues: impl Iterator<Item = &'a mpsc::Sender<T>>) -> Gauge {
    let queues: Vec<_> = queues.map(mpsc::Sender::downgrade).collect();
    Box::new(move || {
        let open = queues.iter().filter_map(mpsc::WeakSender::upgrade);
        open.map(|queue| queue.max_capacity() - queue.capacity()).sum()
    })
}

/// A worker's end.
pub(crate) struct Seat {
    sockets: mpsc::Receiver<Box<dyn Dealt>>,
}

/// One seat for each worker, by its index.
pub(crate) fn table(workers: usize) -> (Dealer, Vec<Seat>) {
    let (hands, seats): (Vec<_>, Vec<_>) = (0..workers)
        .map(|_| {
            let (sender, sockets) = mpsc::channel(WAITING);
            (Hand { sockets: sender, load: Arc::default() }, Seat { sockets })
        })
        .unzip();
    (Dealer { hands: hands.into() }, seats)
}

/// No worker takes sockets any more.
#[derive(Debug)]
pub(super) struct NoWorker;

impl Dealer {
    /// Counts the sockets on their way to workers.
    pub(crate) fn gauge(&self) -> Gauge {
        gauge(self.hands.iter().map(|hand| &hand.sockets))
    }

    /// Waits while the chosen worker has too many sockets waiting.
    pub(super) async fn deal<S: Socket>(&self, socket: S, peer: Peer, permit: Permit) -> Result<(), NoWorker> {
        let hand = self.hands.iter().min_by_key(|hand| hand.load.load(Relaxed)).ok_or(NoWorker)?;
        let place = Place::taken(&hand.load, permit.connection);
        let arrival = Arrival { socket, peer, pending: permit.pending, place };
        hand.sockets.send(Box::new(arrival)).await.map_err(|_| NoWorker)
    }
}

impl Seat {
    /// Serve what is dealt to this worker: each connection is a task of `tasks` on the calling runtime. Ends when the
    /// acceptors have ended and nothing waits; the connections go on.
    pub(crate) async fn serve(mut self, worker: Arc<Worker>, tasks: TaskTracker) {
        while let Some(socket) = self.sockets.recv().await {
            socket.start(&worker, &tasks);
        }
    }
}

/// A socket whose type is forgotten on the way.
trait Dealt: Send {
    fn start(self: Box<Self>, worker: &Arc<Worker>, tasks: &TaskTracker);
}

struct Arrival<S> {
    socket: S,
    peer: Peer,
    pending: OwnedSemaphorePermit,
    place: Place,
}

impl<S: Socket> Dealt for Arrival<S> {
    fn start(self: Box<Self>, worker: &Arc<Worker>, tasks: &TaskTracker) {
        let Self { socket, peer, pending, place } = *self;
        tasks.spawn(agent::run(Arc::clone(worker), socket.open(peer.clone()), peer, pending, place));
    }
}

/// A connection's place in the counts; its end is the connection's end.
#[derive(Debug)]
struct Place {
    load: Arc<AtomicUsize>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn taken(load: &Arc<AtomicUsize>, permit: OwnedSemaphorePermit) -> Self {
        load.fetch_add(1, Relaxed);
        Self { load: Arc::clone(load), _permit: permit }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.load.fetch_sub(1, Relaxed);
    }
}

impl std::fmt::Debug for Dealer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let loads = self.hands.iter().map(|hand| hand.load.load(Relaxed));
        formatter.debug_struct("Dealer").field("loads", &loads.collect::<Vec<_>>()).finish()
    }
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Seat").field("waiting", &self.sockets.len()).finish()
    }
}
