//! The objects of the cluster as they were last told, without IO: the same objects give the same snapshot, in whatever
//! order and by whatever events they came.

use std::collections::BTreeMap;

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Resource;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    super::{merge::merge, snapshot::Snapshot},
    list_watch::Event,
};

/// Everything that is known.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub(super) slices: Collection<EndpointSlice>,
    pub(super) server_types: Collection<cereus_crds::ServerType>,
}

impl Objects {
    /// Both kinds have been listed.
    pub(super) fn are_complete(&self) -> bool {
        self.slices.is_listed && self.server_types.is_listed
    }

    /// The view that they describe.
    pub(super) fn snapshot(&self) -> Snapshot {
        let snapshot = merge(self.slices.understood(), self.server_types.understood());
        let mut skipped = snapshot.skipped();
        skipped.undecodable += self.slices.left_out() + self.server_types.left_out();
        snapshot.with_skipped(skipped)
    }
}

/// The objects of one kind by name; none for those that are not understood.
#[derive(Debug)]
pub(super) struct Collection<K> {
    known: BTreeMap<String, Option<K>>,
    is_listed: bool,
}

impl<K> Default for Collection<K> {
    fn default() -> Self {
        Self { known: BTreeMap::new(), is_listed: false }
    }
}

impl<K: Resource<DynamicType = ()> + DeserializeOwned> Collection<K> {
    /// Take in what was told; whether that may have changed anything.
    pub(super) fn apply(&mut self, event: Event) -> bool {
        match event {
            Event::Listed(objects) => {
                let listed = objects.into_iter().map(|object| {
                    let name = name(&object);
                    let decoded = self.decode(&name, object);
                    (name, decoded)
                });
                self.known = listed.collect();
                self.is_listed = true;
                true
            }
            Event::Changed(object) => {
                let name = name(&object);
                let decoded = self.decode(&name, object);
                self.known.insert(name, decoded);
                true
            }
            Event::Removed(object) => self.known.remove(&name(&object)).is_some(),
            Event::Current | Event::Trouble(_) => false,
        }
    }

    /// Says what is wrong with an object that was not so before.
    fn decode(&self, name: &str, object: Value) -> Option<K> {
        match serde_json::from_value(object) {
            Ok(object) => Some(object),
            Err(error) => {
                if !matches!(self.known.get(name), Some(None)) {
                    let kind = K::kind(&());
                    tracing::warn!(%kind, name, %error, "an object of the cluster is not understood, it is left out");
                }
                None
            }
        }
    }

    fn understood(&self) -> impl Iterator<Item = &K> {
        self.known.values().flatten()
    }

    fn left_out(&self) -> usize {
        self.known.values().filter(|object| object.is_none()).count()
    }
}

/// The name, which is unique in a namespace.
fn name(object: &Value) -> String {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned()
}
