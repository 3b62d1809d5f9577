use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use super::App;

/// Where a server runs what is off the path of messages; provided to its [`App`].
#[derive(Debug)]
pub(crate) struct Background {
    handle: Handle,
    tracker: TaskTracker,
}

impl Background {
    /// Tasks run on the runtime of `handle`, and are counted by `tracker`.
    pub(crate) const fn new(handle: Handle, tracker: TaskTracker) -> Self {
        Self { handle, tracker }
    }
}

impl App {
    /// Runs `task` on the runtime beside the workers: for work that no message waits for, such as writing a score away.
    ///
    /// It holds up no worker, and no worker holds it up. It shares its thread with the admin port, so what computes for
    /// long belongs into `tokio::task::spawn_blocking`. Nobody waits for it when the server stops: what must not be lost
    /// is awaited by its handler. In an app that belongs to no server, as in a test of a game, it runs where it is called.
    pub fn background(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(background) = self.get::<Background>() {
            background.tracker.spawn_on(task, &background.handle);
        } else if let Ok(here) = Handle::try_current() {
            here.spawn(task);
        } else {
            tracing::error!("a background task was given up: there is no runtime");
        }
    }
}
