//! What the schema of the settings says about a tree of values: which keys exist, which must, and what they are for.

use std::collections::BTreeSet;

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value};

use super::{
    layers::{Layers, join},
    problem::Problem,
};

/// Names closer than this are suggested: one slip in a short word, two or three in a long one.
const SIMILAR: f64 = 0.6;

/// How deep a schema that contains itself is followed.
const DEPTH: usize = 12;

/// The schema of a whole configuration.
#[derive(Debug)]
pub(super) struct Schema {
    root: Value,
}

impl Schema {
    pub(super) fn of<T: JsonSchema>() -> Self {
        // Inlined, so that schemas of several origins never share names of definitions.
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        Self { root: SchemaGenerator::new(settings).into_root_schema_for::<T>().to_value() }
    }

    /// Add one key at the root.
    pub(super) fn add(&mut self, name: &str, schema: schemars::Schema) {
        if let Some(root) = self.root.as_object_mut() {
            let properties = root.entry("properties").or_insert_with(|| Value::Object(Map::new()));
            if let Some(properties) = properties.as_object_mut() {
                properties.insert(name.to_owned(), schema.to_value());
            }
        }
    }

    pub(super) fn root(&self) -> Node<'_> {
        Node::new(&self.root, &self.root)
    }
}

/// One place in the schema: the alternatives that a value there may follow.
#[derive(Debug, Clone)]
pub(super) struct Node<'a> {
    /// Of the schema that this place belongs to; definitions are looked up there.
    document: &'a Value,
    alternatives: Vec<&'a Value>,
}

impl<'a> Node<'a> {
    fn new(document: &'a Value, schema: &'a Value) -> Self {
        let mut node = Self { document, alternatives: Vec::new() };
        node.expand(schema, 0);
        node
    }

