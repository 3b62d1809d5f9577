//! The operator: turns `ServerType` objects into running game servers, and keeps them so.
//!
//! The composition root is [`app`]; everything else is private to it.
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

mod admin;
pub mod app;
mod certificates;
mod controller;
mod lease;
mod pod;
mod sessions;
