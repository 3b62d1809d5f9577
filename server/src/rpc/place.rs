//! Where an opened link leads, as the topology says.

use std::net::SocketAddr;

use super::Link;

impl Link {
    /// None when it was accepted.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        *self.address.lock()
    }

    /// The topology says where the peer is now; holds from the next attempt to connect.
    pub(super) fn set_address(&self, address: SocketAddr) {
        *self.address.lock() = Some(address);
    }

    /// The type of the server there; empty when the link was accepted.
    pub(super) fn promised_type(&self) -> &str {
        self.promised_type.as_deref().unwrap_or_default()
    }
}
