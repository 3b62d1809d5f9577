//! Routing by a function: a match lives in the memory of the server that began it, so whatever its players send goes there.
//!
//! ```sh
//! cargo run -p cereus --example routing -- dev -f server/examples/routing/game.yaml
//! ```
//!
//! A player begins a match with the request `room.match.begin`, or joins another's with `connector.match.join`. From then
//! on the session has the value `match`, and the function in `main` reads it for each message to a server of the type
//! `room`. The policies that need no code, such as `sticky` or `hash`, are in the manifest: `routing: { policy: … }`.

use std::{collections::HashMap, process::ExitCode};

use cereus::{App, Error, Json, Service, Session, State};
use parking_lot::Mutex;
use rand::seq::IndexedRandom as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Names a match, and the server that has it.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Match {
    server: String,
    number: usize,
}

/// The points in each match of this server.
#[derive(Default)]
struct Matches(Mutex<HashMap<usize, u64>>);

/// Begins a match here, on whichever server this is.
async fn begin(app: App, session: Session, State(matches): State<Matches>) -> Result<Json<Match>, Error> {
    let number = {
        let mut matches = matches.0.lock();
        let number = matches.len();
        matches.insert(number, 0);
        number
    };
    let begun = Match { server: app.server_id().to_string(), number };
    session.set("match", &begun)?;
    // The frontend has it when this returns, and chooses a server for the next message by it.
    session.save().await?;
    Ok(Json(begun))
}

/// Joins the match of somebody else. Any server can do it: nothing is looked up.
async fn join(session: Session, Json(joined): Json<Match>) -> Result<Json<Match>, Error> {
    session.set("match", &joined)?;
    session.save().await?;
    Ok(Json(joined))
}

/// Scores for the session's match: the points that all its players have together.
async fn score(session: Session, State(matches): State<Matches>, Json(points): Json<u64>) -> Result<Json<u64>, Error> {
    let joined: Match = session.get("match")?.ok_or_else(|| Error::new("MATCH-1", "join a match first"))?;
    let mut matches = matches.0.lock();
    let total = matches.get_mut(&joined.number).ok_or_else(|| Error::new("MATCH-2", "there is no such match"))?;
    *total += points;
    Ok(Json(*total))
}

fn main() -> ExitCode {
    cereus::main(|app| {
        app.state(Matches::default());
        app.service("match", Service::new().request("begin", begin).request("join", join).request("score", score));
        app.routing("room", |question, candidates| match question.value::<Match>("match") {
            // Nobody else knows the match: when its server is gone, the message is refused.
            Some(joined) => candidates.iter().find(|candidate| *candidate.server.id == *joined.server),
            None => candidates.choose(&mut rand::rng()),
        });
    })
}
