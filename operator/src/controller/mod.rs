//! From a ServerType to running servers: `fetch → validate → build → apply → status`.
//!
//! A run looks at one ServerType, decides what is to be there for it, writes what differs, and says how it stands. It can
//! be made at any time, any number of times, and does nothing when there is nothing to do. `fetch`, `apply` and `status`
//! talk to the cluster; what lies between is pure.

mod apply;
mod autoscaling;
mod build;
mod caches;
mod context;
mod error;
mod fetch;
mod kinds;
mod metrics;
mod reason;
mod replicas;
mod request;
mod run;
mod status;
#[cfg(test)]
mod tests;
mod validate;
mod writer;

use std::{sync::Arc, time::Duration};

use cereus_crds::ServerType;
use kube::{Resource as _, ResourceExt as _, core::DeserializeGuard, runtime::controller::Action};
use tokio::time::Instant;

use self::{build::Given, context::Context, error::Error, kinds::Kind, status::Standing, validate::Valid};
pub(crate) use self::{
    context::{Settings, Shared},
    metrics::Metrics,
    run::run,
    writer::Writer,
};
use crate::{certificates, sessions::SELDOM};

/// One run over one ServerType, when it is its turn.
async fn reconcile(object: Arc<DeserializeGuard<ServerType>>, context: Arc<Context>) -> Result<Action, Error> {
    let shared = &context.shared;
    let waiting = shared.metrics.queue();
    // The semaphore is never closed.
    let _turn = shared.limit.acquire().await;
    drop(waiting);
    let _running = shared.metrics.run();
    let begun = Instant::now();
    let key = format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any());
    let result = pipeline(object, &context).await;
    shared.metrics.ran(begun.elapsed(), result.as_ref().err().map(Error::failure));
    if result.is_ok() {
        shared.succeeded(&key);
    }
    result
}

/// The run itself. An object that is being deleted is left to the garbage collector, with all that it owns.
async fn pipeline(object: Arc<DeserializeGuard<ServerType>>, context: &Context) -> Result<Action, Error> {
    if object.meta().deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let observed = fetch::fetch(object, context).await?;
    let checked = validate::validate(&observed.object, &context.shared.validator);
    let mut standing = Standing::new(&observed, &checked);
    let changed = match &checked {
        Ok(valid) => change(valid, &observed, &mut standing, context).await,
        Err(_) => Ok(observed.counts.next.min(SELDOM)),
    };
    standing.failed(&changed, context.shared.failures(&observed.key()));
    status::status(&standing, &observed, &context.shared).await?;
    changed.map(Action::requeue)
}

/// Decide what is to be there, and make it so; after how long to look again, if nothing happens before. Of a type that is
/// paused only the certificate that its servers have is kept valid.
async fn change(
    valid: &Valid,
    observed: &fetch::Observed,
    standing: &mut Standing<'_>,
    context: &Context,
) -> Result<Duration, Error> {
    let shared = &context.shared;
    let paused = valid.server_type.spec.paused;
    if paused {
        replicas::forget(observed, shared);
    }
    let (authority, existing) = (observed.authority.as_deref(), observed.certificates.as_ref());
    if paused && existing.is_none() {
        return Ok(observed.counts.next.min(SELDOM));
    }
    let issued = certificates::issue(observed.now, &observed.namespace, &observed.name, authority, existing)?;
    if !paused {
        standing.desired = replicas::replicas(valid, observed, shared);
    }
    let given =
        Given { replicas: standing.desired, issued: &issued, admin_namespaces: &shared.settings.admin_namespaces };
    let mut desired = build::build(valid, &given)?;
    if paused {
        desired.retain(|desired| desired.kind == Kind::Secret);
    }
    standing.applied = apply::apply(&desired, &issued, observed, shared).await?;
    if !paused {
        apply::delete_orphans(&desired, observed, shared).await?;
    }
    let until_renewal = issued.renew_at.duration_since(observed.now).unsigned_abs();
    Ok(observed.counts.next.min(until_renewal).min(SELDOM).max(Duration::from_millis(100)))
}

/// When a run that failed is made again.
#[allow(clippy::needless_pass_by_value, reason = "the controller calls it so")]
fn after_failure(object: Arc<DeserializeGuard<ServerType>>, error: &Error, context: Arc<Context>) -> Action {
    let key = format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any());
    let delay = context.shared.failed(&key, error.retry_after());
    if error.reason().is_some() {
        tracing::warn!(server_type = key, error = error.chain(), ?delay, "run failed");
    } else {
        tracing::info!(server_type = key, error = error.chain(), ?delay, "run will be made again");
    }
    Action::requeue(delay)
}
