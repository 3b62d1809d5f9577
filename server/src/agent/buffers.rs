//! Memory for what waits to be written, lent to connections while they have something.

use bytes::BytesMut;
use parking_lot::Mutex;

/// Enough for the answers to a batch of small requests.
const CAPACITY: usize = 4 << 10;

/// Larger buffers are freed: they were for a large message.
const LARGEST_KEPT: usize = 16 << 10;

/// With this many in reserve, more are freed: usually 1 MiB, at most 4 MiB for each worker.
const KEPT: usize = 256;

/// The output buffers of a worker that no connection has now.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    idle: Mutex<Vec<BytesMut>>,
}

impl Buffers {
    /// An empty buffer with memory.
    pub(super) fn take(&self) -> BytesMut {
        self.idle.lock().pop().unwrap_or_else(|| BytesMut::with_capacity(CAPACITY))
    }

    /// Take a buffer back.
    pub(super) fn give_back(&self, mut buffer: BytesMut) {
        buffer.clear();
        if (CAPACITY..=LARGEST_KEPT).contains(&buffer.capacity()) {
            let mut idle = self.idle.lock();
            if idle.len() < KEPT {
                idle.push(buffer);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn idle(&self) -> usize {
        self.idle.lock().len()
    }
}
