//! The ServerType resource, and the labels, port names and annotations that servers and the operator share.
//!
//! A [`ServerType`] declares one kind of server of a game: what it runs, whether clients connect to it, and how servers
//! of other types choose among its replicas. [`names`] holds what the two sides of a cluster must call the same.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "a test may fail by panicking"
    )
)]

mod duration;
pub mod names;
mod routing;
mod server_type;
#[cfg(test)]
mod tests;

pub use duration::{DurationError, DurationText};
pub use routing::{HashKey, HashKeyError, Policy, Routing, Zone};
pub use server_type::{Acceptor, AcceptorProtocol, Drain, Frontend, Protocol, ServerType, ServerTypeSpec};
