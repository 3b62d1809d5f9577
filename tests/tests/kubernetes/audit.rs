//! What operators changed, as the API server's log has it.

use std::fs;

use cereus_tests::kubernetes::Cluster;
use serde_json::Value;

use crate::OPERATOR_NAMESPACE;

/// A request of an operator that changes something, whatever came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// The pod of the operator.
    pub(crate) pod: String,
    /// What is to be changed: `patch deployments steady/room`.
    pub(crate) what: String,
}

impl Change {
    /// Whether it is about the lease that operators keep.
    pub(crate) fn is_lease(&self) -> bool {
        self.what.contains(" leases ")
    }
}

/// A place in the log: its end.
pub(crate) fn end(cluster: &Cluster) -> usize {
    text(cluster).len()
}

/// All changes since then, in the order in which they were made.
pub(crate) fn changes(cluster: &Cluster, since: usize) -> Vec<Change> {
    text(cluster)[since..].lines().filter_map(change).collect()
}

fn text(cluster: &Cluster) -> String {
    let mut text = fs::read_to_string(cluster.audit_log()).unwrap();
    // A line that is being written is none yet.
    text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
    text
}

fn change(line: &str) -> Option<Change> {
    let event: Value = serde_json::from_str(line).unwrap();
    let operator = format!("system:serviceaccount:{OPERATOR_NAMESPACE}:cereus-operator");
    if event["user"]["username"] != operator {
        return None;
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let object = &event["objectRef"];
    let [verb, resource] = [&event["verb"], &object["resource"]].map(text);
    let [namespace, name] = [&object["namespace"], &object["name"]].map(text);
    let pod = text(&event["user"]["extra"]["authentication.kubernetes.io/pod-name"][0]);
    Some(Change { pod, what: format!("{verb} {resource} {namespace}/{name}") })
}
