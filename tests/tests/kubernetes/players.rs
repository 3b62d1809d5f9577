//! People who play without a pause, and keep what they are answered.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use cereus_tests::{
    client::{Client, Reply, Transport},
    conformance::trial,
};
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};

/// How often each of them asks.
const PACE: Duration = Duration::from_millis(100);
/// What a request takes on a server, in milliseconds, so that some are always on their way.
const WORK: &str = "30";
/// How soon every request must be answered: the servers' request timeout, and time for a busy machine.
const DEADLINE: Duration = Duration::from_secs(12);
/// How long the game may not go on for them.
const PATIENCE: Duration = Duration::from_mins(1);

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// It was handled by this server.
    Handled(String),
    /// It failed with this code.
    Failed(String),
    /// It was not answered.
    Lost(String),
}

/// Each on a connection of its own, until this is dropped.
pub(crate) struct Players {
    asked: Arc<Asked>,
    tasks: JoinSet<()>,
}

#[derive(Default)]
struct Asked {
    outcomes: Mutex<Vec<(Outcome, Duration)>>,
    count: watch::Sender<usize>,
}

impl Players {
    /// So many of them come to a frontend and ask servers of type `room`.
    pub(crate) async fn join(frontend: SocketAddr, count: usize) -> Players {
        let (asked, mut tasks) = (Arc::<Asked>::default(), JoinSet::new());
        for _ in 0..count {
            let client = Client::connect(frontend, Transport::Tcp).await.unwrap();
            tasks.spawn(play(client, asked.clone()));
        }
        Players { asked, tasks }
    }

    /// Wait until requests that end from now on are handled by so many servers: which.
    pub(crate) async fn reach(&self, servers: usize) -> BTreeSet<String> {
        self.handled(&format!("{servers} servers"), |reached| reached.len() >= servers).await
    }

    /// Wait until a request is handled by another server than these.
    pub(crate) async fn reach_another(&self, servers: &BTreeSet<String>) {
        self.handled("another server", |reached| !reached.is_subset(servers)).await;
    }

    async fn handled(&self, what: &str, enough: impl Fn(&BTreeSet<String>) -> bool) -> BTreeSet<String> {
        let (begin, mut count) = (self.asked.outcomes.lock().len(), self.asked.count.subscribe());
        let reached = async {
            loop {
                count.changed().await.unwrap();
                let outcomes = self.asked.outcomes.lock();
                let handled = outcomes[begin..].iter().filter_map(|(outcome, _)| match outcome {
                    Outcome::Handled(server) => Some(server.clone()),
                    _ => None,
                });
                let reached: BTreeSet<_> = handled.collect();
                if enough(&reached) {
                    return reached;
                }
            }
        };
        let reached = tokio::time::timeout(PATIENCE, reached).await;
        reached.unwrap_or_else(|_| panic!("requests did not reach {what}: {:?}", self.counts()))
    }

    /// How often each outcome came so far. All requests were answered in time, or failed in time with one of `codes`.
    pub(crate) fn answered(&self, codes: &[&str]) -> BTreeMap<Outcome, usize> {
        for (outcome, took) in self.asked.outcomes.lock().iter() {
            let allowed = match outcome {
                Outcome::Handled(_) => true,
                Outcome::Failed(code) => codes.contains(&code.as_str()),
                Outcome::Lost(_) => false,
            };
            assert!(allowed, "{outcome:?} after {took:?}; all: {:?}", self.counts());
            assert!(*took < DEADLINE, "{outcome:?} after {took:?}");
        }
        self.counts()
    }

    /// Wait until all that is on its way is answered, and nobody asks any more.
    pub(crate) async fn leave(mut self, codes: &[&str]) -> BTreeMap<Outcome, usize> {
        self.asked.count.send_replace(usize::MAX);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        self.answered(codes)
    }

    fn counts(&self) -> BTreeMap<Outcome, usize> {
        let mut counts = BTreeMap::new();
        for (outcome, _) in self.asked.outcomes.lock().iter() {
            *counts.entry(outcome.clone()).or_default() += 1;
        }
        counts
    }
}

async fn play(client: Client, asked: Arc<Asked>) {
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while *asked.count.borrow() < usize::MAX {
        pace.tick().await;
        let begun = Instant::now();
        let batch = client.batch().request(&route(trial::SLEEP), WORK).request(&route(trial::SERVER), "");
        let ids = match batch.send().await {
            Ok(ids) => ids,
            Err(error) => return asked.add(Outcome::Lost(format!("{error:#}")), begun.elapsed()),
        };
        for id in ids {
            match client.reply(id).await {
                Ok(reply) => asked.add(outcome(&reply), reply.at - begun),
                Err(error) => return asked.add(Outcome::Lost(format!("{error:#}")), begun.elapsed()),
            }
        }
    }
}

fn route(method: &str) -> String {
    trial::route("room", method)
}

fn outcome(reply: &Reply) -> Outcome {
    match reply.code() {
        Some(code) => Outcome::Failed(code),
        None => Outcome::Handled(reply.text().unwrap()),
    }
}

impl Asked {
    fn add(&self, outcome: Outcome, took: Duration) {
        // The work says nothing of who did it; the request behind it does.
        if outcome != Outcome::Handled(WORK.to_owned()) {
            self.outcomes.lock().push((outcome, took));
        }
        self.count.send_if_modified(|count| {
            *count = count.saturating_add(1);
            true
        });
    }
}
