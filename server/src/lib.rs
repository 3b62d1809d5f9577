//! Cereus runs multiplayer game servers: frontends hold client connections, backends run game code, and each client
//! message is routed to the server type that its route names.
//!
//! A game is a binary that says what it consists of; [`main`] gives it the whole command line:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use cereus::{Json, Service};
//! use serde_json::{Value, json};
//!
//! async fn hello(Json(hello): Json<Value>) -> Json<Value> {
//!     Json(json!({ "msg": format!("hello, {}", hello["name"]) }))
//! }
//!
//! fn main() -> ExitCode {
//!     cereus::main(|app| {
//!         app.service("room", Service::new().request("hello", hello));
//!     })
//! }
//! ```
//!
//! `… serve --type room` runs one server of it, `… dev` a whole game on this machine. What handlers take and give is in
//! [`handler`] and [`request`], what they keep of a client in [`session`].
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

pub mod acceptor;
mod agent;
mod app;
mod cli;
mod dispatch;
mod forward;
mod group;
pub mod handler;
mod lanes;
pub mod request;
pub mod router;
mod rpc;
pub mod session;
mod tls;
pub mod topology;
pub mod wire;

pub use agent::Validator;
pub use app::{Application, Phase, Running};
pub use cli::{main, main_with};
#[doc(hidden)]
pub use dispatch::bench_support;
pub use group::{Member, Members, Published};
pub use handler::{
    AfterHook, BeforeHook, Encoded, Handler, IntoReply, Json, Marked, Marks, Payload, Proto, Reply, Service, blocking,
    concurrent, detached,
};
pub use request::{App, AppBuilder, Cancelled, Context, Deadline, FromContext, Kind, Metadata, State};
pub use session::{CloseReason, Session, Subscription};
pub use wire::{BoxError, CustomSerializer, Error};
