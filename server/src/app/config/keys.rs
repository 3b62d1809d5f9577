//! Every key of the configuration, with what it is for and what holds.

use serde_json::Value;

use super::{
    layers::{Layers, Origin},
    schema::Schema,
};

/// One key, as things stand.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    /// From the root, such as `drain.linger`; `[]` stands for each item of a list.
    pub(crate) path: String,
    /// What it is for.
    pub(crate) meaning: Option<String>,
    /// It has to be set.
    pub(crate) is_required: bool,
    /// What holds when it is not set.
    pub(crate) default: Option<Value>,
    /// What holds; none when nothing does. A secret is not told.
    pub(crate) value: Option<Value>,
    /// Where the value was written; none: it is the default.
    pub(crate) origin: Option<Origin>,
}

pub(super) fn list(schema: &Schema, layers: &Layers) -> Vec<Key> {
    // What has keys below it is a section; it is told by them.
    let places = schema.root().places().into_iter().filter(|place| place.node.keys().is_empty());
    let keys = places.map(|place| {
        let set = layers.get(&place.path).filter(|value| !value.is_null());
        let default = place.node.default().cloned();
        let value = if place.node.is_secret() { set.map(|_| "(secret)".into()) } else { set.cloned() };
        Key {
            meaning: place.node.description(),
            is_required: place.is_required,
            value: value.or_else(|| default.clone()),
            default,
            origin: set.and_then(|_| layers.origin(&place.path)).cloned(),
            path: place.path,
        }
    });
    keys.collect()
}
