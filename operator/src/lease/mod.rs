//! Which of several operators leads: the one whose name is in a Lease.
//!
//! The leader renews the Lease every two seconds. Whoever sees it unchanged for twelve seconds, by its own clock, takes
//! it over; a replace that names the version it was read at lets only one do so. The leader trusts its own clock as well:
//! eight seconds after it *began* its last successful renewal it holds itself for deposed, whether or not it heard from
//! the API server, so in the four seconds before anyone else leads it begins no change any more.

mod step;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{Api, Client, api::PostParams, core::ObjectMeta};
use tokio::{sync::watch, time::Instant};

use self::step::{Seen, Step, step};

/// For how long a Lease holds that is not renewed.
const DURATION: Duration = Duration::from_secs(12);

/// For how long its holder trusts it, from the beginning of a renewal.
const TRUSTED: Duration = Duration::from_secs(8);

/// How long nobody leads, at least, before another does: what the leader began has to be over by then.
pub(crate) const GRACE: Duration = Duration::from_secs(DURATION.as_secs() - TRUSTED.as_secs());

/// How often the Lease is looked at, and by its holder renewed: four tries before it would be lost.
const PERIOD: Duration = Duration::from_secs(2);

/// How long one try may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Whether this operator leads. Clones say the same.
#[derive(Debug, Clone)]
pub(crate) struct Leadership {
    until: watch::Receiver<Option<Instant>>,
}

impl Leadership {
    /// Whether it leads now, by its own clock.
    pub(crate) fn holds(&self) -> bool {
        self.until.borrow().is_some_and(|until| Instant::now() < until)
    }

    /// Until it leads. Forever, when the lease is not watched any more.
    pub(crate) async fn gained(&mut self) {
        let now = |until: &Option<Instant>| until.is_some_and(|until| Instant::now() < until);
        if self.until.wait_for(now).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Until it does not lead any more.
    pub(crate) async fn lost(&mut self) {
        loop {
            let Some(until) = *self.until.borrow_and_update() else { return };
            tokio::select! {
                changed = self.until.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(until) => return,
            }
        }
    }

    /// One that holds as long as the sender says.
    #[cfg(test)]
    pub(crate) fn until(until: Option<Instant>) -> (watch::Sender<Option<Instant>>, Self) {
        let (sender, until) = watch::channel(until);
        (sender, Self { until })
    }
}

/// Keeps a Lease, or tries to get it.
#[derive(Debug)]
pub(crate) struct Keeper {
    leases: Api<Lease>,
    name: String,
    identity: String,
    until: watch::Sender<Option<Instant>>,
    /// When the API server last answered.
    answered: watch::Sender<Option<Instant>>,
    seen: Option<Seen>,
}

/// Why the Lease was not kept.
#[derive(Debug, thiserror::Error)]
enum LeaseError {
    #[error("the API server did not answer within 3s")]
    Slow,
    #[error("the API server refuses: {0}")]
    Refused(String),
    #[error("the API server cannot be asked: {0}")]
    Unreachable(#[source] kube::Error),
}

impl From<kube::Error> for LeaseError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Refused(status.message.clone()),
            other => Self::Unreachable(other),
        }
    }
}

impl Keeper {
    /// Keep the Lease `name` in `namespace`, as `identity`, which no other process may have.
    pub(crate) fn new(client: Client, namespace: &str, name: &str, identity: String) -> Self {
        Self {
            leases: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity,
            until: watch::Sender::new(None),
            answered: watch::Sender::new(None),
            seen: None,
        }
    }

    /// Whether it leads.
    pub(crate) fn leadership(&self) -> Leadership {
        Leadership { until: self.until.subscribe() }
    }

    /// When the API server last answered.
    pub(crate) fn answered(&self) -> watch::Receiver<Option<Instant>> {
        self.answered.subscribe()
    }

    /// Look at the Lease again and again, until `stop`; then give it back, so that another need not wait.
    pub(crate) async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                _ = ticks.tick() => {}
            }
            self.tick().await;
        }
        self.release().await;
    }

    async fn tick(&mut self) {
        // The time before the request counts: what happens to the answer does not make the Lease last longer.
        let begun = Instant::now();
        let led = self.until.borrow().is_some();
        let result = tokio::time::timeout(TIMEOUT, self.attempt(begun)).await.unwrap_or(Err(LeaseError::Slow));
        match result {
            Ok(holds) => {
                self.answered.send_replace(Some(Instant::now()));
                self.until.send_replace(holds.then(|| begun + TRUSTED));
                if holds != led {
                    tracing::info!(lease = self.name, identity = self.identity, leads = holds, "leadership changed");
                }
            }
            // Until the time is over, or a later try succeeds, nothing has changed.
            Err(error) => tracing::warn!(lease = self.name, %error, "lease was not kept"),
        }
    }

    /// Read the Lease and do what is to be done; whether this process has it then.
    async fn attempt(&mut self, now: Instant) -> Result<bool, LeaseError> {
        let lease = self.leases.get_opt(&self.name).await?;
        self.seen = lease.as_ref().map(|lease| Seen::at(lease, now, self.seen.take()));
        let step = step(lease.as_ref(), self.seen.as_ref(), &self.identity, now);
        let lease = match (step, lease) {
            (Step::Wait, _) => return Ok(false),
            (_, None) => {
                let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
                Lease { metadata, spec: None }
            }
            (_, Some(lease)) => lease,
        };
        let written = self.write(self.held(lease, step)).await;
        match written {
            Ok(_) => Ok(true),
            // Another was faster.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The Lease with this process as its holder, from now.
    fn held(&self, mut lease: Lease, step: Step) -> Lease {
        let now = MicroTime(Timestamp::now());
        let before = lease.spec.take().unwrap_or_default();
        let renewed = step == Step::Renew;
        let transitions = before.lease_transitions.unwrap_or_default();
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: if renewed { before.acquire_time } else { Some(now.clone()) },
            renew_time: Some(now),
            lease_transitions: Some(if step == Step::TakeOver { transitions + 1 } else { transitions }),
            ..LeaseSpec::default()
        });
        lease
    }

    async fn write(&self, lease: Lease) -> Result<Lease, kube::Error> {
        let parameters = PostParams::default();
        if lease.metadata.resource_version.is_some() {
            self.leases.replace(&self.name, &parameters, &lease).await
        } else {
            self.leases.create(&parameters, &lease).await
        }
    }

    async fn release(&mut self) {
        let held = self.until.send_replace(None).is_some();
        if !held {
            return;
        }
        let give_back = async {
            let Some(mut lease) = self.leases.get_opt(&self.name).await? else { return Ok(()) };
            let Some(spec) = lease.spec.as_mut() else { return Ok(()) };
            if spec.holder_identity.as_ref() == Some(&self.identity) {
                spec.holder_identity = None;
                self.write(lease).await?;
            }
            Ok::<_, kube::Error>(())
        };
        match tokio::time::timeout(TIMEOUT, give_back).await {
            Ok(Ok(())) => tracing::info!(lease = self.name, "lease given back"),
            Ok(Err(error)) => tracing::warn!(%error, "lease was not given back; another operator waits for its end"),
            Err(_) => tracing::warn!("lease was not given back in time; another operator waits for its end"),
        }
    }
}
