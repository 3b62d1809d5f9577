//! The queue and the table by themselves, then two servers over connections that the test can cut.

mod generated;
mod greeting;
mod life;
mod queue;
mod secure;
pub(crate) mod support;
mod traffic;
