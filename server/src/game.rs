//! The built-in game: a chat. It is what `cereus dev` runs, and an example of a game on channels.
//!
//! Room servers keep nothing between two messages: any of them handles any message, and they come and go while people talk.
//! Who is in a room is kept by the frontends, as memberships of the room's channel; which room a player is in is a value
//! of its session.
//!
//! A message is answered when all frontends have it: one that was answered reaches each member once, and in its sender's
//! order, whichever servers handled it. One that fails with PIT-502 may have reached some members.
//!
//! That somebody has left is published by the frontend that holds the session, as the farewell of its subscription: once,
//! also when no server that handled its messages is left. Nobody says it of the players of a frontend that dies.

use cereus::{App, Application, Error, Json, Service, Session, Subscription, wire::codes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The longest name of a player and of a room, in characters.
const LONGEST_NAME: usize = 32;
/// The longest message, in characters.
const LONGEST_MESSAGE: usize = 2_000;

/// Where a session keeps its [`Player`].
const PLAYER: &str = "player";

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

/// Who wants to be where.
#[derive(Debug, Deserialize, JsonSchema)]
struct Join {
    /// The player's name, 1 to 32 characters; others may have the same. One is made up when it is not given.
    name: Option<String>,
    /// The room, 1 to 32 characters; `lobby` when it is not given.
    room: Option<String>,
}

/// Something to be said in the room.
#[derive(Debug, Deserialize, JsonSchema)]
struct Message {
    /// Who says it, 1 to 32 characters; the name that the player joined with when it is not given.
    name: Option<String>,
    /// What is said, 1 to 2000 characters.
    content: String,
}

/// It is done, and who did it.
#[derive(Debug, Serialize, JsonSchema)]
struct Done {
    /// Always 0.
    code: u16,
    /// Always `success`.
    result: &'static str,
    /// The id of the server that handled the request.
    server: String,
}

/// A player in a room.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Player {
    name: String,
    room: String,
}

/// Puts the game together.
pub(crate) fn build(app: &mut Application) {
    let room = Service::new()
        .request("hello", hello)
        .request("join", join)
        // A notify for it runs the same handler.
        .request("message", message)
        .request("leave", leave);
    app.service("room", room);
}

/// Answers with a greeting.
async fn hello(app: App, Json(hello): Json<Hello>) -> Json<Greeting> {
    let name = hello.name.as_deref().unwrap_or("stranger");
    Json(Greeting { msg: format!("hello, {name}"), server: app.server_id().to_string() })
}

/// Brings the player into a room, out of the one it is in. After the answer it gets `onMembers`, the others get `onNewUser`.
/// To join the same room under the same name again tells only who is there.
async fn join(app: App, session: Session, Json(join): Json<Join>) -> Result<Json<Done>, Error> {
    let player = Player {
        name: join.name.unwrap_or_else(|| format!("guest-{}", session.id())),
        room: join.room.unwrap_or_else(|| "lobby".to_owned()),
    };
    check("name", &player.name, LONGEST_NAME)?;
    check("room", &player.room, LONGEST_NAME)?;
    match session.get::<Player>(PLAYER)? {
        // Also when it is there already: an attempt to leave may have been cut short.
        Some(before) if before == player => player.subscribe(&app, &session).await?,
        before => {
            if let Some(before) = before {
                before.leave(&session).await?;
            }
            player.enter(&app, &session).await?;
        }
    }
    // A frontend that does not answer is left out: better a list without some than none.
    let members = app.members(&player.channel()).await?.members;
    let mut names: Vec<_> = members.iter().map(|member| String::from_utf8_lossy(&member.info)).collect();
    names.sort();
    let list = json!({ "members": names });
    app.afterwards(async move {
        if let Err(error) = session.push("onMembers", &list).await {
            // It is gone, or has not read for as long as a request may take.
            tracing::debug!(%error, "a player was not told who is there");
        }
    });
    Ok(done(&app))
}

/// Says something to all in the room, the player included: they get `onMessage`.
async fn message(app: App, session: Session, Json(message): Json<Message>) -> Result<Json<Done>, Error> {
    let player = player(&session)?;
    let name = message.name.as_ref().unwrap_or(&player.name);
    check("name", name, LONGEST_NAME)?;
    check("content", &message.content, LONGEST_MESSAGE)?;
    let said = json!({ "name": name, "content": message.content });
    app.publish_confirmed(&player.channel(), "onMessage", &said).await?;
    Ok(done(&app))
}

/// Takes the player out of its room: the others get `onLeave`.
async fn leave(app: App, session: Session) -> Result<Json<Done>, Error> {
    player(&session)?.leave(&session).await?;
    Ok(done(&app))
}

impl Player {
    /// What all in the room hear.
    fn channel(&self) -> String {
        format!("room/{}", self.room)
    }

    /// First the player is a member, then the others are told, then it is told who is there: so of two who come at once
    /// each finds the other in `onMembers` or hears of it.
    async fn enter(&self, app: &App, session: &Session) -> Result<(), Error> {
        self.subscribe(app, session).await?;
        let news = json!({ "content": format!("New user: {}", self.name) });
        app.publish_to_others(session, &self.channel(), "onNewUser", &news)?;
        // Last: who tries again because this failed enters again.
        session.set(PLAYER, self)?;
        session.save().await.map_err(Error::from_any)
    }

    async fn subscribe(&self, app: &App, session: &Session) -> Result<(), Error> {
        let farewell = app.serializer().encode(&json!({ "name": self.name }))?;
        let subscription = Subscription::new().info(self.name.clone()).farewell("onLeave", farewell);
        session.subscribe_with(&self.channel(), subscription).await
    }

    /// The player stops to be a member before that is written down: who tries again because this failed leaves again.
    async fn leave(&self, session: &Session) -> Result<(), Error> {
        session.unsubscribe(&self.channel());
        session.remove(PLAYER)?;
        session.save().await.map_err(Error::from_any)
    }
}

/// Who the session is, in which room.
fn player(session: &Session) -> Result<Player, Error> {
    session.get(PLAYER)?.ok_or_else(|| Error::new(codes::BAD_REQUEST, "you are in no room: join one first"))
}

/// Refuses a text that is empty or too long.
fn check(what: &str, text: &str, longest: usize) -> Result<(), Error> {
    let length = text.chars().count();
    if (1..=longest).contains(&length) {
        return Ok(());
    }
    Err(Error::new(codes::BAD_REQUEST, format!("{what} has 1 to {longest} characters, not {length}")))
}

fn done(app: &App) -> Json<Done> {
    Json(Done { code: 0, result: "success", server: app.server_id().to_string() })
}
