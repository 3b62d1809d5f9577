//! What keeps servers from running, as their pods tell it, and what to do about it. Pure.

use cereus_crds::contract::{CONFIG_FILE, ExitCode};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStateWaiting, Pod};
use kube::ResourceExt as _;

use crate::{
    controller::reason::Reason,
    pod::{is_draining, is_ready, is_silent},
};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// In one word.
    pub(crate) reason: Reason,
    /// In a sentence, with what to do.
    pub(crate) message: String,
}

/// What is wrong with the first pod with which something is. Those that take messages are well.
pub(crate) fn of_pods<'a>(pods: impl IntoIterator<Item = &'a Pod>) -> Option<Trouble> {
    pods.into_iter().filter(|pod| !is_draining(pod) && !is_ready(pod)).find_map(of_pod)
}

fn of_pod(pod: &Pod) -> Option<Trouble> {
    let status = pod.status.as_ref()?;
    let name = pod.name_any();
    if is_silent(pod) {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
        let message = format!(
            "node {node} of pod {name} does not answer: the server may still run, but gets no new players; see `kubectl \
             describe node {node}`, and repair the node or delete it"
        );
        return Some(Trouble { reason: Reason::NodeSilent, message });
    }
    for container in status.container_statuses.iter().flatten() {
        let image = container.image.as_str();
        let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
        if let Some(trouble) = waiting.and_then(|waiting| of_waiting(&name, image, waiting)) {
            return Some(trouble);
        }
        // Between two tries, and in the first moments of one, what ended the last is what is known.
        let last_two = [container.state.as_ref(), container.last_state.as_ref()];
        if let Some(ended) = last_two.into_iter().flatten().find_map(|state: &ContainerState| state.terminated.as_ref())
            && ended.exit_code != i32::from(ExitCode::Stopped.code())
        {
            return Some(of_ended(&name, ended));
        }
    }
    let unscheduled =
        status.conditions.iter().flatten().find(|condition| {
            condition.type_ == "PodScheduled" && condition.reason.as_deref() == Some("Unschedulable")
        })?;
    let why = unscheduled.message.as_deref().unwrap_or("no node fits");
    let message = format!(
        "no node has room for pod {name}: {why}; ask for less in spec.template.resources, loosen nodeSelector, affinity \
         or tolerations, or add nodes"
    );
    Some(Trouble { reason: Reason::NoRoom, message })
}

fn of_waiting(pod: &str, image: &str, waiting: &ContainerStateWaiting) -> Option<Trouble> {
    let why = waiting.message.as_deref().unwrap_or("the node does not say why");
    match waiting.reason.as_deref()? {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "ImageInspectError"
        | "RegistryUnavailable" => {
            let message = format!(
                "the image {image} of pod {pod} cannot be had: {why}; correct spec.image, push the image, or name in \
                 template.imagePullSecrets what its registry asks for"
            );
            Some(Trouble { reason: Reason::ImageNotPulled, message })
        }
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            let reason = if why.contains("secret") { Reason::SecretMissing } else { Reason::ContainerRefused };
            let message = format!(
                "the container of pod {pod} cannot be started: {why}; create what is missing, or correct spec.template"
            );
            Some(Trouble { reason, message })
        }
        _ => None,
    }
}

/// A server that ended by itself: the last line of what it said is why.
fn of_ended(pod: &str, ended: &ContainerStateTerminated) -> Trouble {
    let said = ended.message.as_deref().unwrap_or_default().trim_end();
    let said = said.lines().last().unwrap_or_default().trim_start_matches("error: ");
    let code = ended.exit_code;
    let (reason, advice) = if ended.reason.as_deref() == Some("OOMKilled") {
        (Reason::OutOfMemory, "raise the limit of memory in spec.template.resources")
    } else if said.contains("ddress already in use") {
        (Reason::PortInUse, "give each port to one listener: look at spec.frontend.acceptors and spec.config")
    } else if said.contains("ermission denied") && said.contains("listen") {
        (Reason::PortForbidden, "take a port from 1024 on: those below are for processes that the node trusts")
    } else if said.contains(CONFIG_FILE) || said.contains("CEREUS__") {
        (
            Reason::ConfigRefused,
            "correct spec.config or spec.template.env; `cereus check --binary` tells the same before",
        )
    } else if code == i32::from(ExitCode::Usage.code()) {
        (Reason::ServerFailed, "spec.image must honour the image contract: it is started with `serve --config FILE`")
    } else {
        (Reason::ServerFailed, "`kubectl logs --previous` shows what led to it")
    };
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    Trouble { reason, message: format!("the server in pod {pod} ended with code {code}{said}; {advice}") }
}
