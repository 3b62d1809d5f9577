//! Everything that a run looks at, gathered before anything is decided.

use std::{sync::Arc, time::Duration};

use cereus_crds::{Protocol, ServerType, names};
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, Secret},
};
use kube::{Api, ResourceExt as _, core::DeserializeGuard};

use crate::{
    controller::{
        caches::Existing,
        context::{Context, Shared},
        error::Error,
        kinds::Kind,
        request::in_time,
    },
    pod::{is_creating, is_draining, is_lost},
    sessions::{Counts, OFTEN, SELDOM},
};

/// What is the case.
#[derive(Debug)]
pub(crate) struct Observed {
    /// The ServerType.
    pub(crate) object: Arc<DeserializeGuard<ServerType>>,
    /// Its namespace.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
    /// What was made for it.
    pub(crate) existing: Existing,
    /// Its Deployment, among them.
    pub(crate) deployment: Option<Deployment>,
    /// The Secret of its certificate, among them.
    pub(crate) certificates: Option<Secret>,
    /// The Secret of the namespace's authority.
    pub(crate) authority: Option<Arc<Secret>>,
    /// Its servers, but for those that were lost with their node.
    pub(crate) pods: Vec<Arc<Pod>>,
    /// The sessions that they hold.
    pub(crate) counts: Counts,
    /// Secrets that its pods need and that are not there.
    pub(crate) missing_secrets: Vec<String>,
    /// What time it is.
    pub(crate) now: Timestamp,
}

impl Observed {
    /// How many servers there were to be so far.
    pub(crate) fn there(&self) -> Option<i32> {
        self.deployment.as_ref()?.spec.replicas
    }

    /// What the ServerType is remembered by.
    pub(crate) fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// Gather what is the case: from the caches, from the servers, and, when pods do not start, from the API server.
pub(crate) async fn fetch(object: Arc<DeserializeGuard<ServerType>>, context: &Context) -> Result<Observed, Error> {
    context.caches.filled().await?;
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let existing = context.caches.existing(&namespace, &name);
    let parsed = |kind: Kind, name: String| existing.get(&(kind, name));
    let deployment = parsed(Kind::Deployment, names::deployment(&name))
        .and_then(|object| object.as_ref().clone().try_parse::<Deployment>().ok());
    let certificates = parsed(Kind::Secret, names::certificates(&name))
        .and_then(|object| object.as_ref().clone().try_parse::<Secret>().ok());
    let authority = context.caches.authority(&context.shared.settings.operator_namespace, &namespace);
    let now = Timestamp::now();
    let mut pods = context.caches.pods(&namespace, &name);
    pods.retain(|pod| !is_lost(pod, now));
    let mut observed = Observed {
        object,
        namespace,
        name,
        existing,
        deployment,
        certificates,
        authority,
        pods,
        counts: Counts::unknown(),
        missing_secrets: Vec::new(),
        now,
    };
    observed.counts = count(&observed, context).await;
    observed.missing_secrets = missing_secrets(&observed, context).await;
    Ok(observed)
}

/// Ask the servers, or, of servers in another language, the frontends that call them.
async fn count(observed: &Observed, context: &Context) -> Counts {
    let Ok(server_type) = &observed.object.0 else { return Counts::unknown() };
    let (survey, interval) = (&context.shared.survey, interval(server_type, observed, &context.shared));
    match server_type.spec.protocol {
        Protocol::Cereus => survey.counts(&observed.key(), &observed.pods, interval).await,
        Protocol::Pitaya => survey.kept(&context.caches.frontends(&observed.namespace), &observed.pods, interval).await,
    }
}

/// How old an answer may be. Which servers go is decided once, when the manifest asks for fewer, by what they hold then:
/// they are asked for it at once, and for as long as it fails no more often than for anything else.
fn interval(server_type: &ServerType, observed: &Observed, shared: &Shared) -> Duration {
    let spec = &server_type.spec;
    let wanted = spec.desired_replicas();
    let is_fewer = i64::from(observed.there().unwrap_or(0)) > i64::from(wanted);
    let fewer = (is_fewer && spec.autoscaling.is_none() && !spec.paused).then_some(wanted);
    let before = shared.remember(&observed.key(), |memory| std::mem::replace(&mut memory.fewer, fewer));
    if fewer.is_some() && fewer != before {
        return Duration::ZERO;
    }
    let depends = fewer.is_some() || spec.autoscaling.is_some() || observed.pods.iter().any(|pod| is_draining(pod));
    if depends { OFTEN } else { SELDOM }
}

/// The Secrets that pods wait for. A pod does not say so itself, so they are looked for while one does not start. It is
/// only to tell people why: when the API server does not say, everything else is done all the same.
async fn missing_secrets(observed: &Observed, context: &Context) -> Vec<String> {
    let Ok(server_type) = &observed.object.0 else { return Vec::new() };
    if !observed.pods.iter().any(|pod| is_creating(pod)) {
        return Vec::new();
    }
    let acceptors = server_type.spec.frontend.iter().flat_map(|frontend| &frontend.acceptors);
    let tls = acceptors.filter_map(|acceptor| Some(acceptor.tls.as_ref()?.secret_name.clone()));
    let volumes = server_type.spec.template.volumes.iter().filter_map(|volume| volume.secret.as_ref());
    let volumes =
        volumes.filter(|secret| secret.optional != Some(true)).filter_map(|secret| secret.secret_name.clone());
    let mut needed: Vec<_> = tls.chain(volumes).collect();
    needed.sort();
    needed.dedup();
    let api: Api<Secret> = Api::namespaced(context.shared.client.clone(), &observed.namespace);
    let mut missing = Vec::new();
    for name in needed {
        match in_time(|| format!("look for Secret {name}"), api.get_metadata_opt(&name)).await {
            Ok(None) => missing.push(name),
            Ok(Some(_)) => {}
            Err(error) => {
                tracing::warn!(server_type = observed.key(), error = error.chain(), "missing Secrets are not known");
                break;
            }
        }
    }
    missing
}
