//! The watches that lead to runs.

use std::{collections::BTreeMap, fmt::Debug, sync::Arc, time::Duration};

use cereus_crds::{
    Protocol, ServerType,
    names::{FIELD_MANAGER, MANAGED_BY_LABEL, SERVER_LABEL},
};
use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{
    Api, Resource, ResourceExt as _,
    core::{DeserializeGuard, DynamicObject, NamespaceResourceScope},
    runtime::{
        Controller, WatchStreamExt as _,
        controller::{self, Error as RunError},
        reflector::{ObjectRef, Store, store::Writer},
        watcher,
    },
};
use serde::de::DeserializeOwned;

use crate::controller::{
    after_failure,
    caches::{Caches, is_frontend, replica_of},
    context::{Context, Shared},
    kinds::Kind,
    reconcile,
};

/// Changes that come together lead to one run.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// Keep the ServerTypes of one namespace, or of all, until `stop`; runs that have begun are ended.
pub(crate) async fn run(
    shared: Arc<Shared>,
    namespace: Option<&str>,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let client = shared.client.clone();
    let own = watcher::Config::default().labels(&format!("{MANAGED_BY_LABEL}={FIELD_MANAGER}"));
    let mut controller = Controller::new(scoped::<DeserializeGuard<ServerType>>(&shared, namespace), <_>::default());
    let server_types = controller.store();
    let mut objects = BTreeMap::new();
    for kind in Kind::ALL {
        let resource = kind.resource();
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        let writer = Writer::new(resource.clone());
        objects.insert(kind, writer.as_reader());
        controller = controller.owns_stream_with(cached(api, own.clone(), writer), resource);
    }
    let pods = Writer::<Pod>::default();
    let servers = watcher::Config::default().labels(SERVER_LABEL);
    let authorities = Writer::<Secret>::default();
    let authority_api = Api::namespaced(client.clone(), &shared.settings.operator_namespace);
    let caches = Caches { objects, pods: pods.as_reader(), authorities: authorities.as_reader() };
    let context = Arc::new(Context { shared, caches });
    controller
        .watches_stream(cached(scoped(&context.shared, namespace), servers, pods), {
            let server_types = server_types.clone();
            move |pod| concerned(&pod, &server_types)
        })
        .watches_stream(cached(authority_api, own, authorities), move |secret| signed_by(&secret, &server_types))
        .with_config(controller::Config::default().debounce(DEBOUNCE))
        .graceful_shutdown_on(stop)
        .run(reconcile, after_failure, context.clone())
        .for_each(async |result| match result {
            Err(RunError::ObjectNotFound(object)) => {
                let namespace = object.namespace.as_deref().unwrap_or_default();
                context.shared.forget(&format!("{namespace}/{}", object.name));
            }
            // A failure is told where it is known when the run will be made again.
            Ok(_) | Err(RunError::ReconcilerFailed(..)) => {}
            Err(error) => tracing::warn!(%error, "watch failed, and will be begun again"),
        })
        .await;
}

/// Everything of a kind in the scope.
fn scoped<K>(shared: &Shared, namespace: Option<&str>) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope>,
    K::DynamicType: Default,
{
    match namespace {
        Some(namespace) => Api::namespaced(shared.client.clone(), namespace),
        None => Api::all(shared.client.clone()),
    }
}

/// Watch, keep what is seen, and pass on what changed or went.
fn cached<K>(api: Api<K>, config: watcher::Config, writer: Writer<K>) -> impl Stream<Item = watcher::Result<K>> + Send
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    K::DynamicType: std::hash::Hash + Eq + Clone + Debug + Send + Sync,
{
    watcher(api, config)
        .default_backoff()
        .modify(|object: &mut K| object.meta_mut().managed_fields = None)
        .reflect(writer)
        .touched_objects()
}

/// The ServerTypes that a server concerns: its own, and of a frontend those of which it tells what they hold.
fn concerned(
    pod: &Pod,
    server_types: &Store<DeserializeGuard<ServerType>>,
) -> Vec<ObjectRef<DeserializeGuard<ServerType>>> {
    let Some((server_type, namespace)) = replica_of(pod).zip(pod.namespace()) else { return Vec::new() };
    let mut concerned = vec![ObjectRef::new(server_type).within(&namespace)];
    if is_frontend(pod) {
        let told_of = server_types.state_filter(|object| {
            let is_pitaya = object.0.as_ref().is_ok_and(|object| object.spec.protocol == Protocol::Pitaya);
            is_pitaya && object.namespace().as_ref() == Some(&namespace)
        });
        concerned.extend(told_of.iter().map(|object| ObjectRef::from_obj(object.as_ref())));
    }
    concerned
}

/// The ServerTypes whose certificates an authority signs.
fn signed_by(
    secret: &Secret,
    server_types: &Store<DeserializeGuard<ServerType>>,
) -> Vec<ObjectRef<DeserializeGuard<ServerType>>> {
    let name = secret.name_any();
    let concerned = server_types.state_filter(|object| {
        object.namespace().is_some_and(|namespace| crate::certificates::secret_name(&namespace) == name)
    });
    concerned.iter().map(|object| ObjectRef::from_obj(object.as_ref())).collect()
}
