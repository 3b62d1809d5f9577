//! Counts of one worker's links.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Error;

/// Why a link was lost or not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The connection, or an attempt to make it, failed.
    Connection,
    /// The peer closed it.
    Ended,
    /// The greeting was missing or came late.
    Greeting,
    /// Another server than the topology promised.
    WrongServer,
    /// No common version of the protocol.
    Protocol,
    /// Another serializer.
    Serializer,
    /// The peer showed no certificate, or speaks no TLS.
    NoCertificate,
    /// The certificate of one of the two is of no authority that the other believes, or its time is over.
    BadCertificate,
    /// The peer's certificate is for another namespace or server type.
    WrongName,
}

impl Loss {
    /// All reasons, in the order of their counters.
    pub(crate) const ALL: [Self; 9] = [
        Self::Connection,
        Self::Ended,
        Self::Greeting,
        Self::WrongServer,
        Self::Protocol,
        Self::Serializer,
        Self::NoCertificate,
        Self::BadCertificate,
        Self::WrongName,
    ];

    /// The name in metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Ended => "ended",
            Self::Greeting => "greeting",
            Self::WrongServer => "wrong_server",
            Self::Protocol => "protocol",
            Self::Serializer => "serializer",
            Self::NoCertificate => "no_certificate",
            Self::BadCertificate => "bad_certificate",
            Self::WrongName => "wrong_name",
        }
    }
}

impl From<&Error> for Loss {
    fn from(error: &Error) -> Self {
        match error {
            Error::Exposed(_) | Error::Bind { .. } | Error::Unreachable(_) | Error::Connect(_) | Error::Stream(_) => {
                Self::Connection
            }
            Error::Handshake(error) => match error.get_ref().and_then(|inner| inner.downcast_ref()) {
                Some(rustls::Error::InvalidCertificate(_) | rustls::Error::AlertReceived(_)) => Self::BadCertificate,
                Some(_) => Self::NoCertificate,
                None => Self::Connection,
            },
            Error::WrongName { .. } => Self::WrongName,
            Error::Ended => Self::Ended,
            Error::Timeout | Error::NoHello => Self::Greeting,
            Error::WrongServer { .. } => Self::WrongServer,
            Error::Protocol { .. } => Self::Protocol,
            Error::Serializer { .. } => Self::Serializer,
        }
    }
}

/// Counts of one worker's links, since it started.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Batches sent.
    pub(crate) batches_sent: AtomicU64,
    /// Frames sent.
    pub(crate) frames_sent: AtomicU64,
    /// Batches received.
    pub(crate) batches_received: AtomicU64,
    /// Frames received.
    pub(crate) frames_received: AtomicU64,
    /// Frames that were not taken because the link had no room.
    pub(crate) full: AtomicU64,
    /// Frames that were larger than `link.max_frame`.
    pub(crate) too_large: AtomicU64,
    losses: [AtomicU64; Loss::ALL.len()],
}

impl Counts {
    pub(super) fn sent(&self, frames: usize) {
        self.batches_sent.fetch_add(1, Relaxed);
        self.frames_sent.fetch_add(frames as u64, Relaxed);
    }

    pub(super) fn received(&self, frames: usize) {
        self.batches_received.fetch_add(1, Relaxed);
        self.frames_received.fetch_add(frames as u64, Relaxed);
    }

    pub(super) fn lost(&self, loss: Loss) {
        if let Some(count) = self.losses.get(loss as usize) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// Links that were lost or not made, by reason.
    pub(crate) fn losses(&self) -> impl Iterator<Item = (Loss, u64)> {
        Loss::ALL.into_iter().zip(self.losses.iter().map(|count| count.load(Relaxed)))
    }
}
