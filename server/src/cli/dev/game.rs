//! The whole game: keeps for each server type as many servers as there are to be, of what its manifest says now.
//!
//! One task owns everything here. What others may know is published as a [`GameStatus`]; what they want is a [`Command`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until},
};

use super::{
    backoff::Backoff,
    census,
    manifest::Manifest,
    member::{Kind, Member, Who},
    outcome,
    process::{Asked, Process, Surroundings},
    replica::Workplace,
    rollout::{Order, Step, next},
    status::GameStatus,
    suggestion,
};
use crate::app::StopStage;

/// Most servers of one type on one machine.
const MOST: u32 = 100;

/// Gets what is done, or why nothing is.
pub(super) type Answer = oneshot::Sender<Result<String, String>>;

/// What is asked of a game.
#[derive(Debug)]
pub(super) enum Command {
    /// Have so many servers of a type.
    Scale { server_type: String, replicas: u32, answer: Answer },
    /// Kill the process of a server, as a crash would; it is started again like after one.
    Kill { server: String, answer: Answer },
    /// Run these manifests instead. Told is why not, if not.
    Apply { manifests: Vec<Manifest>, answer: oneshot::Sender<Result<(), String>> },
    /// The executable is a new one: replace all servers.
    Replace,
}

/// What runs.
#[derive(Debug)]
pub(super) struct Game {
    workplace: Workplace,
    around: Surroundings,
    types: BTreeMap<String, Kind>,
    processes: JoinSet<String>,
    stages: watch::Receiver<StopStage>,
    status: watch::Sender<Arc<GameStatus>>,
    /// It has manifests.
    begun: bool,
}

impl Game {
    pub(super) fn new(workplace: Workplace, around: Surroundings, stages: watch::Receiver<StopStage>) -> Self {
        let (types, processes) = (BTreeMap::new(), JoinSet::new());
        Self { workplace, around, types, processes, stages, status: watch::Sender::default(), begun: false }
    }

    /// Follow what is known. Sessions and ages are not in it: see [`super::control`].
    pub(super) fn status(&self) -> watch::Receiver<Arc<GameStatus>> {
        self.status.subscribe()
    }

