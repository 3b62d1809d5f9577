//! Types, bounds and defaults: what the schema itself says.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{
    Path, Problem,
    nearest::{nearest, plain},
};
use crate::schema::first_sentences;

/// The keywords of a schema that say something about values, and that [`Structure::check`] knows. A test looks for others.
#[cfg(test)]
pub(crate) const KNOWN: [&str; 22] = [
    "additionalProperties",
    "default",
    "description",
    "enum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "pattern",
    "properties",
    "required",
    "title",
    "type",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-preserve-unknown-fields",
];

/// How deep a document is looked into; the API server goes no deeper either.
const DEPTH: usize = 64;

/// A structural schema.
#[derive(Debug)]
pub(super) struct Structure {
    root: Value,
}

impl Structure {
    pub(super) fn new(schema: Value) -> Self {
        Self { root: schema }
    }

    /// Put the defaults where nothing stands, as the API server does: an empty value (`drain:`) counts as nothing.
    pub(super) fn fill(&self, document: &mut Value) {
        fill(&self.root, document);
    }

    /// Find what does not fit.
    pub(super) fn check(&self, document: &Value, path: &Path, problems: &mut Vec<Problem>) {
        Check { root: &self.root, problems }.value(&self.root, document, path);
    }
}

fn fill(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (key, property) in keys(schema) {
                if object.get(key).is_some_and(Value::is_null) {
                    object.remove(key);
                }
                if let Some(default) = property.get("default").filter(|_| !object.contains_key(key)) {
                    object.insert(key.clone(), default.clone());
                }
                if let Some(value) = object.get_mut(key) {
                    fill(property, value);
                }
            }
            if let Some(values) = schema.get("additionalProperties") {
                object.retain(|_, value| !value.is_null());
                object.values_mut().for_each(|value| fill(values, value));
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for item in items {
                    fill(schema, item);
                }
            }
        }
        _ => {}
    }
}

fn keys(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

fn flag(schema: &Value, name: &str) -> bool {
    schema.get(name) == Some(&Value::Bool(true))
}

fn text<'a>(schema: &'a Value, name: &str) -> Option<&'a str> {
    schema.get(name).and_then(Value::as_str)
}

fn list<'a>(schema: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    schema.get(name).and_then(Value::as_array).into_iter().flatten()
}

struct Check<'a, 'b> {
    root: &'a Value,
    problems: &'b mut Vec<Problem>,
}

