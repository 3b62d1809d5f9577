//! Whose an object is that has the name of one that is to be. Pure.
//!
//! Two server types may want one name: the Service for links of `room` is called as the Service for clients of a frontend
//! `room-link`.

use cereus_crds::{
    ServerType,
    names::{FIELD_MANAGER, MANAGED_BY_LABEL, SERVER_LABEL},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource as _;

/// Whether an object was made for the ServerType of this name and uid, or for one of this name that has gone.
pub(super) fn is_of(object: &ObjectMeta, name: &str, uid: Option<&str>) -> bool {
    let owners = || object.owner_references.iter().flatten();
    if owners().any(|owner| Some(owner.uid.as_str()) == uid) {
        return true;
    }
    // There is one ServerType of a name at a time.
    let has_gone = |owner: &OwnerReference| owner.kind == ServerType::kind(&()) && owner.name == name;
    let is_left = owners().filter(|owner| owner.controller == Some(true)).all(has_gone);
    let label = |key: &str| object.labels.as_ref()?.get(key).map(String::as_str);
    is_left && label(MANAGED_BY_LABEL) == Some(FIELD_MANAGER) && label(SERVER_LABEL) == Some(name)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::is_of;

    #[test]
    fn only_what_was_made_for_a_server_type_or_was_left_by_one_of_its_name_is_its_own() {
        let check = |server_type: Value, manager: Value, owners: Value, expected: bool| {
            let object = json!({
                "labels": { "app.kubernetes.io/managed-by": manager, "cereus.dev/replica-of": server_type },
                "ownerReferences": owners,
            });
            let metadata = serde_json::from_value(object.clone()).unwrap();
            assert_eq!(is_of(&metadata, "room", Some("1")), expected, "{object}");
        };
        let owner = |kind: &str, name: &str, uid: &str, controller: bool| json!([{ "apiVersion": "a/v1", "kind": kind, "name": name, "uid": uid, "controller": controller }]);
        let ours = || json!("cereus-operator");
        check(json!("room"), ours(), owner("ServerType", "room", "1", true), true);
        check(json!("other"), json!("Helm"), owner("ServerType", "room", "1", true), true);
        // It was deleted and made again, with or without what belonged to it.
        check(json!("room"), ours(), owner("ServerType", "room", "0", true), true);
        check(json!("room"), ours(), json!([]), true);
        check(json!("room"), ours(), owner("Game", "chess", "7", false), true);
        check(json!("room"), ours(), owner("Game", "chess", "7", true), false);
        check(json!("room"), ours(), owner("ServerType", "other", "2", true), false);
        check(json!("other"), ours(), owner("ServerType", "other", "2", true), false);
        check(json!("other"), ours(), json!([]), false);
        check(json!("room"), json!("Helm"), json!([]), false);
    }
}
