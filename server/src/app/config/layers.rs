//! Trees of values laid over one another, with the origin of each value.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Origin {
    /// A file.
    File(PathBuf),
    /// A variable of the environment, by its name.
    Environment(String),
    /// A flag, as it was written.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(out),
            Self::Environment(text) | Self::Flag(text) => out.write_str(text),
        }
    }
}

/// The tree so far. A path in it reads `server.frontend.acceptors[0].address`.
#[derive(Debug)]
pub(super) struct Layers {
    tree: Value,
    /// By path of everything that is not an object with keys.
    origins: BTreeMap<String, Origin>,
}

impl Default for Layers {
    fn default() -> Self {
        Self { tree: Value::Object(Map::new()), origins: BTreeMap::new() }
    }
}

impl Layers {
    pub(super) fn tree(&self) -> &Value {
        &self.tree
    }

    /// Lay a tree over what is there: objects are merged key by key, anything else replaces.
    pub(super) fn merge(&mut self, over: Value, origin: &Origin) {
        merge(&mut self.tree, over, "", origin, &mut self.origins);
    }

    pub(super) fn get(&self, path: &str) -> Option<&Value> {
        split(path).iter().try_fold(&self.tree, |value, key| match value {
            Value::Array(items) => items.get(key.parse::<usize>().ok()?),
            value => value.get(key),
        })
    }

    /// The origin of the value at a path: its own, else that of what holds it, else that of something in it.
    pub(super) fn origin(&self, path: &str) -> Option<&Origin> {
        let mut above = path;
        loop {
            if let Some(origin) = self.origins.get(above) {
                return Some(origin);
            }
            match above.rfind(['.', '[']) {
                Some(end) => above = above.get(..end)?,
                None => break,
            }
        }
        let inside = |(key, _): &(&String, &Origin)| key.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
        self.origins.range(path.to_owned()..).take_while(|(key, _)| key.starts_with(path)).find(inside).map(|(_, o)| o)
    }
}

fn merge(under: &mut Value, over: Value, path: &str, origin: &Origin, origins: &mut BTreeMap<String, Origin>) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) if !over.is_empty() => {
            origins.remove(path);
            for (key, value) in over {
                let path = join(path, &key);
                merge(under.entry(key).or_insert_with(|| Value::Object(Map::new())), value, &path, origin, origins);
            }
        }
        (under, Value::Object(over)) if !over.is_empty() => {
            *under = Value::Object(Map::new());
            merge(under, Value::Object(over), path, origin, origins);
        }
        // An empty object takes nothing away from one that has keys.
        (Value::Object(under), Value::Object(_)) if !under.is_empty() => {}
        (under, over) => {
            let inside = |key: &String| key.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
            origins.retain(|key, _| !inside(key));
            origins.insert(path.to_owned(), origin.clone());
            *under = over;
        }
    }
}

/// A value inside the objects that a path names.
pub(super) fn nest(path: &[String], value: Value) -> Value {
    path.iter().rev().fold(value, |value, key| Value::Object(Map::from_iter([(key.clone(), value)])))
}

/// The path of a key inside a path.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() || key.is_empty() { format!("{path}{key}") } else { format!("{path}.{key}") }
}

/// The keys and indexes of a path.
pub(super) fn split(path: &str) -> Vec<String> {
    let keys = path.split(['.', '[']).map(|key| key.trim_end_matches(']'));
    keys.filter(|key| !key.is_empty()).map(str::to_owned).collect()
}
