//! What handlers leave behind: tasks that outlive them.

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use super::App;

/// Where a server runs what is off the path of messages; provided to its [`App`].
#[derive(Debug)]
pub(crate) struct Background(Tasks);

/// Where a worker runs what comes after an answer; provided to its [`App`].
#[derive(Debug)]
pub(crate) struct Afterwards(Tasks);

/// A runtime, and what counts the tasks of user code there.
#[derive(Debug)]
struct Tasks {
    handle: Handle,
    tracker: TaskTracker,
}

impl Background {
    /// Tasks run on the runtime of `handle`, and are counted by `tracker`.
    pub(crate) const fn new(handle: Handle, tracker: TaskTracker) -> Self {
        Self(Tasks { handle, tracker })
    }
}

impl Afterwards {
    /// Tasks run on the worker whose runtime `handle` is of, and are counted by `tracker`.
    pub(crate) const fn new(handle: Handle, tracker: TaskTracker) -> Self {
        Self(Tasks { handle, tracker })
    }
}

impl App {
    /// Runs `task` on the runtime beside the workers: for work that no message waits for, such as writing a score away.
    ///
    /// It holds up no worker, and no worker holds it up. It shares its thread with the admin port, so what computes for
    /// long belongs into `tokio::task::spawn_blocking`. Nobody waits for it when the server stops: what must not be lost
    /// is awaited by its handler. In an app that belongs to no server, as in a test of a game, it runs where it is called.
    pub fn background(&self, task: impl Future<Output = ()> + Send + 'static) {
        start(self.get::<Background>().as_ref().map(|background| &background.0), task);
    }

    /// Runs `task` after the answer of the handler that calls this last: what the task pushes reaches the client behind
    /// the answer, while all that a handler pushes itself comes before.
    ///
    /// It begins when the handler waits for the next time or has ended, so nothing that waits may follow, nor an after-hook
    /// that does; in a handler that is marked as blocking it may begin at once. A frontend that calls `protos.Pitaya` gets
    /// answers and pushes in no order. Other messages of the session do not wait for the task, but the server does before
    /// it stops, until the deadline of its drain. It runs on the handler's worker: what computes for long belongs
    /// elsewhere. In an app that belongs to no server, as in a test of a game, it runs where it is called.
    ///
    /// ```
    /// # use cereus::{App, Session};
    /// async fn enter(app: App, session: Session) -> &'static str {
    ///     app.afterwards(async move {
    ///         if let Err(error) = session.push("onWelcome", "come in").await {
    ///             tracing::debug!(%error, "a player was not welcomed");
    ///         }
    ///     });
    ///     "entered"
    /// }
    /// # let _ = cereus::Service::new().request("enter", enter);
    /// ```
    pub fn afterwards(&self, task: impl Future<Output = ()> + Send + 'static) {
        start(self.get::<Afterwards>().as_ref().map(|afterwards| &afterwards.0), task);
    }
}

fn start(tasks: Option<&Tasks>, task: impl Future<Output = ()> + Send + 'static) {
    if let Some(Tasks { handle, tracker }) = tasks {
        tracker.spawn_on(task, handle);
    } else if let Ok(here) = Handle::try_current() {
        here.spawn(task);
    } else {
        tracing::error!("a task was given up: there is no runtime");
    }
}