impl Check<'_, '_> {
    fn value(&mut self, schema: &Value, value: &Value, path: &Path) {
        if path.segments().len() > DEPTH {
            self.wrong(path, None, "must not be nested any deeper".to_owned());
            return;
        }
        if let Some(right) = wrong_type(schema, value) {
            self.wrong(path, Some(value), format!("must be {right}"));
            return;
        }
        if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
            self.choice(choices, value, path);
        }
        match value {
            Value::Object(object) => self.object(schema, object, path),
            Value::Array(items) => self.array(schema, items, path),
            Value::String(string) => self.string(schema, string, value, path),
            Value::Number(number) => self.number(schema, number.as_f64().unwrap_or_default(), value, path),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn choice(&mut self, choices: &[Value], value: &Value, path: &Path) {
        if choices.contains(value) {
            return;
        }
        let names = choices.iter().filter_map(Value::as_str);
        let all: Vec<String> = choices.iter().map(shown).collect();
        let message = match value.as_str().and_then(|text| nearest(text, names)) {
            Some(near) => format!("must be one of {}; the nearest is {near}", all.join(", ")),
            None => format!("must be one of {}", all.join(", ")),
        };
        self.wrong(path, Some(value), message);
    }

    fn object(&mut self, schema: &Value, object: &Map<String, Value>, path: &Path) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let open = flag(schema, "x-kubernetes-preserve-unknown-fields");
        for (key, value) in object {
            let path = path.key(key);
            if let Some(property) = properties.and_then(|properties| properties.get(key)) {
                self.value(property, value, &path);
            } else if let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object()) {
                self.value(values, value, &path);
            } else if !(open || path.segments().len() == 1 && is_head(key)) {
                self.unknown(schema, &path, key);
            }
        }
        for key in list(schema, "required").filter_map(Value::as_str).filter(|key| !object.contains_key(*key)) {
            let meaning = properties.and_then(|properties| text(properties.get(key)?, "description"));
            let meaning = meaning.map(|meaning| format!(" ({})", sentence(meaning))).unwrap_or_default();
            self.wrong(&path.key(key), None, format!("is missing{meaning}"));
        }
        self.size(schema, "Properties", "keys", object.len(), path);
    }

    fn array(&mut self, schema: &Value, items: &[Value], path: &Path) {
        self.size(schema, "Items", "items", items.len(), path);
        if let Some(schema) = schema.get("items") {
            for (index, item) in items.iter().enumerate() {
                self.value(schema, item, &path.index(index));
            }
        }
        match text(schema, "x-kubernetes-list-type") {
            Some("map") => {
                let keys: Vec<&str> = list(schema, "x-kubernetes-list-map-keys").filter_map(Value::as_str).collect();
                self.unique(items, path, &keys, |item| {
                    let parts: Vec<String> =
                        keys.iter().filter_map(|key| item.get(key)).map(Value::to_string).collect();
                    (parts.len() == keys.len()).then(|| parts.join("\0"))
                });
            }
            Some("set") => self.unique(items, path, &[], |item| Some(item.to_string())),
            _ => {}
        }
    }

    /// No two items may be the same in what identifies them.
    fn unique(&mut self, items: &[Value], path: &Path, keys: &[&str], identity: impl Fn(&Value) -> Option<String>) {
        let mut seen: Vec<(String, usize)> = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let Some(identity) = identity(item) else { continue };
            let Some((_, first)) = seen.iter().find(|(known, _)| *known == identity) else {
                seen.push((identity, index));
                continue;
            };
            let message = format!("must be unique, and {} is the same", path.index(*first));
            let path = path.index(index);
            let path = keys.first().map_or(path.clone(), |key| path.key(key));
            let value = keys.first().map_or(Some(item), |key| item.get(key)).cloned();
            self.problems.push(Problem { path, value, message });
        }
    }

    fn string(&mut self, schema: &Value, string: &str, value: &Value, path: &Path) {
        self.size(schema, "Length", "characters", string.chars().count(), path);
        if let Some(pattern) = text(schema, "pattern") {
            let fits = regex::Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(string));
            if !fits {
                let right = text(schema, "title").map_or_else(|| format!("text like {pattern}"), str::to_owned);
                self.wrong(path, Some(value), format!("must be {right}"));
            }
        }
        if text(schema, "format") == Some("date-time") && string.parse::<jiff::Timestamp>().is_err() {
            self.wrong(path, Some(value), "must be a time such as 2030-01-31T12:00:00Z".to_owned());
        }
    }

    fn number(&mut self, schema: &Value, number: f64, value: &Value, path: &Path) {
        let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
        let range = match text(schema, "format") {
            Some("int32") => (f64::from(i32::MIN), f64::from(i32::MAX)),
            _ => (f64::MIN, f64::MAX),
        };
        let (least, most) = (bound("minimum").unwrap_or(range.0), bound("maximum").unwrap_or(range.1));
        if number < least {
            self.wrong(path, Some(value), format!("must be at least {least}"));
        } else if number > most {
            self.wrong(path, Some(value), format!("must be at most {most}"));
        }
    }

    fn size(&mut self, schema: &Value, what: &str, unit: &str, size: usize, path: &Path) {
        let bound = |name: &str| schema.get(format!("{name}{what}")).and_then(Value::as_u64);
        if let Some(least) = bound("min").filter(|least| (size as u64) < *least) {
            self.wrong(path, None, format!("must have at least {least} {unit}, and has {size}"));
        } else if let Some(most) = bound("max").filter(|most| (size as u64) > *most) {
            self.wrong(path, None, format!("must have at most {most} {unit}, and has {size}"));
        }
    }

    fn unknown(&mut self, schema: &Value, path: &Path, key: &str) {
        let parent = path.parent().unwrap_or_default();
        let known: BTreeSet<&str> = keys(schema).map(|(key, _)| key.as_str()).collect();
        let near = nearest(key, known.iter().copied()).map(|near| parent.key(near));
        let message = match near.or_else(|| elsewhere(self.root, key, &Path::default())) {
            Some(near) => format!("unknown field; the nearest is {near}"),
            None => format!("unknown field; there are {}", known.into_iter().collect::<Vec<_>>().join(", ")),
        };
        self.wrong(path, None, message);
    }

    fn wrong(&mut self, path: &Path, value: Option<&Value>, message: String) {
        self.problems.push(Problem::new(path.clone(), value, message));
    }
}

/// Fields that every object has; the definition does not mention them.
fn is_head(key: &str) -> bool {
    matches!(key, "apiVersion" | "kind")
}

/// The right key in the wrong place: the place nearest to the root that has a field of this name. What belongs to
/// Kubernetes is not looked through.
fn elsewhere(schema: &Value, key: &str, path: &Path) -> Option<Path> {
    if let Some((name, _)) = keys(schema).find(|(name, _)| plain(name) == plain(key)) {
        return Some(path.key(name));
    }
    let inner = keys(schema).filter(|(name, _)| !matches!(name.as_str(), "metadata" | "status" | "template"));
    let found = inner.filter_map(|(name, schema)| elsewhere(schema, key, &path.key(name)));
    found.min_by_key(|path| path.segments().len())
}

/// What a value must be, if it is something else.
fn wrong_type(schema: &Value, value: &Value) -> Option<&'static str> {
    if flag(schema, "x-kubernetes-int-or-string") {
        return (!value.is_string() && !value.is_i64() && !value.is_u64()).then_some("an integer or text");
    }
    let (right, fits) = match text(schema, "type")? {
        "object" => ("an object", value.is_object()),
        "array" => ("a list", value.is_array()),
        "string" => ("text", value.is_string()),
        // `2.0` is an integer for the API server.
        "integer" => ("an integer", value.as_f64().is_some_and(|number| number.fract() == 0.0)),
        "number" => ("a number", value.is_number()),
        "boolean" => ("true or false", value.is_boolean()),
        _ => return None,
    };
    (!fits).then_some(right)
}

/// A choice as one writes it.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn sentence(text: &str) -> String {
    let text = first_sentences(text);
    let end = text.find(". ").unwrap_or(text.len());
    text.get(..end).unwrap_or_default().trim_end_matches('.').to_owned()
}
