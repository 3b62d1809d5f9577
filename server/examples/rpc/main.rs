//! Calls between servers: rooms let their players earn coins, which servers of another type keep.
//!
//! ```sh
//! cargo run -p cereus --example rpc -- dev -f server/examples/rpc/game.yaml
//! ```
//!
//! A client sends `room.room.join` with its name, and then `room.room.win` as often as it likes. What a service registers
//! as `remote` is for servers alone: no client reaches `bank.bank.pay`.

use std::{collections::HashMap, process::ExitCode};

use cereus::{App, Error, Json, Service, Session, State};
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The coins for winning once.
const PRIZE: u64 = 10;

/// Where the coins of a player are.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Account {
    player: String,
    server: String,
}

/// What a room tells the bank.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Payment {
    player: String,
    coins: u64,
}

/// The coins of each player who has an account on this server.
#[derive(Default)]
struct Accounts(Mutex<HashMap<String, u64>>);

/// Opens an account on this server of the bank.
async fn open(app: App, State(accounts): State<Accounts>, Json(player): Json<String>) -> Json<Account> {
    accounts.0.lock().entry(player.clone()).or_default();
    Json(Account { player, server: app.server_id().to_string() })
}

/// Pays into an account: the coins that are in it now.
async fn pay(State(accounts): State<Accounts>, Json(payment): Json<Payment>) -> Result<Json<u64>, Error> {
    let mut accounts = accounts.0.lock();
    // The code and the text of an error reach the caller, and through it the client.
    let coins = accounts.get_mut(&payment.player).ok_or_else(|| Error::new("BANK-1", "there is no such account"))?;
    *coins += payment.coins;
    Ok(Json(*coins))
}

/// A player comes: some server of the bank opens an account, chosen as the manifest of `bank` says.
async fn join(app: App, session: Session, Json(name): Json<String>) -> Result<Json<Account>, Error> {
    let Json(account): Json<Account> = app.rpc("bank.bank.open", Json(name)).await?;
    session.set("account", &account)?;
    session.save().await?;
    Ok(Json(account))
}

/// A player wins: the server that has the account is told, and no other.
async fn win(app: App, session: Session) -> Result<Json<u64>, Error> {
    let account: Account = session.get("account")?.ok_or_else(|| Error::new("ROOM-1", "join first"))?;
    let payment = Payment { player: account.player, coins: PRIZE };
    app.rpc_to(&account.server, "bank.bank.pay", Json(payment)).await
}

fn main() -> ExitCode {
    // Servers of every type are this program; what a server handles is a matter of who is asked.
    cereus::main(|app| {
        app.state(Accounts::default());
        app.service("room", Service::new().request("join", join).request("win", win));
        app.service("bank", Service::new().remote("open", open).remote("pay", pay));
    })
}
