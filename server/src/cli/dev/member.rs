//! A server type of a running game, and its servers.

use std::{cmp::Reverse, collections::BTreeMap, time::UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::{sync::watch, time::Instant};

use super::{
    backoff::Backoff,
    census::Load,
    manifest::Manifest,
    process::{Life, State},
    replica::Replica,
    rollout::Seen,
    status::{ServerState, ServerStatus, TypeStatus},
};

/// A server type.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) manifest: Manifest,
    recipe: Value,
    /// How many servers there are to be.
    pub(super) wanted: u32,
    /// Goes up when servers are to be replaced.
    pub(super) generation: u64,
    pub(super) members: Vec<Member>,
    /// It is in no manifest any more.
    pub(super) removed: bool,
    /// It was as it is to be since the last change.
    pub(super) settled: bool,
    /// It was as it is to be once, so the next time it is said.
    pub(super) told: bool,
    /// When a server is to be tried again that could not be started.
    pub(super) retry: Option<Instant>,
    pub(super) backoff: Backoff,
}

/// One server.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) replica: Replica,
    pub(super) generation: u64,
    pub(super) life: watch::Receiver<Life>,
    pub(super) leave: watch::Sender<bool>,
}

/// Which servers may be asked to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// Those with an old manifest.
    Old,
    Any,
}

impl Member {
    fn is_leaving(&self) -> bool {
        *self.leave.borrow()
    }

    fn is_ready(&self) -> bool {
        self.life.borrow().state == State::Ready
    }

    /// End its process at once, as a crash would. Why not, if not.
    pub(super) fn kill(&self) -> Result<(), String> {
        let name = &self.replica.name;
        let pid = self.life.borrow().pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| format!("{name} has no process now"))?;
        kill_process(pid, Signal::KILL).map_err(|error| format!("{name} cannot be killed: {error}"))
    }
}

impl Kind {
    pub(super) fn new(manifest: Manifest) -> Self {
        Self {
            recipe: manifest.recipe(),
            wanted: manifest.replicas(),
            manifest,
            generation: 0,
            members: Vec::new(),
            removed: false,
            settled: false,
            told: false,
            retry: None,
            backoff: Backoff::default(),
        }
    }

    /// Whether this is what it runs already.
    pub(super) fn runs(&self, manifest: &Manifest) -> bool {
        !self.removed && self.manifest.document == manifest.document
    }

    /// Take a new manifest; what follows from it, in words. What `scale` set stays until the manifest says another number.
    pub(super) fn replace(&mut self, manifest: Manifest) -> Vec<String> {
        let name = &manifest.name;
        let mut said = Vec::new();
        if self.removed {
            said.push(format!("{name} is in the manifests again"));
        }
        if self.removed || manifest.replicas() != self.manifest.replicas() {
            said.push(format!("{name} is scaled from {} to {}", self.wanted, manifest.replicas()));
            self.wanted = manifest.replicas();
        }
        let recipe = manifest.recipe();
        if recipe != self.recipe {
            self.generation += 1;
            said.push(if manifest.is_frontend() {
                format!(
                    "{name} has changed; its servers are replaced one at a time, the old one first: it has the ports"
                )
            } else {
                format!("{name} has changed; its servers are replaced one at a time, when the new one is ready")
            });
        }
        if said.is_empty() {
            said.push(format!("{name} has changed; its servers need not be replaced for that"));
        }
        self.removed = false;
        self.settled = false;
        self.retry = None;
        self.recipe = recipe;
        self.manifest = manifest;
        said
    }

    /// Its servers are to be replaced, though the manifest is the same.
    pub(super) fn renew(&mut self) {
        self.generation += 1;
        self.settled = false;
    }

    /// It is in no manifest any more.
    pub(super) fn remove(&mut self) {
        self.removed = true;
        self.settled = false;
        self.wanted = 0;
    }

    /// The ports of its servers.
    pub(super) fn ports(&self) -> impl Iterator<Item = u16> {
        self.members.iter().flat_map(|member| member.replica.addresses()).map(|address| address.port())
    }

    /// The smallest number that no server has.
    pub(super) fn free_number(&self) -> u32 {
        let is_free = |number: &u32| self.members.iter().all(|member| member.replica.number != *number);
        (1..=u32::MAX).find(is_free).unwrap_or(u32::MAX)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        let seen = |member: &Member| Seen {
            current: member.generation == self.generation,
            ready: member.is_ready(),
            leaving: member.is_leaving(),
        };
        self.members.iter().map(seen).collect()
    }

    /// Who may be asked to leave.
    pub(super) fn candidates(&self, who: Who) -> impl Iterator<Item = &Member> {
        let may =
            move |member: &&Member| !member.is_leaving() && (who == Who::Any || member.generation != self.generation);
        self.members.iter().filter(may)
    }

    /// The candidate that is missed the least, with its clients: one that is not ready, else the emptiest, else the last.
    /// The frontend whose ports are in the manifest stays longest, because people know them.
    pub(super) fn least(&self, who: Who, loads: &BTreeMap<String, Load>) -> Option<(&Member, Option<u64>)> {
        let load = |member: &Member| loads.get(&member.replica.name).copied();
        let order = |member: &&Member| {
            let replica = &member.replica;
            let is_known = replica.number == 1 && !replica.clients.is_empty() && who == Who::Any;
            (member.is_ready(), is_known, load(member).unwrap_or_default(), Reverse(replica.number))
        };
        let least = self.candidates(who).min_by_key(order)?;
        Some((least, load(least).map(|load| load.sessions)))
    }

    pub(super) fn status(&self, name: &str) -> TypeStatus {
        let count = |is: &dyn Fn(&Member) -> bool| self.members.iter().filter(|member| is(member)).count() as u32;
        TypeStatus {
            name: name.to_owned(),
            frontend: self.manifest.is_frontend(),
            desired: self.wanted,
            servers: self.members.len() as u32,
            ready: count(&|member| !member.is_leaving() && member.is_ready()),
            updated: count(&|member| !member.is_leaving() && member.generation == self.generation),
            draining: count(&Member::is_leaving),
        }
    }

    pub(super) fn servers(&self) -> impl Iterator<Item = ServerStatus> {
        let server = |member: &Member| {
            let Member { replica, life, .. } = member;
            let life = life.borrow();
            let state = match life.state {
                _ if member.is_leaving() => ServerState::Draining,
                State::Starting => ServerState::Starting,
                State::Ready => ServerState::Ready,
                State::Unready => ServerState::Unready,
                State::Waiting => ServerState::Waiting,
            };
            ServerStatus {
                name: replica.name.clone(),
                server_type: replica.server_type.to_string(),
                state,
                updated: member.generation == self.generation,
                sessions: None,
                since: life.since.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
                restarts: life.restarts,
                reason: life.reason.clone(),
                pid: life.pid,
                clients: replica.clients.iter().map(|client| (client.acceptor.clone(), client.shown())).collect(),
                link: replica.link.to_string(),
                admin: replica.admin.to_string(),
            }
        };
        self.members.iter().map(server)
    }
}
