//! The source that watches a cluster's API server.
//!
//! [`Access`] finds the API server. Of each of the two kinds of objects one list-watch reads everything and then follows
//! the changes; `objects` keeps what they tell, and the same [`merge`](super::merge()) as for files makes snapshots of it. It
//! promises:
//!
//! - A view is shown in whole: the first when both lists are complete, and after a list was read anew, not before that is
//!   complete.
//! - While the API server does not answer, or answers with errors, the last view stays. It is tried again with back-off,
//!   and said once per outage.
//! - An object that is not understood is left out and counted; it disturbs no other.
//!
//! The list-watch is our own because the one of `kube` does not tell when a watch that had failed runs again, begins a
//! watch that ends at once without any pause, and gives up on a list with one bad item.

mod access;
mod list_watch;
mod objects;
mod progress;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use cereus_crds::names::SERVER_TYPE_LABEL;
use futures_util::{StreamExt as _, future::BoxFuture};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{self, Instant},
};

pub use self::access::Access;
use self::{
    list_watch::{Target, follow},
    objects::Objects,
    progress::{Kind, Progress, Remark},
};
use super::{
    snapshot::Snapshot,
    source::{Source, SourceStatus},
    watch::{Publisher, Topology},
};

/// A change is shown this long after it was told, together with what else was told by then: the endpoint controller
/// writes several slices for one rollout, and what moves between slices should be seen once.
const WINDOW: Duration = Duration::from_millis(5);

/// Keeps a [`Topology`] up to date with a cluster. The watching ends when this is dropped; the last view stays.
#[derive(Debug)]
pub struct KubernetesWatch {
    namespace: Arc<str>,
    progress: watch::Receiver<Progress>,
    _task: JoinSet<()>,
}

impl Topology {
    /// A view of the EndpointSlices and ServerTypes of a namespace. It is empty at first: see [`Source::synced`].
    ///
    /// To be called within a tokio runtime, on which the watching runs.
    pub fn kubernetes(access: Access) -> (Self, KubernetesWatch) {
        let (publisher, topology) = Self::channel(Snapshot::default());
        let (teller, progress) = watch::channel(Progress::default());
        let namespace = Arc::clone(&access.namespace);
        let mut task = JoinSet::new();
        task.spawn(keep(access, publisher, teller));
        (topology, KubernetesWatch { namespace, progress, _task: task })
    }
}

impl Source for KubernetesWatch {
    fn synced(&self) -> BoxFuture<'_, ()> {
        let mut progress = self.progress.clone();
        Box::pin(async move {
            if progress.wait_for(|progress| progress.is_synced).await.is_err() {
                // The task is gone with the runtime.
                std::future::pending::<()>().await;
            }
        })
    }

    fn status(&self) -> SourceStatus {
        self.progress.borrow().status(&self.namespace, Instant::now())
    }
}

/// Ends when it is aborted.
async fn keep(access: Access, publisher: Publisher, progress: watch::Sender<Progress>) {
    let Access { client, namespace } = access;
    let slices = Target::of::<EndpointSlice>(&namespace).with_label(SERVER_TYPE_LABEL);
    let server_types = Target::of::<cereus_crds::ServerType>(&namespace);
    let mut slices = std::pin::pin!(follow(client.clone(), slices));
    let mut server_types = std::pin::pin!(follow(client, server_types));
    let mut objects = Objects::default();
    let mut show_at: Option<Instant> = None;
    loop {
        let (kind, event) = tokio::select! {
            biased;
            () = time::sleep_until(show_at.unwrap_or_else(Instant::now)), if show_at.is_some() => {
                show_at = None;
                let snapshot = objects.snapshot();
                let skipped = snapshot.skipped().total();
                if publisher.publish(snapshot) {
                    tracing::debug!(skipped, "topology has changed");
                }
                progress.send_modify(|progress| progress.is_synced = true);
                continue;
            }
            Some(event) = slices.next() => (Kind::EndpointSlices, event),
            Some(event) = server_types.next() => (Kind::ServerTypes, event),
        };
        let mut remark = None;
        progress.send_modify(|progress| remark = progress.note(kind, &event, Instant::now()));
        if let Some(remark) = remark {
            log(&remark, &namespace);
        }
        let is_change = match kind {
            Kind::EndpointSlices => objects.slices.apply(event),
            Kind::ServerTypes => objects.server_types.apply(event),
        };
        if is_change && objects.are_complete() {
            show_at.get_or_insert_with(|| Instant::now() + WINDOW);
        }
    }
}

fn log(remark: &Remark, namespace: &str) {
    match remark {
        Remark::Waiting(cause) => {
            tracing::warn!(namespace, cause, "the cluster cannot be watched, the server waits for its first view");
        }
        Remark::Lost(cause) => {
            tracing::warn!(namespace, cause, "the cluster cannot be watched, the last view stays");
        }
        Remark::Back(outage) => {
            tracing::info!(namespace, seconds = outage.as_secs_f32(), "the cluster is watched again");
        }
    }
}
