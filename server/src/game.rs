//! The built-in game: a room that greets. It is what `cereus dev` runs.

use cereus::{App, Application, Json, Service};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who wants to be greeted.
#[derive(Debug, Deserialize, JsonSchema)]
struct Hello {
    /// The player's name; `stranger` when it is not given.
    name: Option<String>,
}

/// The greeting, and who gave it.
#[derive(Debug, Serialize, JsonSchema)]
struct Greeting {
    /// What the server says.
    msg: String,
    /// The id of the server that handled the request.
    server: String,
}

/// Answers with a greeting.
async fn hello(app: App, Json(hello): Json<Hello>) -> Json<Greeting> {
    let name = hello.name.as_deref().unwrap_or("stranger");
    Json(Greeting { msg: format!("hello, {name}"), server: app.server_id().to_string() })
}

/// Puts the game together.
pub(crate) fn build(app: &mut Application) {
    app.service("room", Service::new().request("hello", hello));
}
