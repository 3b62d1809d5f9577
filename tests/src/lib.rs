//! End-to-end tests of Cereus: the harness that drives real processes, an independent client, the conformance server.
//!
//! The client has an encoder and a decoder of its own, written from the protocol's text, so that a mistake which the
//! server's encoder and decoder share shows here. The harness starts servers as processes, as an operator would.

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

pub mod certificates;
pub mod client;
pub mod cluster;
pub mod conformance;
pub mod dev;
pub mod kubernetes;
pub mod load;
pub mod network;
pub mod pitaya;
pub mod process;
pub mod stranger;
pub mod tunnel;
