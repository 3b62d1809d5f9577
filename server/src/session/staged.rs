//! What a handler read and changed but did not save.

use bytes::Bytes;

use super::changes::{Change, Changes};
use super::copy::Reading;
use crate::wire::Text;

/// The keys that a handler touched.
#[derive(Debug, Default)]
pub(super) struct Staged {
    touched: Vec<Touched>,
}

#[derive(Debug)]
struct Touched {
    key: Text,
    /// The version at which the handler read the key last or, without that, first changed it.
    read_version: u64,
    change: Staging,
}

/// What is to become of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Staging {
    /// Nothing; it was only read.
    Unchanged,
    /// It gets this JSON value, or is removed.
    Changed(Option<Bytes>),
}

impl Staged {
    /// The staged change of a key, if it is to be changed: its new value, or `None` for a removal.
    #[expect(clippy::option_option, reason = "whether it is changed, and whether it then has a value")]
    pub(super) fn get(&self, key: &str) -> Option<Option<&Bytes>> {
        match &self.touched.iter().find(|touched| *touched.key == *key)?.change {
            Staging::Unchanged => None,
            Staging::Changed(value) => Some(value.as_ref()),
        }
    }

    /// Notes at which version a key was read.
    pub(super) fn read(&mut self, reading: &Reading) {
        match self.find(&reading.key) {
            Some(touched) => touched.read_version = reading.version,
            None => self.touched.push(Touched {
                key: reading.key.clone(),
                read_version: reading.version,
                change: Staging::Unchanged,
            }),
        }
    }

    /// Stages a change. A key that was not read counts as read by `reading`.
    pub(super) fn change<E>(
        &mut self,
        key: &str,
        value: Option<Bytes>,
        reading: impl FnOnce() -> Result<Reading, E>,
    ) -> Result<(), E> {
        let change = Staging::Changed(value);
        if let Some(touched) = self.find(key) {
            touched.change = change;
        } else {
            let Reading { key, version, .. } = reading()?;
            self.touched.push(Touched { key, read_version: version, change });
        }
        Ok(())
    }

    /// All that a save has to ask for.
    pub(super) fn changes(&self) -> Changes {
        let changed = self.touched.iter().filter_map(|touched| match &touched.change {
            Staging::Unchanged => None,
            Staging::Changed(value) => {
                let (key, value) = (touched.key.clone(), value.clone());
                Some(Change { key, value, read_version: touched.read_version })
            }
        });
        Changes { entries: changed.collect() }
    }

    /// These changes are saved. A key that was changed again meanwhile keeps its newer change, now based on this save.
    pub(super) fn saved(&mut self, changes: &Changes, version: u64) {
        for change in &changes.entries {
            let Some(touched) = self.find(&change.key) else { continue };
            touched.read_version = version;
            if matches!(&touched.change, Staging::Changed(value) if *value == change.value) {
                touched.change = Staging::Unchanged;
            }
        }
    }

    fn find(&mut self, key: &str) -> Option<&mut Touched> {
        self.touched.iter_mut().find(|touched| *touched.key == *key)
    }
}
