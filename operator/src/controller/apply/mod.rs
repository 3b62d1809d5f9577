//! Making what is what is to be. Only what differs is written; the order is that in which things depend on each other,
//! and the first failure ends the run, because what follows may need what failed.

mod compare;
mod needed;

use futures_util::{TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use crate::{
    certificates::{self, Issued},
    controller::{build::Desired, context::Shared, error::Error, fetch::Observed, kinds::Kind, metrics::Outcome},
    pod::{is_draining, is_ready},
};

/// How many pods are written to at a time.
const AT_A_TIME: usize = 16;

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
        let name = desired.name();
        let live = observed.existing.get(&(desired.kind, name.clone()));
        if live.is_some_and(|live| compare::is_applied(&desired.object, live)) {
            shared.metrics.wrote(desired.kind.as_str(), Outcome::Unchanged);
            continue;
        }
        if live.is_none() && shared.writer.is_taken(&observed.namespace, desired.kind, &name).await? {
            return Err(Error::NameTaken { kind: desired.kind.as_str(), name });
        }
        if desired.kind == Kind::Deployment {
            deletion_costs(desired, observed, shared).await?;
            applied.deployment = true;
        }
        shared.writer.apply(&observed.namespace, desired).await?;
    }
    Ok(applied)
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
