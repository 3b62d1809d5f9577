//! A serializer of the game's own: bodies are `MessagePack`, which is smaller than JSON.
//!
//! ```sh
//! cargo run -p cereus --example messagepack -- dev
//! ```
//!
//! Clients learn the name, `msgpack`, in the answer to their handshake: `{"sys":{"serializer":"msgpack",…}}`. The command
//! line of the game knows its serializer, so that one can write JSON there:
//!
//! ```sh
//! cargo run -p cereus --example messagepack -- request 127.0.0.1:3250 room.room.hello '{"name":"Ada"}'
//! ```

use std::process::ExitCode;

use bytes::Bytes;
use cereus::{BoxError, CustomSerializer, Encoded, Service};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

struct MessagePack;

impl CustomSerializer for MessagePack {
    fn name(&self) -> &'static str {
        "msgpack"
    }

    fn encode(&self, value: &Value) -> Result<Bytes, BoxError> {
        Ok(rmp_serde::to_vec(value)?.into())
    }

    fn decode(&self, payload: &[u8]) -> Result<Value, BoxError> {
        Ok(rmp_serde::from_slice(payload)?)
    }
}

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

/// `Encoded` is for the serializer of the server; `Json` stays JSON.
async fn hello(Encoded(hello): Encoded<Hello>) -> Encoded<Greeting> {
    Encoded(Greeting { text: format!("hello, {}", hello.name) })
}

fn main() -> ExitCode {
    cereus::main(|app| {
        app.serializer(MessagePack);
        app.service("room", Service::new().request("hello", hello));
    })
}
