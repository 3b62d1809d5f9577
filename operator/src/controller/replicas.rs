//! How many servers there are to be.

use tokio::time::Instant;

use crate::{
    controller::{
        autoscaling::{self, Load},
        context::Shared,
        fetch::Observed,
        validate::Valid,
    },
    pod::is_draining,
};

/// What the manifest says, or what the sessions need. The choice that autoscaling made is in the status; what was chosen
/// by this process is remembered, because the cache may not have it yet.
pub(super) fn replicas(valid: &Valid, observed: &Observed, shared: &Shared) -> i32 {
    let spec = &valid.server_type.spec;
    let first = i32::try_from(spec.desired_replicas()).unwrap_or(i32::MAX);
    let Some(autoscaling) = &spec.autoscaling else {
        forget(observed, shared);
        return first;
    };
    let status = observed.object.0.as_ref().ok().and_then(|object| object.status.as_ref());
    let there = observed.there();
    let said = status.and_then(|status| status.desired_replicas).or(there).unwrap_or(first);
    let load = load(observed);
    shared.remember(&observed.key(), |memory| {
        let current = memory.chosen.unwrap_or(said);
        let chosen = autoscaling::choose(autoscaling, current, load, &mut memory.enough, Instant::now());
        memory.chosen = Some(chosen);
        chosen
    })
}

/// Nobody chooses now, so what was chosen says nothing when it is time to choose again.
pub(super) fn forget(observed: &Observed, shared: &Shared) {
    shared.remember(&observed.key(), |memory| (memory.enough, memory.chosen) = (None, None));
}

fn load(observed: &Observed) -> Load {
    Load {
        sessions: observed.counts.total(&observed.pods),
        complete: observed.counts.complete,
        draining: observed.pods.iter().any(|pod| is_draining(pod)),
    }
}
