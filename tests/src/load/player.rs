//! One client of a load.

use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use futures_util::future::try_join_all;
use parking_lot::Mutex;
use serde_json::json;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::{Closing, Manner, Seen, Shared};
use crate::{
    client::{Client, EventKind, Options, Reply, TIMEOUT, Transport},
    process::eventually,
};

/// The push by which a server says that it will close.
const DRAINING: &str = "sys.draining";

/// Connect, in the plan's manner.
pub(super) async fn connect(transport: Transport, shared: &Shared) -> anyhow::Result<Client> {
    let mut options = Options::default();
    if let Some(system) = options.handshake.pointer_mut("/sys").filter(|_| shared.plan.manner == Manner::Listens) {
        system["drain"] = json!(true);
    }
    let client = Client::connect_with(shared.plan.addresses.of(transport), transport, &options).await?;
    shared.outcome.lock().connections += 1;
    Ok(client)
}

/// Ask until the load stops, over one connection after the other.
pub(super) async fn play(mut client: Client, transport: Transport, shared: Arc<Shared>) -> anyhow::Result<()> {
    loop {
        over(&client, &shared).await?;
        if !*shared.running.borrow() {
            return Ok(());
        }
        let again = || async {
            let client = connect(transport, &shared).await;
            if let Err(error) = &client {
                *shared.outcome.lock().refused.entry(format!("{error:#}")).or_default() += 1;
            }
            client.map(Some)
        };
        client = eventually("way back in", TIMEOUT, again).await?;
    }
}

/// Ask over one connection: until the load stops, the connection ends, or the client leaves.
async fn over(client: &Client, shared: &Shared) -> anyhow::Result<()> {
    let (leaving, leaves) = watch::channel(false);
    let last = Mutex::new(None);
    let asking = async {
        let askers = (0..shared.plan.in_flight).map(|_| ask(client, shared, &leaves, &last));
        try_join_all(askers).await
    };
    let listening = async {
        if shared.plan.manner == Manner::Listens && hears(client).await {
            shared.outcome.lock().told += 1;
            leaving.send_replace(true);
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        asked = asking => asked?,
        () = listening => return Ok(()),
    };
    if !client.is_open() {
        let how = client.closed().await?;
        ensure!(shared.plan.manner != Manner::Stays, "the server closed the connection: {how}");
        let end = client.wait_for("end of the connection", EventKind::is_end).await?;
        shared.outcome.lock().closings.push(Closing { at: end.at, last: last.into_inner() });
    }
    Ok(())
}

/// Wait until the server says that it will close; false when the connection ends without that.
async fn hears(client: &Client) -> bool {
    let is_word = |kind: &EventKind| matches!(kind, EventKind::Push { route, .. } if route == DRAINING);
    while client.is_open() {
        // It gives up after a while, and the load may run for longer.
        if client.wait_for("word of the end", is_word).await.is_ok() {
            return true;
        }
    }
    false
}

/// Send requests one after the other.
async fn ask(
    client: &Client,
    shared: &Shared,
    leaves: &watch::Receiver<bool>,
    last: &Mutex<Option<String>>,
) -> anyhow::Result<()> {
    let plan = &shared.plan;
    while *shared.running.borrow() && !*leaves.borrow() && client.is_open() {
        let start = Instant::now();
        let answered = async {
            let id = client.begin(&plan.route, &plan.body).await?;
            client.reply(id).await
        };
        let reply = match answered.await {
            Ok(reply) => reply,
            Err(_) if !client.is_open() && plan.manner != Manner::Stays => {
                shared.outcome.lock().cut += 1;
                return Ok(());
            }
            Err(error) => return Err(error).context("a request has no answer"),
        };
        let answers = client.answers(reply.id);
        if answers != 1 {
            bail!("a request has {answers} answers");
        }
        note(shared, &reply, start, last);
        shared.answers.send_modify(|answers| *answers += 1);
        if !plan.pause.is_zero() {
            sleep(plan.pause).await;
        }
    }
    Ok(())
}

fn note(shared: &Shared, reply: &Reply, asked: Instant, last: &Mutex<Option<String>>) {
    let mut outcome = shared.outcome.lock();
    outcome.times.push(reply.at.saturating_duration_since(asked));
    if let Some(code) = reply.code() {
        *outcome.errors.entry(code).or_default() += 1;
    } else {
        let body = String::from_utf8_lossy(&reply.body).into_owned();
        outcome.bodies.entry(body.clone()).or_insert(Seen { first: reply.at, last: reply.at }).last = reply.at;
        *last.lock() = Some(body);
    }
}
