//! The smallest game: one handler.
//!
//! ```sh
//! cargo run -p cereus --example smallest -- dev
//! ```
//!
//! runs it on this machine, and from another terminal
//!
//! ```sh
//! cargo run -p cereus --example smallest -- request 127.0.0.1:3250 room.room.hello '{"name":"Ada"}'
//! ```
//!
//! is answered with `{"text":"hello, Ada"}`.

use std::process::ExitCode;

use cereus::{Json, Service};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a client sends.
#[derive(Deserialize, JsonSchema)]
struct Hello {
    name: String,
}

/// What it gets.
#[derive(Serialize, JsonSchema)]
struct Greeting {
    text: String,
}

async fn hello(Json(hello): Json<Hello>) -> Json<Greeting> {
    Json(Greeting { text: format!("hello, {}", hello.name) })
}

fn main() -> ExitCode {
    // Clients name it `room.room.hello`: on a server of the type `room`, the method `hello` of the service `room`.
    cereus::main(|app| {
        app.service("room", Service::new().request("hello", hello));
    })
}
