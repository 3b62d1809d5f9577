//! Clients that keep a number of requests in flight, and what became of each request.
//!
//! Each client asks, waits for the answer, and asks again. How it takes the end of its connection is its [`Manner`]. What
//! was seen is in the [`Outcome`], which can be looked at while the load runs.

mod outcome;
mod player;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use parking_lot::Mutex;
use tokio::{sync::watch, task::JoinSet, time::Instant};

use crate::client::{TIMEOUT, Transport};
pub use outcome::{Closing, Outcome, Seen};

/// How long answers may go on before there were as many different ones as are waited for.
const BODIES_TIMEOUT: Duration = Duration::from_mins(1);

/// Where clients connect; half of them over each.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// Of the acceptor for TCP.
    pub tcp: SocketAddr,
    /// Of the acceptor for WebSocket.
    pub websocket: SocketAddr,
}

impl Addresses {
    fn of(self, transport: Transport) -> SocketAddr {
        match transport {
            Transport::Tcp => self.tcp,
            Transport::WebSocket => self.websocket,
        }
    }
}

/// How a client takes the end of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It does not: the load fails.
    Stays,
    /// It connects anew when the server closes its connection.
    Reconnects,
    /// It asks for word of the end. When that comes it sends no more, waits for its answers, and connects anew. When the
    /// server closes its connection, too.
    Listens,
}

/// What the clients do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where they connect.
    pub addresses: Addresses,
    /// How many there are.
    pub clients: usize,
    /// Requests that each keeps in flight.
    pub in_flight: usize,
    /// How long each waits between an answer and the next request.
    pub pause: Duration,
    /// What they ask for.
    pub route: String,
    /// The body of each request.
    pub body: String,
    /// How they take the end of their connections.
    pub manner: Manner,
}

impl Plan {
    /// Clients that ask for `route` all the time and stay.
    pub fn new(addresses: Addresses, clients: usize, route: &str, body: &str) -> Plan {
        let (route, body) = (route.to_owned(), body.to_owned());
        Plan { addresses, clients, in_flight: 8, pause: Duration::ZERO, route, body, manner: Manner::Stays }
    }
}

/// Running load. It ends when this is dropped.
#[derive(Debug)]
pub struct Load {
    players: JoinSet<anyhow::Result<()>>,
    shared: Arc<Shared>,
}

/// What all clients share.
#[derive(Debug)]
struct Shared {
    plan: Plan,
    outcome: Mutex<Outcome>,
    answers: watch::Sender<usize>,
    running: watch::Sender<bool>,
}

impl Load {
    /// Connect all clients of a plan, and let them ask.
    ///
    /// # Errors
    ///
    /// When one cannot connect.
    pub async fn start(plan: Plan) -> anyhow::Result<Load> {
        let clients = plan.clients;
        let shared = Arc::new(Shared {
            plan,
            outcome: Mutex::default(),
            answers: watch::Sender::new(0),
            running: watch::Sender::new(true),
        });
        let mut players = JoinSet::new();
        for number in 0..clients {
            let transport = if number % 2 == 0 { Transport::Tcp } else { Transport::WebSocket };
            let client = player::connect(transport, &shared).await?;
            players.spawn(player::play(client, transport, shared.clone()));
        }
        Ok(Load { players, shared })
    }

    /// Wait until `count` more answers have come.
    ///
    /// # Errors
    ///
    /// When no such number comes in time.
    pub async fn answers(&self, count: usize) -> anyhow::Result<()> {
        let mut answers = self.shared.answers.subscribe();
        let goal = *answers.borrow() + count;
        let waiting = answers.wait_for(|answers| *answers >= goal);
        tokio::time::timeout(TIMEOUT, waiting).await.with_context(|| format!("no {count} more answers"))??;
        Ok(())
    }

    /// What has been seen so far.
    pub fn outcome(&self) -> Outcome {
        self.shared.outcome.lock().clone()
    }

    /// Wait until good answers have had `count` different bodies: all that there were, and when each came.
    ///
    /// # Errors
    ///
    /// When so many do not come in time.
    pub async fn bodies(&self, count: usize) -> anyhow::Result<BTreeMap<String, Seen>> {
        self.bodies_that(count, |_| true).await
    }

    /// [`Load::bodies`] of answers that come from now on.
    ///
    /// # Errors
    ///
    /// When so many do not come in time.
    pub async fn bodies_anew(&self, count: usize) -> anyhow::Result<BTreeMap<String, Seen>> {
        let begin = Instant::now();
        self.bodies_that(count, |seen| seen.last > begin).await
    }

    async fn bodies_that(
        &self,
        count: usize,
        wanted: impl Fn(&Seen) -> bool,
    ) -> anyhow::Result<BTreeMap<String, Seen>> {
        let bodies = || {
            let mut bodies = self.shared.outcome.lock().bodies.clone();
            bodies.retain(|_, seen| wanted(seen));
            bodies
        };
        let coming = async {
            while bodies().len() < count {
                self.answers(1).await?;
            }
            anyhow::Ok(())
        };
        let come = tokio::time::timeout(BODIES_TIMEOUT, coming).await.map_err(anyhow::Error::from).flatten();
        come.with_context(|| format!("{count} different answers do not come: {:?}; {}", bodies(), self.outcome()))?;
        Ok(bodies())
    }

    /// Send no more, and wait for what is in flight.
    ///
    /// # Errors
    ///
    /// When a request got no answer although its connection stayed, or more than one; when a client that stays lost its
    /// connection; when one could not connect anew.
    pub async fn stop(mut self) -> anyhow::Result<Outcome> {
        self.shared.running.send_replace(false);
        while let Some(result) = self.players.join_next().await {
            result??;
        }
        Ok(self.outcome())
    }
}
