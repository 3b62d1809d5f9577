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
#![allow(unreachable_pub, reason = "deriving KubeSchema copies each struct, with its `pub`, into a function")]

mod autoscaling;
pub mod contract;
mod definition;
mod disruption;
mod drain;
mod duration;
mod frontend;
pub mod names;
mod routing;
mod schema;
mod spec;
mod status;
mod template;
#[cfg(test)]
mod tests;
mod validation;

pub use autoscaling::Autoscaling;
pub use definition::{definition, definition_yaml};
pub use disruption::Disruption;
pub use drain::Drain;
pub use duration::{DurationError, DurationText};
pub use frontend::{Acceptor, AcceptorProtocol, AcceptorTls, ClientService, Frontend, ServiceType};
pub use routing::{HashKey, HashKeyError, Policy, Routing, Zone};
pub use spec::{Protocol, ServerType, ServerTypeSpec};
pub use status::{ConditionType, ServerTypeStatus};
pub use template::Template;
pub use validation::{Path, Problem, Segment, Validator, validate};
