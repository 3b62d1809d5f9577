use std::sync::Arc;

use bytes::Bytes;
use tokio::time::timeout_at;

use super::{
    entry::Entry,
    runtime::Runtime,
    supervise::{Place, deadline_passed, internal, supervise},
};
use crate::{request::Context, wire::Error};

/// Runs one handler with its hooks; gives the answer, and returns when the handler has ended or was dropped.
///
/// A handler that is ready at once costs one allocation and no timer. At the deadline of `context` its cancellation token
/// fires; when its grace is over as well it is dropped, unless it is marked as detached. What ends late is answered as
/// PIT-504, a panic as PIT-500.
///
/// Dropping the returned future drops the handler, except one that is marked as blocking and has begun.
pub async fn execute(entry: Arc<Entry>, context: Context, runtime: &Runtime) -> Result<Bytes, Error> {
    if entry.marks().blocking {
        return Box::pin(execute_blocking(entry, context, runtime)).await;
    }
    supervise(&entry, context, runtime.config, Place::Worker).await
}

/// Runs the handler on a thread of its own as soon as one is free.
async fn execute_blocking(entry: Arc<Entry>, context: Context, runtime: &Runtime) -> Result<Bytes, Error> {
    let permits = &runtime.permits;
    let permit = if let Ok(permit) = Arc::clone(permits).try_acquire_owned() {
        permit
    } else if let Ok(Ok(permit)) = timeout_at(context.deadline, Arc::clone(permits).acquire_owned()).await {
        permit
    } else {
        entry.counters.expired.add_one();
        return Err(deadline_passed());
    };
    let (handle, config) = (runtime.handle.clone(), runtime.config);
    let work = runtime.handle.spawn_blocking(move || {
        let _permit = permit;
        handle.block_on(supervise(&entry, context, config, Place::Pool))
    });
    // Fails only when the runtime of the pool stops: panics of the handler are caught inside.
    work.await.unwrap_or_else(|_| Err(internal()))
}