    fn expand(&mut self, schema: &'a Value, depth: usize) {
        if depth > DEPTH {
            return;
        }
        let reference = schema.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix('#'));
        if let Some(target) = reference.and_then(|pointer| self.document.pointer(pointer)) {
            self.expand(target, depth + 1);
        }
        self.alternatives.push(schema);
        for keyword in ["anyOf", "oneOf", "allOf"] {
            for alternative in schema.get(keyword).and_then(Value::as_array).into_iter().flatten() {
                self.expand(alternative, depth + 1);
            }
        }
    }

    /// The keys that an object here may have.
    pub(super) fn keys(&self) -> BTreeSet<&'a str> {
        let objects = self.alternatives.iter().filter_map(|schema| schema.get("properties")?.as_object());
        objects.flat_map(Map::keys).map(String::as_str).collect()
    }

    /// Whether an object here may have keys of any name.
    pub(super) fn is_open(&self) -> bool {
        !self.alternatives.iter().any(|schema| schema.get("additionalProperties") == Some(&Value::Bool(false)))
    }

    /// Whether an object here must have the key.
    fn requires(&self, key: &str) -> bool {
        let required = |schema: &&'a Value| schema.get("required").and_then(Value::as_array);
        self.alternatives.iter().filter_map(required).flatten().any(|name| name == key)
    }

    /// The place of a key or an index.
    fn child(&self, key: &str) -> Option<Node<'a>> {
        let mut child = Self { document: self.document, alternatives: Vec::new() };
        let named = |schema: &&'a Value| schema.get("properties").and_then(|keys| keys.get(key));
        let mut found: Vec<&Value> = self.alternatives.iter().filter_map(named).collect();
        if found.is_empty() {
            let other = |schema: &&'a Value| schema.get("additionalProperties").filter(|schema| schema.is_object());
            found = self.alternatives.iter().filter_map(other).collect();
        }
        if found.is_empty() && key.parse::<usize>().is_ok() {
            found = self.alternatives.iter().filter_map(|schema| schema.get("items")).collect();
        }
        for schema in found {
            // The schema of a game's section brings its own definitions.
            if schema.get("$defs").is_some() {
                child.document = schema;
            }
            child.expand(schema, 0);
        }
        (!child.alternatives.is_empty()).then_some(child)
    }

    /// The place at a path.
    pub(super) fn descend(&self, path: &[String]) -> Option<Node<'a>> {
        path.iter().try_fold(self.clone(), |node, key| node.child(key))
    }

    /// A path whose keys are spelled as the schema spells them, given without regard to case and separators.
    pub(super) fn spell(&self, path: &[String]) -> Vec<String> {
        let mut node = Some(self.clone());
        let mut spelled = Vec::with_capacity(path.len());
        for segment in path {
            let keys = node.as_ref().map(Node::keys).unwrap_or_default();
            let key = keys.into_iter().find(|key| plain(key) == plain(segment)).unwrap_or(segment);
            node = node.and_then(|node| node.child(key));
            spelled.push(key.to_owned());
        }
        spelled
    }

    fn accepts(&self, kind: &str) -> bool {
        self.alternatives.iter().any(|schema| match schema.get("type") {
            Some(Value::String(one)) => one == kind,
            Some(Value::Array(several)) => several.iter().any(|one| one == kind),
            _ => false,
        })
    }

    /// Whether a value here is text and nothing that may look like it.
    pub(super) fn wants_text(&self) -> bool {
        self.accepts("string")
            && !["integer", "number", "boolean", "array", "object"].into_iter().any(|kind| self.accepts(kind))
    }

    /// Whether the value must not be shown.
    pub(super) fn is_secret(&self) -> bool {
        self.alternatives.iter().any(|schema| schema.get("writeOnly") == Some(&Value::Bool(true)))
    }

    /// The first paragraph of what is documented about this place.
    pub(super) fn description(&self) -> Option<String> {
        let mut texts = self.alternatives.iter().filter_map(|schema| schema.get("description")?.as_str());
        Some(texts.next()?.split("\n\n").next()?.replace('\n', " "))
    }

    /// The first sentence of that.
    pub(super) fn meaning(&self) -> Option<String> {
        let description = self.description()?;
        let end = description.find(". ").unwrap_or(description.len());
        Some(description.get(..end)?.trim_end_matches('.').to_owned())
    }

    /// What holds where nothing is set.
    pub(super) fn default(&self) -> Option<&'a Value> {
        self.alternatives.iter().find_map(|schema| schema.get("default")).filter(|value| !value.is_null())
    }

    /// Drop keys that are there without a value (`drain:` with nothing below it), where null means nothing.
    pub(super) fn without_needless_nulls(&self, value: Value) -> Value {
        match value {
            Value::Object(object) => {
                let keep = |(key, value): (String, Value)| match self.child(&key) {
                    Some(child) if value.is_null() => child.accepts("null").then_some((key, value)),
                    Some(child) => Some((key, child.without_needless_nulls(value))),
                    None => Some((key, value)),
                };
                object.into_iter().filter_map(keep).collect()
            }
            value => value,
        }
    }

    /// Find the keys that do not exist and those that are missing.
    pub(super) fn check(&self, tree: &Value, layers: &Layers, problems: &mut Vec<Problem>) {
        self.check_at("", tree, &Check { root: self, layers }, problems);
    }

    fn check_at(&self, path: &str, value: &Value, check: &Check<'_, '_>, problems: &mut Vec<Problem>) {
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    let path = join(path, key);
                    match self.child(key) {
                        Some(child) => child.check_at(&path, value, check, problems),
                        None if self.is_open() => {}
                        None => problems.push(check.unknown(self, path, key)),
                    }
                }
                self.check_missing(path, object, problems);
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    if let Some(child) = self.child(&index.to_string()) {
                        child.check_at(&format!("{path}[{index}]"), item, check, problems);
                    }
                }
            }
            _ => {}
        }
    }

    /// Of a place with alternatives, only the deserializer knows which keys must be there.
    fn check_missing(&self, path: &str, object: &Map<String, Value>, problems: &mut Vec<Problem>) {
        let [schema] = self.alternatives.as_slice() else { return };
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for key in required.filter_map(Value::as_str).filter(|key| !object.contains_key(*key)) {
            let path = join(path, key);
            let before = problems.len();
            let child = self.child(key);
            if let Some(child) = &child {
                child.check_missing(&path, &Map::new(), problems);
            }
            if problems.len() == before {
                problems.push(Problem::Missing { path, meaning: child.and_then(|child| child.meaning()) });
            }
        }
    }

    /// All places below this one, each before those below it.
    pub(super) fn places(&self) -> Vec<Place<'a>> {
        let mut places = Vec::new();
        self.collect("", 0, &mut places);
        places
    }

    fn collect(&self, path: &str, depth: usize, places: &mut Vec<Place<'a>>) {
        for key in self.keys() {
            let Some(node) = self.child(key).filter(|_| depth < DEPTH) else { continue };
            let path = join(path, key);
            let items = node.child("0").filter(|_| node.accepts("array"));
            places.push(Place { path: path.clone(), is_required: self.requires(key), node: node.clone() });
            node.collect(&path, depth + 1, places);
            if let Some(items) = items {
                items.collect(&format!("{path}[]"), depth + 1, places);
            }
        }
    }
}

/// A place and how to get there.
pub(super) struct Place<'a> {
    /// From where the search began; `[]` stands for each item of a list.
    pub(super) path: String,
    /// What holds it must have it.
    pub(super) is_required: bool,
    pub(super) node: Node<'a>,
}

/// What a check needs everywhere.
struct Check<'a, 'b> {
    root: &'b Node<'a>,
    layers: &'b Layers,
}

impl Check<'_, '_> {
    fn unknown(&self, node: &Node<'_>, path: String, key: &str) -> Problem {
        let parent = path.get(..path.len() - key.len()).unwrap_or_default().to_owned();
        let known: Vec<String> = node.keys().into_iter().map(str::to_owned).collect();
        let nearest = nearest(key, &known).map(|near| format!("{parent}{near}")).or_else(|| {
            // Right key, wrong section.
            let mut paths = self.root.places().into_iter().map(|place| place.path).filter(|path| !path.contains('['));
            paths.find(|path| path.rsplit('.').next().is_some_and(|last| plain(last) == plain(key)))
        });
        Problem::Unknown { origin: self.layers.origin(&path).cloned(), path, nearest, known }
    }
}

fn nearest<'a>(key: &str, known: &'a [String]) -> Option<&'a str> {
    let similarity = |other: &str| strsim::normalized_damerau_levenshtein(&plain(key), &plain(other));
    let scored = known.iter().map(|other| (similarity(other), other.as_str()));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= SIMILAR).then_some(best.1)
}

/// A key without case and separators: `requestTimeout`, `REQUEST_TIMEOUT` and `request-timeout` are one.
fn plain(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
}
