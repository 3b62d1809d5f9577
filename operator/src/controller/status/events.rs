//! An event for each transition of a condition. Pure.

use k8s_openapi::{api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{
    Resource as _, ResourceExt as _,
    runtime::events::{Event, EventType},
};

use cereus_crds::{ConditionType, ServerType};

use super::Reason;
use crate::controller::fetch::Observed;

/// What an event is about.
pub(super) fn reference(observed: &Observed) -> ObjectReference {
    ObjectReference {
        api_version: Some(ServerType::api_version(&()).into_owned()),
        kind: Some(ServerType::kind(&()).into_owned()),
        name: Some(observed.name.clone()),
        namespace: Some(observed.namespace.clone()),
        uid: observed.object.uid(),
        ..ObjectReference::default()
    }
}

/// What changed from `before` to `after`. That nothing is wrong and nothing is paused is no news of something new.
pub(super) fn transitions(before: &[Condition], after: &[Condition]) -> Vec<Event> {
    let quiet = [Reason::AsExpected.as_str(), Reason::NotPaused.as_str(), Reason::Settled.as_str()];
    let changed = after.iter().filter(|after| {
        let before = before.iter().find(|before| before.type_ == after.type_);
        match before {
            Some(before) => before.status != after.status || before.reason != after.reason,
            None => !quiet.contains(&after.reason.as_str()),
        }
    });
    changed.map(event).collect()
}

fn event(condition: &Condition) -> Event {
    let bad = condition.type_ == ConditionType::Degraded.as_str() && condition.status == "True";
    Event {
        type_: if bad { EventType::Warning } else { EventType::Normal },
        reason: condition.reason.clone(),
        note: Some(condition.message.clone()),
        action: condition.type_.clone(),
        secondary: None,
    }
}
