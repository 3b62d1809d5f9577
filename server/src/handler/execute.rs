use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{self, Poll},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout_at};

use super::{
    entry::Entry,
    runtime::Runtime,
    supervise::{Ended, Place, Supervised, deadline_passed, internal},
};
use crate::{request::Context, wire::Error};

/// Calls one handler with its hooks; the future ends when the handler has ended or was dropped, and gives the answer.
///
/// `now` is the present: a lane passes the end of its last handler on, so that a message costs one reading of the clock.
/// The handler is called at once and runs while the future is polled. One that is ready at once costs one allocation and
/// no timer. At the deadline of `context` its cancellation token fires; when its grace is over as well it is dropped,
/// unless it is marked as detached. What ends late is answered as PIT-504, a panic as PIT-500.
///
/// Dropping the future drops the handler, except one that is marked as blocking and has begun.
pub fn execute(entry: Arc<Entry>, context: Context, runtime: &Runtime, now: Instant) -> Execution {
    Execution(if entry.marks().blocking {
        Inner::Blocking(Box::pin(execute_blocking(entry, context, runtime.clone())))
    } else {
        Inner::Here(Supervised::begin(entry, context, runtime.config, Place::Worker, now))
    })
}

/// A handler that was called; see [`execute`].
#[must_use = "a handler runs while this is polled"]
pub struct Execution(Inner);

enum Inner {
    Here(Supervised),
    Blocking(BoxFuture<'static, Result<Bytes, Error>>),
}

impl Future for Execution {
    type Output = Ended;

    fn poll(self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<Ended> {
        match &mut self.get_mut().0 {
            Inner::Here(supervised) => Pin::new(supervised).poll(task),
            Inner::Blocking(work) => work.as_mut().poll(task).map(|result| Ended { result, at: Instant::now() }),
        }
    }
}

impl fmt::Debug for Execution {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Execution").finish_non_exhaustive()
    }
}

/// Runs the handler on a thread of its own as soon as one is free.
async fn execute_blocking(entry: Arc<Entry>, context: Context, runtime: Runtime) -> Result<Bytes, Error> {
    let Runtime { config, handle, permits } = runtime;
    let permit = if let Ok(permit) = Arc::clone(&permits).try_acquire_owned() {
        permit
    } else if let Ok(Ok(permit)) = timeout_at(context.deadline, permits.acquire_owned()).await {
        permit
    } else {
        entry.counters.expired.add_one();
        return Err(deadline_passed());
    };
    let pool = handle.clone();
    let work = pool.spawn_blocking(move || {
        let _permit = permit;
        handle.block_on(
            async move { Supervised::begin(entry, context, config, Place::Pool, Instant::now()).await.result },
        )
    });
    // Fails only when the runtime of the pool stops: panics of the handler are caught inside.
    work.await.unwrap_or_else(|_| Err(internal()))
}
