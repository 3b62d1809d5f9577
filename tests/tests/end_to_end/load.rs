//! Clients that keep a number of requests in flight.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use cereus_tests::{
    client::{Client, TIMEOUT, Transport},
    cluster::Cluster,
};
use parking_lot::Mutex;
use tokio::{sync::watch, task::JoinSet, time::Instant};

/// Requests that each client keeps in flight.
const IN_FLIGHT: usize = 8;

/// Running load.
#[derive(Debug)]
pub(crate) struct Load {
    clients: JoinSet<()>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    route: String,
    body: String,
    outcome: Mutex<Outcome>,
    answers: watch::Sender<usize>,
    running: watch::Sender<bool>,
}

/// What the load has seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// How often each error was answered.
    pub(crate) errors: BTreeMap<String, usize>,
    /// The bodies of good answers.
    pub(crate) bodies: BTreeSet<String>,
    /// The longest time that an answer took.
    pub(crate) longest: Duration,
}

impl Load {
    /// Open `clients` connections, half of them over `WebSocket`, each of which always has requests in flight.
    pub(crate) async fn start(cluster: &Cluster, clients: usize, route: &str, body: &str) -> Load {
        let shared = Arc::new(Shared {
            route: route.to_owned(),
            body: body.to_owned(),
            outcome: Mutex::default(),
            answers: watch::Sender::new(0),
            running: watch::Sender::new(true),
        });
        let mut tasks = JoinSet::new();
        for number in 0..clients {
            let transport = if number % 2 == 0 { Transport::Tcp } else { Transport::WebSocket };
            let client = Arc::new(cluster.client(transport).await.unwrap());
            for _ in 0..IN_FLIGHT {
                tasks.spawn(repeat(client.clone(), shared.clone()));
            }
        }
        Load { clients: tasks, shared }
    }

    /// Wait until `count` more answers have come.
    pub(crate) async fn answers(&self, count: usize) {
        let mut answers = self.shared.answers.subscribe();
        let goal = *answers.borrow() + count;
        let waiting = answers.wait_for(|answers| *answers >= goal);
        tokio::time::timeout(TIMEOUT, waiting).await.expect("answers go on").unwrap();
    }

    /// What has been seen so far.
    pub(crate) fn outcome(&self) -> Outcome {
        self.shared.outcome.lock().clone()
    }

    /// Wait until good answers have had `count` different bodies: all that there were.
    pub(crate) async fn bodies(&self, count: usize) -> BTreeSet<String> {
        loop {
            let bodies = self.outcome().bodies;
            if bodies.len() >= count {
                return bodies;
            }
            self.answers(1).await;
        }
    }

    /// Send no more, wait for what is in flight: every request must be answered.
    pub(crate) async fn stop(mut self) -> Outcome {
        self.shared.running.send_replace(false);
        while let Some(result) = self.clients.join_next().await {
            result.expect("each request is answered");
        }
        self.outcome()
    }
}

async fn repeat(client: Arc<Client>, shared: Arc<Shared>) {
    while *shared.running.borrow() {
        let start = Instant::now();
        let reply = client.request(&shared.route, &shared.body).await.expect("an answer");
        assert_eq!(client.answers(reply.id), 1, "a request has one answer");
        let mut outcome = shared.outcome.lock();
        match reply.code() {
            Some(code) => *outcome.errors.entry(code).or_default() += 1,
            None => {
                outcome.bodies.insert(String::from_utf8_lossy(&reply.body).into_owned());
            }
        }
        outcome.longest = outcome.longest.max(reply.at.saturating_duration_since(start));
        drop(outcome);
        shared.answers.send_modify(|answers| *answers += 1);
    }
}
