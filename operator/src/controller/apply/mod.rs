//! Making what is what is to be. Only what differs is written; the order is that in which things depend on each other,
//! and the first failure ends the run, because what follows may need what failed.

mod compare;
mod needed;
mod owner;

use std::{sync::Arc, time::Duration};

use futures_util::{TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::{ResourceExt as _, core::DynamicObject};
use tokio::time::Instant;

use crate::{
    certificates::{self, Issued},
    controller::{
        build::Desired,
        context::{Attempt, Shared},
        error::Error,
        fetch::Observed,
        kinds::Kind,
        metrics::Outcome,
    },
    pod::{is_draining, is_ready},
};

/// How many pods are written to at a time.
const AT_A_TIME: usize = 16;

/// When it is tried again to write what was put back: nothing tells that whoever did so is gone.
const AGAIN: Duration = Duration::from_mins(10);

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// Whether the Deployment was: what is known of it is out of date then.
    pub(crate) deployment: bool,
}

/// Apply what differs.
pub(crate) async fn apply(
    desired: &[Desired],
    issued: &Issued,
    observed: &Observed,
    shared: &Shared,
) -> Result<Applied, Error> {
    authority(issued, observed, shared).await?;
    let mut applied = Applied::default();
    for desired in desired {
        let live = observed.existing.get(&(desired.kind, desired.name())).map(Arc::as_ref);
        if live.is_some_and(|live| is_done(desired, live, observed, shared)) {
            shared.metrics.wrote(desired.kind.as_str(), Outcome::Unchanged);
            continue;
        }
        if live.is_none() {
            unless_taken(desired, observed, shared).await?;
        }
        if desired.kind == Kind::Deployment {
            deletion_costs(desired, observed, shared).await?;
        }
        let changed = write(desired, live, observed, shared).await?;
        applied.deployment |= changed && desired.kind == Kind::Deployment;
    }
    let is_wanted = |key: &(Kind, String)| desired.iter().any(|desired| (desired.kind, desired.name()) == *key);
    shared.remember(&observed.key(), |memory| memory.unchangeable.retain(|key, _| is_wanted(key)));
    Ok(applied)
}

/// Whether an object is as it is to be, or was found out to stay as it is.
fn is_done(desired: &Desired, live: &DynamicObject, observed: &Observed, shared: &Shared) -> bool {
    let key = (desired.kind, desired.name());
    compare::is_applied(&desired.object, live)
        || shared.remember(&observed.key(), |memory| {
            let last = memory.unchangeable.get(&key);
            last.is_some_and(|(at, last)| at.elapsed() < AGAIN && *last == attempt(desired, live.resource_version()))
        })
}

/// Write one object; whether it is another one then. When webhooks or the API server put back what was applied nothing is
/// stored, so no watch tells of it: it is remembered, and tried again when what is or what is to be has changed, or much later.
async fn write(
    desired: &Desired,
    live: Option<&DynamicObject>,
    observed: &Observed,
    shared: &Shared,
) -> Result<bool, Error> {
    let version = shared.writer.apply(&observed.namespace, desired).await?;
    let changed = live.is_none_or(|live| live.resource_version() != version);
    let (kind, name) = (desired.kind, desired.name());
    if !changed {
        tracing::warn!(kind = kind.as_str(), name, "applied, and stored otherwise: a webhook may rewrite it");
    }
    shared.remember(&observed.key(), |memory| {
        memory.unchangeable.remove(&(kind, name.clone()));
        if !changed {
            memory.unchangeable.insert((kind, name), (Instant::now(), attempt(desired, version)));
        }
    });
    Ok(changed)
}

fn attempt(desired: &Desired, version: Option<String>) -> Attempt {
    Attempt { version, fingerprint: desired.fingerprint().cloned() }
}

/// Fail if the name of an object that is to be is that of somebody else's.
async fn unless_taken(desired: &Desired, observed: &Observed, shared: &Shared) -> Result<(), Error> {
    let (kind, name) = (desired.kind, desired.name());
    let found = shared.writer.find(&observed.namespace, kind, &name).await?;
    let uid = observed.object.uid();
    if found.is_none_or(|found| owner::is_of(&found.metadata, &observed.name, uid.as_deref())) {
        return Ok(());
    }
    Err(Error::NameTaken { kind: kind.as_str(), name })
}

/// Write the authority before anything that it signed.
async fn authority(issued: &Issued, observed: &Observed, shared: &Shared) -> Result<(), Error> {
    if !issued.authority_changed {
        return Ok(());
    }
    let name = certificates::secret_name(&observed.namespace);
    let version = observed.authority.as_ref().and_then(|secret| secret.resource_version());
    let data = issued.authority.data();
    shared.writer.authority(&shared.settings.operator_namespace, &name, version, data).await
}

/// Before there are to be fewer servers, say of each what it holds: those that hold least go. One that takes messages and
/// never said what it holds may hold most. Of one that takes none nothing need be said: Kubernetes takes it first.
async fn deletion_costs(desired: &Desired, observed: &Observed, shared: &Shared) -> Result<(), Error> {
    let wanted = desired.object.data.pointer("/spec/replicas").and_then(serde_json::Value::as_i64);
    let there = observed.there();
    if wanted >= there.map(i64::from) {
        return Ok(());
    }
    let cost = |pod: &Pod| match observed.counts.of_pod(pod) {
        Some(held) => Some(i32::try_from(held).unwrap_or(i32::MAX)),
        None => is_ready(pod).then_some(i32::MAX),
    };
    let staying = observed.pods.iter().filter(|pod| !is_draining(pod));
    let costs: Vec<_> = staying.filter_map(|pod| Some((pod.clone(), cost(pod)?))).collect();
    let news = costs.into_iter().filter(|(pod, cost)| deletion_cost(pod) != Some(*cost));
    let news: Vec<_> = news.map(Ok).collect();
    stream::iter(news)
        .try_for_each_concurrent(AT_A_TIME, async |(pod, cost)| shared.writer.deletion_cost(&pod, cost).await)
        .await
}

/// What a pod was said to cost.
fn deletion_cost(pod: &Pod) -> Option<i32> {
    pod.annotations().get(cereus_crds::names::DELETION_COST_ANNOTATION)?.parse().ok()
}

/// Delete what was made for this ServerType and is not to be there any more, once no server needs it.
pub(crate) async fn delete_orphans(desired: &[Desired], observed: &Observed, shared: &Shared) -> Result<(), Error> {
    let uid = observed.object.uid();
    for ((kind, name), object) in &observed.existing {
        let ours = object.owner_references().iter().any(|owner| Some(&owner.uid) == uid.as_ref());
        let leaves = object.metadata.deletion_timestamp.is_some();
        let wanted = desired.iter().any(|desired| desired.kind == *kind && desired.name() == *name);
        if ours && !leaves && !wanted && !needed::is_needed(*kind, name, observed) {
            shared.writer.delete(&observed.namespace, *kind, object).await?;
        }
    }
    Ok(())
}
