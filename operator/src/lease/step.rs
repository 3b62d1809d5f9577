//! What is to be done about a Lease as it was read. Pure.

use std::time::Duration;

use k8s_openapi::{api::coordination::v1::Lease, apimachinery::pkg::apis::meta::v1::MicroTime};
use tokio::time::Instant;

use super::DURATION;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// There is none.
    Create,
    /// It is ours.
    Renew,
    /// Nobody has it, or its holder has not renewed it for so long that it has ended.
    TakeOver,
    /// Another has it.
    Wait,
}

/// Which renewal of a Lease was seen, and when first, by this process's own clock: clocks of others are not compared.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    holder: Option<String>,
    renewed: Option<MicroTime>,
    first: Instant,
}

impl Seen {
    /// The same as before, or a new one.
    pub(super) fn at(lease: &Lease, now: Instant, before: Option<Self>) -> Self {
        let spec = lease.spec.as_ref();
        let holder = spec.and_then(|spec| spec.holder_identity.clone());
        let renewed = spec.and_then(|spec| spec.renew_time.clone());
        let same = before.filter(|before| before.holder == holder && before.renewed == renewed);
        same.unwrap_or(Self { holder, renewed, first: now })
    }
}

/// What `identity` is to do.
pub(super) fn step(lease: Option<&Lease>, seen: Option<&Seen>, identity: &str, now: Instant) -> Step {
    let (Some(lease), Some(seen)) = (lease, seen) else { return Step::Create };
    match seen.holder.as_deref() {
        None | Some("") => Step::TakeOver,
        Some(holder) if holder == identity => Step::Renew,
        Some(_) if now.duration_since(seen.first) >= duration(lease) => Step::TakeOver,
        Some(_) => Step::Wait,
    }
}

/// For how long its holder said that it holds.
fn duration(lease: &Lease) -> Duration {
    let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
    seconds.and_then(|seconds| u64::try_from(seconds).ok()).map_or(DURATION, Duration::from_secs)
}
