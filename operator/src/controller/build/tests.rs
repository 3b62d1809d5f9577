//! What is built from each fixture is in `snapshots/`; look at a change there as at a change of the cluster.

use cereus_crds::{Validator, contract::RUN_AS_USER, names};
use jiff::Timestamp;
use kube::core::DeserializeGuard;
use serde_json::{Value, json};

use super::{
    Desired, Given, build,
    metadata::{APPLIED_ANNOTATION, fingerprint},
};
use crate::{
    certificates::{self, Issued, Pair},
    controller::{kinds::Kind, validate::validate},
};

pub(crate) const BACKEND: &str = include_str!("../fixtures/backend.yaml");
pub(crate) const FRONTEND: &str = include_str!("../fixtures/frontend.yaml");
pub(crate) const PITAYA: &str = include_str!("../fixtures/pitaya.yaml");

/// Certificates with known texts: keys are new each time.
fn issued() -> Issued {
    let issued = certificates::issue(Timestamp::UNIX_EPOCH, "game", "room", None, None).unwrap();
    Issued {
        trusted: "the authorities\n".to_owned(),
        leaf: Pair { certificate: "the certificate\n".to_owned(), private_key: "the key\n".to_owned() },
        ..issued
    }
}

/// What is built from a manifest, `edit`ed before.
fn built(manifest: &str, edit: impl FnOnce(&mut Value)) -> Vec<Desired> {
    let mut manifest: Value = serde_yaml::from_str(manifest).unwrap();
    edit(&mut manifest);
    let object: DeserializeGuard<_> = serde_json::from_value(manifest).unwrap();
    let valid = validate(&object, &Validator::new()).unwrap();
    let replicas = i32::try_from(valid.server_type.spec.desired_replicas()).unwrap();
    let admin_namespaces = ["cereus-system".to_owned(), "monitoring".to_owned()];
    build(&valid, &Given { replicas, issued: &issued(), admin_namespaces: &admin_namespaces }).unwrap()
}

fn find(objects: &[Desired], kind: Kind) -> &Desired {
    objects.iter().find(|desired| desired.kind == kind).unwrap()
}

fn shown(objects: &[Desired]) -> String {
    let documents = objects.iter().map(|desired| serde_yaml::to_string(&desired.object).unwrap());
    documents.collect::<Vec<_>>().join("---\n")
}

#[test]
fn a_backend() {
    insta::assert_snapshot!(shown(&built(BACKEND, |_| {})));
}

#[test]
fn a_frontend() {
    insta::assert_snapshot!(shown(&built(FRONTEND, |_| {})));
}

#[test]
fn a_backend_in_another_language() {
    insta::assert_snapshot!(shown(&built(PITAYA, |_| {})));
}

#[test]
fn every_object_belongs_to_the_server_type_and_only_the_headless_service_is_how_servers_are_found() {
    for manifest in [BACKEND, FRONTEND, PITAYA] {
        let objects = built(manifest, |_| {});
        for desired in &objects {
            let metadata = &desired.object.metadata;
            let owner = &metadata.owner_references.as_ref().unwrap()[0];
            assert_eq!((owner.kind.as_str(), owner.controller), ("ServerType", Some(true)));
            let labels = metadata.labels.as_ref().unwrap();
            assert_eq!(labels[names::MANAGED_BY_LABEL], names::FIELD_MANAGER);
            assert_eq!(labels[names::SERVER_LABEL], owner.name);
            assert_eq!(metadata.namespace.as_deref(), Some("game"));
        }
        let found: Vec<_> = objects
            .iter()
            .filter(|desired| desired.object.metadata.labels.as_ref().unwrap().contains_key(names::SERVER_TYPE_LABEL))
            .collect();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].object.data["spec"]["clusterIP"], "None");
        // With it each endpoint would count as ready.
        assert_eq!(found[0].object.data["spec"]["publishNotReadyAddresses"], false);
    }
}

/// What rolls the servers and what does not.
#[test]
fn the_pods_change_with_the_image_and_the_configuration_and_with_nothing_else() {
    let template =
        |edit: fn(&mut Value)| find(&built(BACKEND, edit), Kind::Deployment).object.data["spec"]["template"].clone();
    let before = template(|_| {});
    assert_ne!(before, template(|manifest| manifest["spec"]["config"] = json!({ "game": { "rooms": 3 } })));
    assert_ne!(before, template(|manifest| manifest["spec"]["image"] = json!("registry.example/chat:1.5.0")));
    assert_ne!(before, template(|manifest| manifest["spec"]["drain"] = json!({ "deadline": "11m" })));
    assert_eq!(before, template(|manifest| manifest["spec"]["replicas"] = json!(7)));
    assert_eq!(before, template(|manifest| manifest["spec"]["routing"] = json!({ "policy": "random" })));
    assert_eq!(before, template(|manifest| manifest["spec"]["disruption"] = json!({ "maxUnavailable": 0 })));
}

/// The servers that run are to find what they were started with when they start again.
#[test]
fn another_configuration_is_another_config_map_and_the_same_is_the_same() {
    let maps = |edit: fn(&mut Value)| {
        let objects = built(BACKEND, edit);
        let map = &find(&objects, Kind::ConfigMap).object;
        assert_eq!(map.data["immutable"], true);
        let volumes = &find(&objects, Kind::Deployment).object.data["spec"]["template"]["spec"]["volumes"];
        let name = map.metadata.name.clone().unwrap();
        assert_eq!(volumes[0]["configMap"]["name"], name);
        name
    };
    let config = |manifest: &mut Value| manifest["spec"]["config"] = json!({ "game": { "rooms": 3 } });
    assert_ne!(maps(|_| {}), maps(config));
    assert_eq!(maps(config), maps(config));
    assert_eq!(maps(|_| {}), maps(|manifest| manifest["spec"]["image"] = json!("registry.example/chat:1.5.0")));
}

#[test]
fn pods_get_the_time_to_drain_and_no_right_they_do_not_need() {
    let objects = built(FRONTEND, |_| {});
    let pod = &find(&objects, Kind::Deployment).object.data["spec"]["template"]["spec"];
    // 1 s and 1.5 s and 30 s, rounded up.
    assert_eq!(pod["terminationGracePeriodSeconds"], 33);
    assert_eq!(pod["securityContext"]["runAsUser"], RUN_AS_USER);
    assert_eq!(pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"], true);
    let pitaya = built(PITAYA, |_| {});
    assert!(!pitaya.iter().any(|desired| matches!(desired.kind, Kind::Role | Kind::RoleBinding)));
    let pod = &find(&pitaya, Kind::Deployment).object.data["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], false);
}

#[test]
fn a_fingerprint_tells_what_was_taken_away() {
    let print = |manifest: &str, edit: fn(&mut Value)| {
        find(&built(manifest, edit), Kind::Deployment).object.metadata.annotations.as_ref().unwrap()[APPLIED_ANNOTATION]
            .clone()
    };
    assert_eq!(print(FRONTEND, |_| {}), print(FRONTEND, |_| {}));
    let less = |manifest: &mut Value| {
        manifest["spec"]["template"].as_object_mut().unwrap().remove("tolerations");
    };
    assert_ne!(print(FRONTEND, |_| {}), print(FRONTEND, less));
    // The published vectors of FNV-1a: it must not change between releases.
    assert_eq!(fingerprint(""), "cbf29ce484222325");
    assert_eq!(fingerprint("foobar"), "85944171f73967e8");
}
