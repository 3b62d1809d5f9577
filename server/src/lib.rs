//! Cereus runs multiplayer game servers: frontends hold client connections, backends run game code, and each client
//! message is routed to the server type that its route names.
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

mod acceptor;
mod agent;
mod app;
mod cli;
mod dispatch;
mod forward;
mod handler;
mod lanes;
mod request;
mod router;
mod rpc;
mod session;
mod topology;
mod wire;
