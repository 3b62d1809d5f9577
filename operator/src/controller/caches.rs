//! What is known of the cluster, kept up to date by watches: nothing is asked for twice.

use std::{collections::BTreeMap, sync::Arc};

use cereus_crds::{contract::variables, names::SERVER_LABEL};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{
    ResourceExt as _,
    core::DynamicObject,
    runtime::reflector::{ObjectRef, Store, store::WriterDropped},
};

use crate::{certificates, controller::kinds::Kind, sessions::ByType};

/// Views of the objects in one namespace, or in all.
#[derive(Clone)]
pub(crate) struct Caches {
    /// What the operator made, by kind.
    pub(crate) objects: BTreeMap<Kind, Store<DynamicObject>>,
    /// The servers.
    pub(crate) pods: Store<Pod>,
    /// The authorities, in the operator's own namespace.
    pub(crate) authorities: Store<Secret>,
}

/// The objects of a server type, by kind and name.
pub(crate) type Existing = BTreeMap<(Kind, String), Arc<DynamicObject>>;

impl Caches {
    /// Wait until each was filled once: before that, what exists would look as if it did not.
    pub(crate) async fn filled(&self) -> Result<(), WriterDropped> {
        for store in self.objects.values() {
            store.wait_until_ready().await?;
        }
        self.pods.wait_until_ready().await?;
        self.authorities.wait_until_ready().await
    }

    /// Everything that was made for a server type, by its label.
    pub(crate) fn existing(&self, namespace: &str, server_type: &str) -> Existing {
        let mut existing = Existing::new();
        for (kind, store) in &self.objects {
            let ours = store.state_filter(|object| {
                object.metadata.namespace.as_deref() == Some(namespace) && replica_of(object) == Some(server_type)
            });
            existing.extend(ours.into_iter().map(|object| ((*kind, object.name_any()), object)));
        }
        existing
    }

    /// The servers of a server type, those that are leaving among them; not those that have ended.
    pub(crate) fn pods(&self, namespace: &str, server_type: &str) -> Vec<Arc<Pod>> {
        let mut pods = self.pods.state_filter(|pod| {
            pod.metadata.namespace.as_deref() == Some(namespace) && replica_of(pod) == Some(server_type) && !ended(pod)
        });
        pods.sort_by_key(|pod| pod.name_any());
        pods
    }

    /// The servers of a namespace to which clients connect, by what their types are remembered by.
    pub(crate) fn frontends(&self, namespace: &str) -> ByType {
        let pods = self.pods.state_filter(|pod| {
            pod.metadata.namespace.as_deref() == Some(namespace) && is_frontend(pod) && !ended(pod)
        });
        let mut frontends = ByType::new();
        for pod in pods {
            if let Some(server_type) = replica_of(pod.as_ref()) {
                frontends.entry(format!("{namespace}/{server_type}")).or_default().push(pod);
            }
        }
        frontends
    }

    /// The authority of a namespace.
    pub(crate) fn authority(&self, operator_namespace: &str, namespace: &str) -> Option<Arc<Secret>> {
        self.authorities.get(&ObjectRef::new(&certificates::secret_name(namespace)).within(operator_namespace))
    }
}

/// The server type that an object belongs to.
pub(crate) fn replica_of<K: kube::Resource>(object: &K) -> Option<&str> {
    object.meta().labels.as_ref()?.get(SERVER_LABEL).map(String::as_str)
}

/// Whether clients connect to a server.
pub(crate) fn is_frontend(pod: &Pod) -> bool {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    containers.flat_map(|container| container.env.iter().flatten()).any(|set| set.name == variables::FRONTEND)
}

fn ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}
