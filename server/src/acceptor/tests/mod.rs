//! Accepting on loopback, with conversations that only take notes.

mod accepting;
mod custom;
mod edge;
mod proxy;
mod websocket;

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Acceptor, Admission, Config, run, table};
use crate::agent::testing::Bench;

/// An acceptor that runs, with one worker.
struct Running {
    bench: Bench,
    tasks: TaskTracker,
    stop: CancellationToken,
    loops: Vec<JoinHandle<()>>,
}

impl Running {
    fn start<A: Acceptor>(acceptor: A) -> Self {
        Self::start_with(acceptor, &Config::default())
    }

    #[allow(clippy::disallowed_methods, reason = "the test waits for the tasks itself")]
    fn start_with<A: Acceptor>(acceptor: A, config: &Config) -> Self {
        let (bench, tasks, stop) = (Bench::new(), TaskTracker::new(), CancellationToken::new());
        let (dealer, seats) = table(1);
        let mut loops = vec![tokio::spawn(run(acceptor, Admission::new(config, 1), dealer, stop.clone()))];
        for seat in seats {
            loops.push(tokio::spawn(seat.serve(Arc::clone(&bench.worker), tasks.clone())));
        }
        Self { bench, tasks, stop, loops }
    }

    /// Stop accepting, and wait until every connection has ended by itself.
    async fn end(self) {
        self.stop.cancel();
        for accepting in self.loops {
            accepting.await.expect("it does not panic");
        }
        self.tasks.close();
        self.tasks.wait().await;
        assert_eq!((self.bench.worker.counts().pending(), self.bench.worker.counts().open()), (0, 0));
    }
}
