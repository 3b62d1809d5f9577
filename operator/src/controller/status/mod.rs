//! Saying how a server type stands: in its status, and with an event for each transition. Written only on change.

mod events;
mod judge;
#[cfg(test)]
mod tests;
mod trouble;

use cereus_crds::{ConditionType, ServerType, ServerTypeStatus, names};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{Resource as _, runtime::events::Event};
use serde_json::json;

use self::judge::Judgement;
use crate::{
    controller::{
        apply::Applied,
        context::Shared,
        error::Error,
        fetch::Observed,
        reason::Reason,
        validate::{Invalid, Valid},
    },
    pod::is_draining,
};

/// How often in a row the API server must fail before that is called a degradation.
const PATIENCE: u32 = 5;

/// How many events are kept that could not be written: two transitions of every condition.
const MOST_UNTOLD: usize = 8;

/// The longest message of a condition in bytes: that of an event, which says the same.
const LONGEST_MESSAGE: usize = 1024;

/// What a run found out and did.
#[derive(Debug)]
pub(crate) struct Standing<'a> {
    /// Whether the manifest can be carried out.
    pub(crate) checked: &'a Result<Valid, Invalid>,
    /// How many servers there are to be.
    pub(crate) desired: i32,
    /// What was written.
    pub(crate) applied: Applied,
    /// Whether the manifest was carried out. If not, what there is tells of one before.
    pub(crate) done: bool,
    /// What went wrong, if a person should know.
    pub(crate) failure: Option<(Reason, String)>,
}

impl<'a> Standing<'a> {
    /// Before anything is done: there are to be as many as were to be before.
    pub(crate) fn new(observed: &Observed, checked: &'a Result<Valid, Invalid>) -> Self {
        let there = observed.there();
        Self { checked, desired: there.unwrap_or(0), applied: Applied::default(), done: true, failure: None }
    }

    /// Take note of how it went. What passes by itself is only told when it does not.
    pub(crate) fn failed<T>(&mut self, result: &Result<T, Error>, failures_before: u32) {
        let Err(error) = result else { return };
        self.done = false;
        let transient = (failures_before >= PATIENCE).then_some(Reason::ApiFailing);
        self.failure = error.reason().or(transient).map(|reason| (reason, error.chain()));
    }

    fn paused(&self) -> bool {
        self.checked.as_ref().is_ok_and(|valid| valid.server_type.spec.paused)
    }
}

/// Write the status, if it is not what stands there already.
pub(crate) async fn status(standing: &Standing<'_>, observed: &Observed, shared: &Shared) -> Result<(), Error> {
    let before = observed.object.0.as_ref().ok().map(|object| object.status.clone().unwrap_or_default());
    let status = describe(standing, observed, before.as_ref());
    let unreadable = before.is_none().then(|| summary(&status));
    let is_told = unreadable.is_some() && shared.remember(&observed.key(), |memory| memory.told == unreadable);
    if before.as_ref() == Some(&status) || is_told {
        tell(Vec::new(), observed, shared).await;
        return Ok(());
    }
    let patch = json!({
        "apiVersion": ServerType::api_version(&()),
        "kind": ServerType::kind(&()),
        "metadata": { "name": observed.name },
        "status": status,
    });
    shared.writer.status(&observed.namespace, &observed.name, &patch).await?;
    shared.remember(&observed.key(), |memory| memory.told = unreadable);
    tell(events::transitions(&before.unwrap_or_default().conditions, &status.conditions), observed, shared).await;
    Ok(())
}

/// Write events, and before them those that could not be written when it was their turn. Events are for people: what
/// cannot be written now is for the next run, and holds nothing up.
async fn tell(events: Vec<Event>, observed: &Observed, shared: &Shared) {
    let key = observed.key();
    let mut untold = shared.remember(&key, |memory| std::mem::take(&mut memory.untold));
    untold.extend(events);
    let reference = events::reference(observed);
    while let Some(event) = untold.front() {
        if let Err(error) = shared.writer.event(event, &reference).await {
            tracing::warn!(server_type = key, error = error.chain(), "event was not written");
            // What passes by itself has no reason.
            if error.reason().is_none() {
                break;
            }
        }
        untold.pop_front();
    }
    untold.drain(..untold.len().saturating_sub(MOST_UNTOLD));
    shared.remember(&key, |memory| memory.untold = untold);
}

/// What is remembered of a status that was written: that of an object that cannot be read cannot be read either.
fn summary(status: &ServerTypeStatus) -> String {
    let conditions =
        status.conditions.iter().map(|condition| format!("{:?}{}", condition.observed_generation, condition.message));
    conditions.collect::<Vec<_>>().concat()
}

/// The status as it is to be. Pure.
fn describe(standing: &Standing<'_>, observed: &Observed, before: Option<&ServerTypeStatus>) -> ServerTypeStatus {
    let deployment = observed.deployment.as_ref().and_then(|deployment| deployment.status.as_ref());
    let count =
        |of: fn(&k8s_openapi::api::apps::v1::DeploymentStatus) -> Option<i32>| deployment.and_then(of).unwrap_or(0);
    let draining = observed.pods.iter().filter(|pod| is_draining(pod)).count();
    let generation = observed.object.meta().generation;
    let before_generation = before.and_then(|status| status.observed_generation);
    // Zero is before the first.
    let done = if standing.done { generation } else { before_generation.or(Some(0)) };
    let before_conditions = before.map(|status| status.conditions.as_slice()).unwrap_or_default();
    let image = observed.object.0.as_ref().ok().and_then(|object| object.spec.image.as_deref());
    ServerTypeStatus {
        desired_replicas: Some(standing.desired),
        replicas: count(|status| status.replicas),
        ready_replicas: count(|status| status.ready_replicas),
        updated_replicas: count(|status| status.updated_replicas),
        draining_replicas: i32::try_from(draining).unwrap_or(i32::MAX),
        sessions: observed.counts.total(&observed.pods).and_then(|sessions| i64::try_from(sessions).ok()),
        selector: Some(names::selector(&observed.name)),
        version: image.and_then(names::version),
        observed_generation: done,
        conditions: judge::judge(standing, observed)
            .into_iter()
            .map(|judgement| {
                let of_servers = matches!(judgement.condition, ConditionType::Ready | ConditionType::Progressing);
                let generation = if of_servers { done } else { generation };
                condition(&judgement, generation, before_conditions, observed.now)
            })
            .collect(),
    }
}

fn condition(judgement: &Judgement, generation: Option<i64>, before: &[Condition], now: Timestamp) -> Condition {
    let status = if judgement.holds { "True" } else { "False" };
    let type_ = judgement.condition.as_str();
    let same = before.iter().find(|before| before.type_ == type_ && before.status == status);
    // The API server keeps whole seconds.
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let mut message = judgement.message.clone();
    message.truncate(message.floor_char_boundary(LONGEST_MESSAGE));
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: judgement.reason.as_str().to_owned(),
        message,
        observed_generation: generation,
        last_transition_time: same.map_or(Time(now), |same| same.last_transition_time.clone()),
    }
}
