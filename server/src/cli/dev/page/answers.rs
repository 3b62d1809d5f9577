//! What is known of the game, and what can be wished of it.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::super::{control::Desk, game::Command, status::GameStatus};

/// Most who may follow the game at a time: a browser has no more than six for all its windows.
const FOLLOWERS: usize = 32;

/// What answers come from.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) desk: Desk,
    pub(super) followers: Arc<Semaphore>,
}

impl Shared {
    pub(super) fn new(desk: Desk) -> Self {
        Self { desk, followers: Arc::new(Semaphore::new(FOLLOWERS)) }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scale {
    #[serde(rename = "type")]
    server_type: String,
    replicas: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kill {
    server: String,
}

/// What is done, for people.
#[derive(Debug, Serialize)]
pub(super) struct Said {
    said: String,
}

/// Why nothing is done, for people.
#[derive(Debug, Serialize)]
pub(super) struct Refused {
    error: String,
}

type Answer = Result<Json<Said>, (StatusCode, Json<Refused>)>;

pub(super) async fn status(State(shared): State<Shared>) -> Json<GameStatus> {
    Json(shared.desk.get().await)
}

pub(super) async fn scale(State(shared): State<Shared>, Json(scale): Json<Scale>) -> Answer {
    let Scale { server_type, replicas } = scale;
    answer(shared.desk.order(|answer| Command::Scale { server_type, replicas, answer }).await)
}

pub(super) async fn kill(State(shared): State<Shared>, Json(kill): Json<Kill>) -> Answer {
    answer(shared.desk.order(|answer| Command::Kill { server: kill.server, answer }).await)
}

fn answer(result: Result<String, String>) -> Answer {
    result.map(|said| Json(Said { said })).map_err(|error| (StatusCode::CONFLICT, Json(Refused { error })))
}