    /// Run until asked to stop, and until every server is gone then.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut stages = self.stages.clone();
        let mut stop = std::pin::pin!(async move {
            // The sender lives as long as this command.
            let _ = stages.wait_for(|stage| *stage > StopStage::Serve).await;
        });
        loop {
            self.publish();
            let changed = Arc::clone(&self.around.changed);
            let retry = self.types.values().filter_map(|kind| kind.retry).min();
            let retry = async move {
                match retry {
                    Some(time) => sleep_until(time).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some(ended) = self.processes.join_next() => self.forget(ended),
                Some(command) = commands.recv() => self.obey(command).await,
                () = changed.notified() => {}
                () = retry => {}
            }
            // A server that is asked for its load may take a second, in which stopping must not wait.
            tokio::select! {
                biased;
                () = &mut stop => break,
                () = self.reconcile() => {}
            }
        }
        for member in self.types.values().flat_map(|kind| &kind.members) {
            // They are asked already; so it is seen.
            member.leave.send_replace(true);
        }
        self.publish();
        while let Some(ended) = self.processes.join_next().await {
            self.forget(ended);
            self.publish();
        }
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Scale { server_type, replicas, answer } => {
                // Who asked may be gone.
                let result = self.scale(&server_type, replicas).await;
                // Before the answer, so that who waits for the end does not see an earlier one.
                self.publish();
                let _ = answer.send(result);
            }
            Command::Kill { server, answer } => {
                let _ = answer.send(self.kill(&server).await);
            }
            Command::Apply { manifests, answer } => {
                // Those at the start are checked before anything else.
                let checked = if self.begun { self.check_ports(&manifests) } else { Ok(()) };
                let result = checked.map_err(|error| format!("{error:#}\n"));
                if result.is_ok() {
                    self.apply(manifests).await;
                }
                let _ = answer.send(result);
            }
            Command::Replace => {
                self.types.values_mut().for_each(Kind::renew);
                self.around.output.own("the build is new; the servers are replaced one at a time").await;
            }
        }
    }

    async fn scale(&mut self, name: &str, replicas: u32) -> Result<String, String> {
        let known = || self.types.iter().filter(|(_, kind)| !kind.removed).map(|(name, _)| name.as_str());
        if !known().any(|known| known == name) {
            return Err(suggestion::unknown("server type", name, known()));
        }
        let Some(kind) = self.types.get_mut(name) else { return Err(format!("no server type {name}")) };
        if !kind.manifest.runs_here() {
            return Err(format!("{name} is in another language (protocol: pitaya): its servers are not started here"));
        }
        if replicas > MOST {
            return Err(format!("{replicas} servers are too many for one machine: at most {MOST}"));
        }
        let before = std::mem::replace(&mut kind.wanted, replicas);
        let said = match before {
            _ if before == replicas => format!("{name} is to have {replicas} servers already"),
            _ => format!("{name} is scaled from {before} to {replicas}"),
        };
        if before != replicas {
            kind.settled = false;
            kind.retry = None;
            self.around.output.own(&said).await;
        }
        Ok(said)
    }

    async fn kill(&self, name: &str) -> Result<String, String> {
        let members = || self.types.values().flat_map(|kind| &kind.members);
        let Some(member) = members().find(|member| member.replica.name == name) else {
            return Err(suggestion::unknown("server", name, members().map(|member| member.replica.name.as_str())));
        };
        member.kill()?;
        let said = format!("{name} is killed");
        self.around.output.own(&said).await;
        Ok(said)
    }

    /// Fail when a port that changed manifests name is neither free nor one of our servers', which make way for each other.
    fn check_ports(&self, manifests: &[Manifest]) -> anyhow::Result<()> {
        let ours: BTreeSet<u16> = self.types.values().flat_map(Kind::ports).collect();
        let changed = |manifest: &&Manifest| self.types.get(&manifest.name).is_none_or(|kind| !kind.runs(manifest));
        for manifest in manifests.iter().filter(changed) {
            manifest.check_ports(self.workplace.client_address, &ours, Manifest::other_port)?;
        }
        Ok(())
    }

    async fn apply(&mut self, manifests: Vec<Manifest>) {
        for manifest in &manifests {
            self.around.output.widen(manifest.name.len() + 2);
        }
        let names: Vec<String> = manifests.iter().map(|manifest| manifest.name.clone()).collect();
        for manifest in manifests {
            for line in self.adopt(manifest) {
                self.around.output.own(&line).await;
            }
        }
        for (name, kind) in &mut self.types {
            if !kind.removed && !names.contains(name) {
                kind.remove();
                self.around.output.own(&format!("{name} is not in the manifests any more, its servers leave")).await;
            }
        }
        self.begun = true;
    }

    /// Take over a manifest; what there is to say about it.
    fn adopt(&mut self, manifest: Manifest) -> Vec<String> {
        let name = manifest.name.clone();
        let mut said = Vec::new();
        if self.types.get(&name).is_some_and(|kind| kind.runs(&manifest)) {
            return said;
        }
        if let Err(error) = self.around.registry.declare(&manifest) {
            tracing::warn!(server_type = name, error = format!("{error:#}"), "the server type is not shown");
        }
        let remarks = manifest.remarks();
        if let Some(kind) = self.types.get_mut(&name) {
            let old = kind.manifest.remarks();
            said.extend(kind.replace(manifest));
            said.extend(remarks.into_iter().filter(|remark| !old.contains(remark)));
        } else {
            let mut kind = Kind::new(manifest);
            // At the start this is said of all together.
            kind.told = self.begun;
            if self.begun {
                said.push(format!("{name} is new, with {} servers", kind.wanted));
            }
            said.extend(remarks);
            self.types.insert(name, kind);
        }
        said
    }

    /// Do what is to be done now for each type.
    async fn reconcile(&mut self) {
        let names: Vec<String> = self.types.keys().cloned().collect();
        for name in names {
            if let Some(kind) = self.types.get_mut(&name) {
                kind.retry = kind.retry.filter(|time| Instant::now() < *time);
            }
            while let Some(kind) = self.types.get(&name) {
                let order = if kind.manifest.is_frontend() { Order::OldFirst } else { Order::NewFirst };
                let done = match next(kind.wanted as usize, order, &kind.seen()) {
                    Step::Wait => break,
                    Step::Start => self.start(&name).await,
                    Step::RetireOld => self.retire(&name, Who::Old).await,
                    Step::RetireAny => self.retire(&name, Who::Any).await,
                };
                if !done {
                    break;
                }
            }
            self.tell_settled(&name).await;
        }
        self.bury();
    }

    /// Start one more server.
    async fn start(&mut self, name: &str) -> bool {
        let promised = self.types.values().flat_map(Kind::ports).collect();
        let declared = self.types.values().flat_map(|kind| kind.manifest.ports()).collect();
        let Some(kind) = self.types.get_mut(name) else { return false };
        if kind.retry.is_some() {
            return false;
        }
        let replica = match self.workplace.replica(&kind.manifest, kind.free_number(), &promised, &declared) {
            Ok(replica) => replica,
            Err(error) => {
                let wait = kind.backoff.after(Duration::ZERO);
                kind.retry = Some(Instant::now() + wait);
                let wait = wait.as_secs_f64();
                let line = format!("a server of {name} cannot be started: {error:#}; it is tried again in {wait:.1} s");
                self.around.output.own(&line).await;
                return false;
            }
        };
        kind.backoff = Backoff::default();
        if kind.manifest.is_frontend() && replica.number > 1 {
            let clients: Vec<String> = replica.clients.iter().map(super::replica::Client::shown).collect();
            self.around.output.own(&format!("{}: clients connect to {}", replica.name, clients.join(" or "))).await;
        }
        let server = replica.name.clone();
        let process = Process::new(replica.clone(), self.around.clone());
        let leave = watch::Sender::new(false);
        let asked = Asked { alone: leave.subscribe(), all: self.stages.clone() };
        kind.members.push(Member { replica, generation: kind.generation, life: process.life(), leave });
        self.processes.spawn(async move {
            process.supervise(asked).await;
            server
        });
        true
    }

    /// Ask the one to leave that is missed the least.
    async fn retire(&mut self, name: &str, who: Who) -> bool {
        let Some(kind) = self.types.get(name) else { return false };
        let candidates: Vec<_> = kind.candidates(who).map(|member| &member.replica).collect();
        let loads = census::take(candidates.iter().map(|replica| (replica.name.clone(), replica.admin))).await;
        let Some((member, sessions)) = kind.least(who, &loads) else { return false };
        let clients = sessions.filter(|sessions| *sessions > 0);
        let clients = clients.map_or_else(String::new, |sessions| format!(", which has {sessions} clients"));
        let line = format!("draining {}{clients}", member.replica.name);
        member.leave.send_replace(true);
        self.around.output.own(&line).await;
        true
    }

    /// Say it when a type is as it is to be.
    async fn tell_settled(&mut self, name: &str) {
        let Some(kind) = self.types.get_mut(name) else { return };
        let status = kind.status(name);
        if status.is_settled() && !kind.settled && !kind.removed {
            kind.settled = true;
            if kind.told {
                let count = status.desired;
                let servers = if count == 1 { "server is" } else { "servers are" };
                self.around.output.own(&format!("{name} is as it is to be: {count} {servers} ready")).await;
            }
            kind.told = true;
        }
    }

    fn forget(&mut self, ended: Result<String, JoinError>) {
        let Some(server) = outcome(ended) else { return };
        for kind in self.types.values_mut() {
            kind.members.retain(|member| member.replica.name != server);
        }
    }

    /// Types that are removed go with their last server.
    fn bury(&mut self) {
        let registry = &self.around.registry;
        self.types.retain(|name, kind| {
            let stays = !kind.removed || !kind.members.is_empty();
            if !stays && let Err(error) = registry.withdraw(name) {
                tracing::warn!(server_type = name, error = format!("{error:#}"), "the server type is still shown");
            }
            stays
        });
    }

    fn publish(&self) {
        let types = self.types.iter().map(|(name, kind)| kind.status(name)).collect();
        let servers = self.types.values().flat_map(Kind::servers).collect();
        let status = GameStatus { types, servers };
        self.status.send_if_modified(|current| {
            let changed = **current != status;
            if changed {
                *current = Arc::new(status);
            }
            changed
        });
    }
}
