//! How a server type stands: its four conditions. Pure.

use std::sync::Arc;

use cereus_crds::ConditionType;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};

use super::{Standing, trouble, trouble::Trouble};
use crate::{
    controller::{fetch::Observed, reason::Reason},
    pod::{is_draining, is_silent},
};

/// A condition without the time of its last change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// Which.
    pub(crate) condition: ConditionType,
    /// Whether it holds.
    pub(crate) holds: bool,
    /// Why.
    pub(crate) reason: Reason,
    /// The same in a sentence.
    pub(crate) message: String,
}

/// All four, in the order in which they are shown.
pub(super) fn judge(standing: &Standing<'_>, observed: &Observed) -> Vec<Judgement> {
    let degraded = degraded(standing, observed);
    vec![ready(standing, observed), progressing(standing, observed), degraded, paused(standing)]
}

fn ready(standing: &Standing<'_>, observed: &Observed) -> Judgement {
    let judgement = |holds, reason, message| Judgement { condition: ConditionType::Ready, holds, reason, message };
    if let Err(invalid) = standing.checked {
        return judgement(false, invalid.reason, invalid.message.clone());
    }
    let desired = desired(standing, observed);
    let count = current(observed).and_then(|status| status.ready_replicas).unwrap_or(0);
    // Before old ones have gone there are more than there are to be.
    let message = if count > desired {
        format!("{count} servers take messages; there are to be {desired}")
    } else {
        format!("{count} of {desired} servers take messages")
    };
    if seen(standing, observed) && count >= desired {
        judgement(true, Reason::AllServersReady, message)
    } else {
        judgement(false, Reason::ServersNotReady, message)
    }
}

fn progressing(standing: &Standing<'_>, observed: &Observed) -> Judgement {
    let judgement =
        |holds, reason, message| Judgement { condition: ConditionType::Progressing, holds, reason, message };
    let desired = desired(standing, observed);
    let status = current(observed);
    let [there, updated, ready] = [
        status.and_then(|status| status.replicas),
        status.and_then(|status| status.updated_replicas),
        status.and_then(|status| status.ready_replicas),
    ]
    .map(Option::unwrap_or_default);
    let draining = observed.pods.iter().filter(|pod| is_draining(pod)).count();
    let silent = observed.pods.iter().filter(|pod| is_silent(pod) && !is_draining(pod)).count();
    // Nobody starts those again while their node does not answer.
    let started = ready.saturating_add(i32::try_from(silent).unwrap_or(i32::MAX)).min(updated);
    if standing.checked.is_err() || standing.paused() {
        judgement(false, Reason::Settled, "nothing is changed".to_owned())
    } else if !seen(standing, observed) {
        judgement(true, Reason::Starting, "the change was applied and is not carried out yet".to_owned())
    } else if there > updated {
        let old = there - updated;
        judgement(true, Reason::RollingOut, format!("{old} servers of {there} still run what was before"))
    } else if started < desired {
        judgement(true, Reason::Starting, format!("{} servers are being started", desired - started))
    } else if draining > 0 {
        judgement(true, Reason::Draining, format!("{draining} servers are taking their leave"))
    } else {
        judgement(false, Reason::Settled, "all servers run what the manifest says".to_owned())
    }
}

fn degraded(standing: &Standing<'_>, observed: &Observed) -> Judgement {
    let trouble = match (standing.checked, &standing.failure) {
        (Err(invalid), _) => Some(Trouble { reason: invalid.reason, message: invalid.message.clone() }),
        (_, Some((reason, message))) => Some(Trouble { reason: *reason, message: message.clone() }),
        _ => missing(observed)
            .or_else(|| trouble::of_pods(observed.pods.iter().map(Arc::as_ref)))
            .or_else(|| observed.deployment.as_ref().and_then(stuck)),
    };
    let (holds, reason, message) = match trouble {
        Some(trouble) => (true, trouble.reason, trouble.message),
        None => (false, Reason::AsExpected, "nothing is wrong".to_owned()),
    };
    Judgement { condition: ConditionType::Degraded, holds, reason, message }
}

fn paused(standing: &Standing<'_>) -> Judgement {
    let (holds, reason, message) = if standing.paused() {
        (true, Reason::PausedByManifest, "spec.paused is true: everything is left as it is")
    } else {
        (false, Reason::NotPaused, "changes are carried out")
    };
    Judgement { condition: ConditionType::Paused, holds, reason, message: message.to_owned() }
}

fn missing(observed: &Observed) -> Option<Trouble> {
    let name = observed.missing_secrets.first()?;
    let names = observed.missing_secrets.join(", ");
    let message = format!(
        "servers wait for Secrets that are not there: {names}; create them, such as with `kubectl create secret tls {name} \
         --cert=FILE --key=FILE`, or correct the names in the manifest"
    );
    Some(Trouble { reason: Reason::SecretMissing, message })
}

/// A rollout that Kubernetes has given up hope for.
fn stuck(deployment: &Deployment) -> Option<Trouble> {
    let conditions = deployment.status.as_ref()?.conditions.as_ref()?;
    let failed = |reason: &str| conditions.iter().find(|condition| condition.reason.as_deref() == Some(reason));
    if let Some(condition) = failed("ProgressDeadlineExceeded") {
        let why = condition.message.as_deref().unwrap_or_default();
        let message =
            format!("new servers do not get ready: {why}; `kubectl logs` and `kubectl describe pod` say more");
        return Some(Trouble { reason: Reason::RolloutStuck, message });
    }
    let condition = failed("FailedCreate")?;
    let why = condition.message.as_deref().unwrap_or_default();
    let message =
        format!("Kubernetes does not make pods: {why}; correct what it says, such as a quota of the namespace");
    Some(Trouble { reason: Reason::ObjectRefused, message })
}

/// How many servers there are to be by the manifest that is spoken of: the one that was carried out last.
fn desired(standing: &Standing<'_>, observed: &Observed) -> i32 {
    if standing.done { standing.desired } else { observed.there().unwrap_or(standing.desired) }
}

/// Whether what is known of the Deployment tells of what was applied last.
fn seen(standing: &Standing<'_>, observed: &Observed) -> bool {
    !standing.applied.deployment && current(observed).is_some()
}

/// The Deployment's status, when it tells of the Deployment as it is.
fn current(observed: &Observed) -> Option<&DeploymentStatus> {
    let deployment = observed.deployment.as_ref()?;
    let status = deployment.status.as_ref()?;
    (status.observed_generation >= deployment.metadata.generation).then_some(status)
}
