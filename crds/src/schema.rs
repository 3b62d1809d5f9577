//! Pieces of schemas that several fields share.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::{Value, json};

/// Where a description of Kubernetes' own ends at the latest: `kubectl explain` is for reading, and the whole definition
/// has to fit into an annotation.
const LONGEST_DESCRIPTION: usize = 200;

/// Port numbers without the `uint16` format, which the API server does not know.
pub(crate) fn port(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "format": "int32", "minimum": 1, "maximum": 65535 })
}

/// An object whose fields the API server keeps without knowing them.
pub(crate) fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// A text that follows a pattern. The title says in words what the pattern says in signs.
pub(crate) fn text(title: &str, pattern: &str, longest: usize) -> Schema {
    json_schema!({ "type": "string", "title": title, "pattern": pattern, "maxLength": longest })
}

/// The name of an object of Kubernetes, such as a Secret.
pub(crate) fn object_name(_: &mut SchemaGenerator) -> Schema {
    text(
        "the name of an object: lower-case letters, digits, `-` and `.`",
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        253,
    )
}

/// Names of labels and annotations with their values. The bounds are those that let a rule look at each name.
pub(crate) fn label_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": { "type": "string", "maxLength": 65536 },
    })
}

/// A list of a type of Kubernetes. Its items are merged by `key`, which no two may have in common; `bounds` gives the
/// longest text of the fields that rules compare, and `longest` the number of items.
pub(crate) fn list_of<T: JsonSchema>(
    generator: &mut SchemaGenerator,
    key: &str,
    longest: usize,
    bounds: &[(&str, usize)],
) -> Schema {
    let mut item = of_kubernetes::<T>(generator);
    for (field, length) in bounds {
        let property = item.pointer_mut(&format!("/properties/{field}")).and_then(Value::as_object_mut);
        if let Some(property) = property {
            property.insert("maxLength".to_owned(), json!(length));
        }
    }
    json_schema!({
        "type": "array",
        "items": item,
        "maxItems": longest,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": [key],
    })
}

/// The schema of a type of Kubernetes, with short descriptions.
pub(crate) fn of_kubernetes<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = T::json_schema(generator);
    let mut value = std::mem::take(&mut schema).to_value();
    shorten(&mut value);
    Schema::try_from(value).unwrap_or_default()
}

/// The schema of `metadata`, as plain as the definition's own.
pub(crate) fn metadata() -> Value {
    let settings = SchemaSettings::openapi3().with(|settings| settings.inline_subschemas = true);
    let mut value = of_kubernetes::<ObjectMeta>(&mut settings.into_generator()).to_value();
    // Written by the API server; what people write of it is taken as it is.
    if let Some(properties) = value.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("managedFields".to_owned(), json!({ "type": "array" }));
    }
    value
}

/// Cut descriptions at the end of a sentence.
fn shorten(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            for (key, value) in object.iter_mut() {
                match value {
                    Value::String(text) if key == "description" => *text = first_sentences(text),
                    value => shorten(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(shorten),
        _ => {}
    }
}

/// As many sentences as fit; at least one, and one that is too long is cut.
pub(crate) fn first_sentences(text: &str) -> String {
    let text = text.split("\n\n").next().unwrap_or_default().replace('\n', " ");
    if text.len() <= LONGEST_DESCRIPTION {
        return text;
    }
    let ends = text.match_indices(". ").map(|(index, _)| index + 1);
    match ends.take_while(|end| *end <= LONGEST_DESCRIPTION).last() {
        Some(end) => text.get(..end).unwrap_or_default().to_owned(),
        None => text.chars().take(LONGEST_DESCRIPTION - 1).chain(['…']).collect(),
    }
}
