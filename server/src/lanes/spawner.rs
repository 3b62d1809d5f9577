//! Where the tasks of one runtime start.

use std::{
    future::{Future, poll_fn},
    task::Poll,
};

use futures_util::future::BoxFuture;
use tokio::{runtime::Handle, task::JoinHandle};
use tokio_util::task::TaskTracker;

/// Starts tasks on one runtime and counts those that run. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Spawner {
    worker: usize,
    handle: Handle,
    tracker: TaskTracker,
}

impl Spawner {
    pub(crate) fn new(worker: usize, handle: Handle) -> Self {
        Self { worker, handle, tracker: TaskTracker::new() }
    }

    /// The worker whose tasks these are.
    pub(crate) fn worker(&self) -> usize {
        self.worker
    }

    /// The runtime, for modules that start their tasks through a tracker of their own.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// What counts the tasks; the runtime waits for it when it stops.
    pub(crate) fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    /// How many tasks run.
    pub(crate) fn tasks(&self) -> usize {
        self.tracker.len()
    }

    /// Start a task. It ends by itself, or is dropped when its runtime has stopped and the grace is over.
    pub(crate) fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker.spawn_on(task, &self.handle)
    }

    /// Begins a task within the one that polls this, so that it has begun before what that does next; what is left of it
    /// then is started as a task of its own.
    pub(crate) fn begin(&self, task: impl Future<Output = ()> + Send + 'static) -> BoxFuture<'static, ()> {
        let (spawner, mut task) = (self.clone(), Box::pin(task));
        Box::pin(async move {
            if poll_fn(|context| Poll::Ready(task.as_mut().poll(context).is_pending())).await {
                spawner.spawn(task);
            }
        })
    }
}
