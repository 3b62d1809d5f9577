//! The only way to change something in the cluster: by the operator that leads, with its name on it, counted.

use std::{collections::BTreeMap, fmt};

use cereus_crds::{
    ServerType,
    names::{DELETION_COST_ANNOTATION, FIELD_MANAGER, MANAGED_BY_LABEL},
};
use k8s_openapi::{
    ByteString,
    api::core::v1::{ObjectReference, Pod, Secret},
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy},
    core::{DynamicObject, ObjectMeta, PartialObjectMeta},
    runtime::events::{Event, Recorder, Reporter},
};
use serde_json::{Value, json};

use crate::{
    controller::{
        build::Desired,
        error::Error,
        kinds::Kind,
        metrics::{Metrics, Outcome},
        request::{TIMEOUT, in_time},
    },
    lease::{GRACE, Leadership},
};

// A change that was begun by the leader is over before another leads.
const _: () = assert!(TIMEOUT.as_millis() < GRACE.as_millis(), "a change must be over before another operator leads");

/// Changes objects.
#[derive(Clone)]
pub(crate) struct Writer {
    client: Client,
    leadership: Leadership,
    metrics: Metrics,
}

impl fmt::Debug for Writer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Writer {
    /// Changes objects while `leadership` lasts.
    pub(crate) fn new(client: Client, leadership: Leadership, metrics: Metrics) -> Self {
        Self { client, leadership, metrics }
    }

    /// What has this name before anything is written there: caches hold only what has the labels of one to be.
    pub(crate) async fn find(
        &self,
        namespace: &str,
        kind: Kind,
        name: &str,
    ) -> Result<Option<PartialObjectMeta<DynamicObject>>, Error> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &kind.resource());
        in_time(|| format!("look for {} {name}", kind.as_str()), api.get_metadata_opt(name)).await
    }

    /// Server-side apply of one object; the version of it that is stored then. What others wrote into its fields is
    /// overwritten, what they added stays.
    pub(crate) async fn apply(&self, namespace: &str, desired: &Desired) -> Result<Option<String>, Error> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &desired.kind.resource());
        let name = desired.name();
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(&desired.object);
        let request = api.patch(&name, &parameters, &patch);
        let stored = self.change(Change::Apply, desired.kind.as_str(), &name, request).await?;
        Ok(stored.resource_version())
    }

    /// Delete an object, unless another has taken its name since.
    pub(crate) async fn delete(&self, namespace: &str, kind: Kind, object: &DynamicObject) -> Result<(), Error> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &kind.resource());
        let name = object.name_any();
        let preconditions = Preconditions { uid: object.uid(), resource_version: None };
        let parameters = DeleteParams {
            preconditions: Some(preconditions),
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        gone_is_fine(self.change(Change::Delete, kind.as_str(), &name, api.delete(&name, &parameters)).await)
    }

    /// Write an authority: only over what was read, so that of two new ones one wins and the other is never used.
    pub(crate) async fn authority(
        &self,
        namespace: &str,
        name: &str,
        resource_version: Option<String>,
        data: BTreeMap<String, ByteString>,
    ) -> Result<(), Error> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let labels = [
            ("app.kubernetes.io/part-of".to_owned(), "cereus".to_owned()),
            (MANAGED_BY_LABEL.to_owned(), FIELD_MANAGER.to_owned()),
        ];
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                labels: Some(labels.into()),
                resource_version: resource_version.clone(),
                ..ObjectMeta::default()
            },
            type_: Some("kubernetes.io/tls".to_owned()),
            data: Some(data),
            ..Secret::default()
        };
        let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let kind = Kind::Secret.as_str();
        match resource_version {
            Some(_) => {
                self.change(Change::Replace, kind, name, api.replace(name, &parameters, &secret)).await.map(drop)
            }
            None => self.change(Change::Create, kind, name, api.create(&parameters, &secret)).await.map(drop),
        }
    }

    /// Say what the deletion of a pod costs. A pod that has gone by then costs nothing.
    pub(crate) async fn deletion_cost(&self, pod: &Pod, cost: i32) -> Result<(), Error> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &pod.namespace().unwrap_or_default());
        let patch = json!({ "metadata": { "annotations": { DELETION_COST_ANNOTATION: cost.to_string() } } });
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let name = pod.name_any();
        let patch = Patch::Merge(&patch);
        gone_is_fine(self.change(Change::Patch, "Pod", &name, api.patch_metadata(&name, &parameters, &patch)).await)
    }

    /// Write the status of a ServerType.
    pub(crate) async fn status(&self, namespace: &str, name: &str, patch: &Value) -> Result<(), Error> {
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), namespace, &kube::api::ApiResource::erase::<ServerType>(&()));
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(patch);
        let request = api.patch_status(name, &parameters, &patch);
        gone_is_fine(self.change(Change::Status, "ServerType", name, request).await)
    }

    /// Tell of a transition. A recorder that is kept would only count up the event before with the same reason, whatever
    /// that one said.
    pub(crate) async fn event(&self, event: &Event, about: &ObjectReference) -> Result<(), Error> {
        let name = about.name.as_deref().unwrap_or_default();
        let reporter = Reporter { controller: FIELD_MANAGER.to_owned(), instance: None };
        let recorder = Recorder::new(self.client.clone(), reporter);
        self.change(Change::Event, "Event", name, recorder.publish(event, about)).await
    }

    /// Do it if this operator leads.
    async fn change<T>(
        &self,
        change: Change,
        kind: &'static str,
        name: &str,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, Error> {
        if !self.leadership.holds() {
            return Err(Error::NotLeading);
        }
        let result = in_time(|| format!("{} {kind} {name}", change.verb()), request).await;
        self.metrics.wrote(kind, if result.is_ok() { Outcome::Done } else { Outcome::Failed });
        if result.is_ok() {
            tracing::info!(kind, name, action = change.verb(), "wrote");
        }
        result
    }
}

#[derive(Debug, Clone, Copy)]
enum Change {
    Apply,
    Create,
    Replace,
    Patch,
    Status,
    Delete,
    Event,
}

impl Change {
    const fn verb(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Create => "create",
            Self::Replace => "replace",
            Self::Patch => "patch",
            Self::Status => "write the status of",
            Self::Delete => "delete",
            Self::Event => "write an event about",
        }
    }
}

/// What was to be changed has gone, or has made place for another: the watch will tell.
fn gone_is_fine<T>(result: Result<T, Error>) -> Result<(), Error> {
    match result {
        Err(Error::Api { source: kube::Error::Api(status), .. }) if status.code == 404 => Ok(()),
        other => other.map(drop),
    }
}
