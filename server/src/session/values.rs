//! The values of a record: few, sorted by key, each with the version of its last change.

use serde_json::value::RawValue;

use crate::wire::Text;

/// How many removed keys are remembered with their version.
///
/// A save of a removed key by somebody who read it before has to conflict, so removed keys keep a version. A game that
/// removes ever new keys must not grow its records, so of more than these the oldest are forgotten, and the newest
/// forgotten version stands for every key that is not listed: that may refuse a save that could have passed, which
/// costs a retry, but never lets a stale one pass.
pub(super) const MAX_TOMBSTONES: usize = 16;

/// Values as JSON text, by key.
#[derive(Debug)]
pub(super) struct Values {
    /// Sorted by key. Sessions have a handful of values, for which this is smaller and faster than a map.
    entries: Vec<Entry>,
    /// The newest version among the forgotten removed keys.
    forgotten: u64,
}

#[derive(Debug)]
struct Entry {
    key: Text,
    /// `None` for a removed key.
    json: Option<Box<str>>,
    version: u64,
}

/// The size of an entry.
#[cfg(test)]
pub(super) const ENTRY: usize = size_of::<Entry>();

impl Values {
    /// No values.
    pub(super) const fn new() -> Self {
        Self { entries: Vec::new(), forgotten: 0 }
    }

    /// The JSON text of a value.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.find(key).ok().and_then(|index| self.entries.get(index)).and_then(|entry| entry.json.as_deref())
    }

    /// The version of a key's last change, for keys that never were as well.
    pub(super) fn version(&self, key: &str) -> u64 {
        self.find(key).ok().and_then(|index| self.entries.get(index)).map_or(self.forgotten, |entry| entry.version)
    }

    /// Sets a value, or removes it. `own` makes the key to keep, when it is new here.
    pub(super) fn set(&mut self, key: &str, own: impl FnOnce() -> Text, json: Option<Box<str>>, version: u64) {
        let removed = json.is_none();
        match self.find(key) {
            Ok(index) => {
                if let Some(entry) = self.entries.get_mut(index) {
                    entry.json = json;
                    entry.version = version;
                }
            }
            Err(index) => {
                // Most sessions have one value for all their life; the usual first step of a vector is four.
                self.entries.reserve_exact(1);
                self.entries.insert(index, Entry { key: own(), json, version });
            }
        }
        if removed {
            self.forget();
        }
    }

    /// Removes every key that `keep` does not know.
    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool, version: u64) {
        for entry in &mut self.entries {
            if entry.json.is_some() && !keep(&entry.key) {
                entry.json = None;
                entry.version = version;
            }
        }
        self.forget();
    }

    /// All values as one JSON object.
    pub(super) fn to_json(&self) -> Vec<u8> {
        let length: usize = self.present().map(|(key, json)| key.len() + json.len() + 4).sum();
        let mut out = Vec::with_capacity(length + 1);
        let mut separator = b'{';
        for (key, json) in self.present() {
            out.push(separator);
            separator = b',';
            write_key(key, &mut out);
            out.push(b':');
            out.extend_from_slice(json.as_bytes());
        }
        if separator == b'{' {
            out.push(b'{');
        }
        out.push(b'}');
        out
    }

    /// How many keys are kept, removed ones included.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn present(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().filter_map(|entry| Some((entry.key.as_str(), entry.json.as_deref()?)))
    }

    fn find(&self, key: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| entry.key.as_str().cmp(key))
    }

    fn forget(&mut self) {
        let tombstones = || self.entries.iter().filter(|entry| entry.json.is_none());
        let Some(excess) = tombstones().count().checked_sub(MAX_TOMBSTONES).filter(|excess| *excess > 0) else {
            return;
        };
        let mut versions: Vec<u64> = tombstones().map(|entry| entry.version).collect();
        versions.sort_unstable();
        // Keys removed by one save share a version and are forgotten together.
        let newest = versions.get(excess - 1).copied().unwrap_or_default();
        self.entries.retain(|entry| entry.json.is_some() || entry.version > newest);
        self.forgotten = self.forgotten.max(newest);
    }
}

fn write_key(key: &str, out: &mut Vec<u8>) {
    let plain = key.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
    if plain {
        out.push(b'"');
        out.extend_from_slice(key.as_bytes());
        out.push(b'"');
    } else {
        // Writing a string into memory has nothing that could fail.
        out.extend_from_slice(serde_json::Value::from(key).to_string().as_bytes());
    }
}

/// Checks that these bytes are one JSON value, and copies it out of whatever buffer it came in.
pub(super) fn json(bytes: &[u8]) -> Result<Box<str>, serde_json::Error> {
    serde_json::from_slice::<&RawValue>(bytes).map(|raw| Box::from(raw.get()))
}
