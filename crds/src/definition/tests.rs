use kube::{CustomResourceExt as _, Resource as _};
use serde_json::Value;

use crate::{ServerType, contract, definition, definition_yaml, validation::KNOWN_KEYWORDS};

/// Set it to write what is generated instead of comparing it.
const UPDATE: &str = "CEREUS_REGENERATE";

/// What fits into the annotation in which `kubectl apply` keeps an object.
const LONGEST_ANNOTATION: usize = 256 << 10;

fn schema() -> Value {
    let definition = serde_json::to_value(definition()).unwrap();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// Call `visit` with each schema below `schema`, and its path.
fn walk(schema: &Value, path: &str, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(property, &format!("{path}.{name}"), visit);
    }
    for (key, suffix) in [("items", "[]"), ("additionalProperties", "{}")] {
        if let Some(inner) = schema.get(key) {
            walk(inner, &format!("{path}{suffix}"), visit);
        }
    }
}

#[test]
fn the_resource_is_named_as_the_cluster_knows_it() {
    assert_eq!(ServerType::api_version(&()), "cereus.dev/v1alpha1");
    let crd = ServerType::crd();
    assert_eq!(crd.metadata.name.as_deref(), Some("servertypes.cereus.dev"));
    assert_eq!(crd.spec.scope, "Namespaced");
    assert_eq!(crd.spec.names.short_names, Some(vec!["gst".to_owned()]));
    assert_eq!(crd.spec.names.categories, Some(vec!["all".to_owned(), "cereus".to_owned()]));
}

#[test]
fn the_committed_files_are_those_that_are_generated() {
    let repository = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let definition = definition_yaml().unwrap();
    let files = [
        ("crds/servertypes.yaml", &definition),
        // A chart contains all that it installs.
        ("charts/cereus/files/servertypes.yaml", &definition),
        ("crds/CONTRACT.md", &contract::document()),
    ];
    for (name, generated) in files {
        let path = repository.join(name);
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(&path, generated).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == *generated, "{name} is old: run the tests of cereus-crds once with {UPDATE}=1");
    }
}

#[test]
fn kubectl_can_apply_the_definition() {
    let length = serde_json::to_string(&definition()).unwrap().len();
    assert!(length < LONGEST_ANNOTATION, "{length} bytes");
}

/// What the API server asks of a structural schema.
#[test]
fn the_schema_is_structural() {
    let mut complaints = Vec::new();
    walk(&schema(), "", &mut |path, schema| {
        let int_or_string = schema["x-kubernetes-int-or-string"] == true;
        if !schema["type"].is_string() && !int_or_string {
            complaints.push(format!("{path} has no type"));
        }
        if schema["type"] == "array" && !schema["items"].is_object() {
            complaints.push(format!("{path} says nothing of its items"));
        }
        if schema.get("properties").is_some() && schema.get("additionalProperties").is_some() {
            complaints.push(format!("{path} has properties and additionalProperties"));
        }
        if schema["format"] == "uint16" || schema["format"] == "uint32" {
            complaints.push(format!("{path} has a format that the API server does not know"));
        }
        if schema["x-kubernetes-list-type"] == "map" {
            let keys = schema["x-kubernetes-list-map-keys"].as_array().cloned().unwrap_or_default();
            let required = schema["items"]["required"].as_array().cloned().unwrap_or_default();
            if keys.is_empty() || !keys.iter().all(|key| required.contains(key)) {
                complaints.push(format!("{path} has keys {keys:?}, and its items must have {required:?}"));
            }
        }
        for keyword in schema.as_object().into_iter().flatten().map(|(keyword, _)| keyword) {
            // Also those that a schema may have and that the walk over documents would not look at.
            if !KNOWN_KEYWORDS.contains(&keyword.as_str()) && keyword != "x-kubernetes-validations" {
                complaints.push(format!("{path} has {keyword}"));
            }
        }
    });
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// The API server refuses rules that could cost too much, and guesses that from the bounds of what they look at.
#[test]
fn what_rules_look_at_is_bounded() {
    let mut complaints = Vec::new();
    let mut rules = 0;
    walk(&schema(), "", &mut |path, schema| {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            rules += 1;
            let text = rule["rule"].as_str().unwrap();
            let loops = text.contains(".all(") || text.contains(".exists");
            let bounded = ["maxItems", "maxProperties", "maxLength"].iter().any(|bound| schema.get(bound).is_some());
            let object = schema["type"] == "object" && schema.get("properties").is_some();
            if loops && !bounded && !object {
                complaints.push(format!("{path}: {text}"));
            }
            let says = rule["message"].is_string() || rule["messageExpression"].is_string();
            assert!(says, "{path}: a rule without a message: {text}");
        }
    });
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
    assert!(rules > 20, "only {rules} rules were found");
}

/// `kubectl explain` shows the descriptions.
#[test]
fn every_field_is_described() {
    let mut complaints = Vec::new();
    let mut fields = 0;
    walk(&schema(), "", &mut |path, schema| {
        // Of metadata nothing may be said but what its name may be; what is in a map or a list has the words of that.
        if path.is_empty() || path == ".metadata" || path.ends_with("[]") || path.ends_with("{}") {
            return;
        }
        fields += 1;
        let text = schema["description"].as_str().unwrap_or_default();
        let kubernetes = path.starts_with(".spec.template.") && path.matches(['.', '[', '{']).count() > 3
            || path.starts_with(".status.conditions");
        let sentence = text.ends_with('.') || text.ends_with('`') || kubernetes;
        if text.is_empty() || text.contains('\n') || !sentence {
            complaints.push(format!("{path}: {text:?}"));
        }
    });
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
    assert!(fields > 100, "only {fields} fields were found");
}

#[test]
fn defaults_are_those_of_the_types() {
    let schema = schema();
    let spec = &schema["properties"]["spec"]["properties"];
    assert_eq!(spec["replicas"].get("default"), None, "the number of servers belongs to whoever scales");
    assert_eq!(spec["routing"]["properties"]["key"].get("default"), None, "a rule asks whether it is there");
    assert_eq!(spec["routing"]["properties"]["policy"]["default"], "leastPending");
    assert_eq!(spec["drain"]["default"], serde_json::json!({ "linger": "5s", "deadline": "10m" }));
    assert_eq!(spec["config"]["x-kubernetes-preserve-unknown-fields"], true);
}

#[test]
fn kubectl_get_and_scale_find_what_they_show() {
    let definition = serde_json::to_value(definition()).unwrap();
    let version = &definition["spec"]["versions"][0];
    let columns: Vec<_> = version["additionalPrinterColumns"].as_array().unwrap().iter().collect();
    let names: Vec<_> = columns.iter().map(|column| column["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Desired", "Ready", "Draining", "Sessions", "Version", "Age"]);
    let scale = &version["subresources"]["scale"];
    let mut paths: Vec<_> = columns.iter().map(|column| column["jsonPath"].as_str().unwrap()).collect();
    paths.retain(|path| *path != ".metadata.creationTimestamp");
    for (key, expected) in [
        ("specReplicasPath", ".spec.replicas"),
        ("statusReplicasPath", ".status.replicas"),
        ("labelSelectorPath", ".status.selector"),
    ] {
        assert_eq!(scale[key], expected);
        paths.push(expected);
    }
    for path in paths {
        let pointer = path.replace('.', "/properties/");
        assert!(schema().pointer(&pointer).is_some(), "there is no {path}");
    }
    assert!(version["subresources"]["status"].is_object());
}
