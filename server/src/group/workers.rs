//! A set of workers.

/// Workers by their number, of which there are at most 256.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct WorkerSet([u64; 4]);

impl WorkerSet {
    pub(super) fn insert(&mut self, worker: usize) {
        if let Some(word) = self.0.get_mut(worker / 64) {
            *word |= 1 << (worker % 64);
        }
    }

    /// Takes one out; true when it was the last.
    pub(super) fn remove(&mut self, worker: usize) -> bool {
        if let Some(word) = self.0.get_mut(worker / 64) {
            *word &= !(1 << (worker % 64));
        }
        self.0 == [0; 4]
    }

    pub(super) fn contains(&self, worker: usize) -> bool {
        self.0.get(worker / 64).is_some_and(|word| word & 1 << (worker % 64) != 0)
    }
}
