//! What a server says of itself on its admin port.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use super::admin::{Phase, ServerStatus, Status, StatusSource, TopologyStatus};
use super::server::Server;
use super::signals::StopStage;
use crate::session::CloseReason;

impl StatusSource for Server {
    fn status(&self) -> Status {
        let links: Vec<_> = self.nodes.iter().flat_map(|node| node.links.list()).collect();
        let all = self.spawners.iter().chain(&self.connections).chain(self.shared.work.iter());
        Status {
            server: ServerStatus {
                id: self.identity.server_id.to_string(),
                server_type: self.identity.server_type.to_string(),
                incarnation: self.identity.incarnation,
                frontend: self.frontend,
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            phase: self.phase(),
            uptime_seconds: self.started.elapsed().as_secs(),
            servers: self.known_servers(),
            topology: TopologyStatus {
                source: self.source.as_ref().map(|source| source.status()),
                skipped: self.shared.topology.current().skipped(),
            },
            sessions: self.shared.pool.len() as u64,
            pins: self.shared.pins.len() as u64,
            lanes: self.shared.lanes.len() as u64,
            pending_calls: links.iter().map(|link| link.pending as u64).sum(),
            tasks: all.map(|spawner| spawner.tasks() as u64).sum(),
            links: links.iter().filter_map(|link| serde_json::to_value(link).ok()).collect(),
            channels: serde_json::to_value(self.shared.channels.status()).unwrap_or_default(),
            queues: self.queues(),
            counters: self.counters(),
        }
    }

    fn readiness(&self) -> Result<(), String> {
        match self.phase() {
            Phase::Serving | Phase::Draining if self.withdrawn.load(Ordering::Relaxed) => Err("draining".to_owned()),
            // A server that is being deleted stays ready until its listeners close: in a cluster a failing probe would
            // end that it still serves.
            Phase::Draining if self.frontend && self.accepting.is_closed() && self.accepting.is_empty() => {
                Err("draining".to_owned())
            }
            Phase::Serving | Phase::Draining => Ok(()),
            Phase::Starting => Err("starting".to_owned()),
            Phase::Closing => Err("closing".to_owned()),
        }
    }

    fn drain(&self) {
        self.withdrawn.store(true, Ordering::Relaxed);
        self.stop.at_least(StopStage::Drain);
    }
}

impl Server {
    fn known_servers(&self) -> BTreeMap<String, usize> {
        let mut servers = BTreeMap::new();
        for server in self.shared.topology.current().all().filter(|server| server.ready) {
            *servers.entry(server.server_type.to_string()).or_default() += 1;
        }
        servers
    }

    /// What is in the queues that a server has many of, taken together.
    fn queues(&self) -> BTreeMap<&'static str, usize> {
        let mut queues = BTreeMap::from([("lane_jobs", self.shared.lanes.jobs())]);
        let mut add = |name, count| *queues.entry(name).or_default() += count;
        let mut most = 0;
        for node in &self.nodes {
            let outbound = node.agents.outbound();
            add("client_outbound_messages", outbound.messages);
            add("client_outbound_bytes", outbound.bytes);
            most = most.max(outbound.most_messages);
            add("handshakes", node.agents.counts().pending());
            add("hand_over_lanes", node.incoming.moving());
        }
        add("client_outbound_most_messages", most);
        add("hand_over_connections", self.connections_handed.get().map_or(0, |gauge| gauge()));
        add("hand_over_links", self.links_handed.get().map_or(0, |gauge| gauge()));
        queues
    }

    fn counters(&self) -> BTreeMap<String, u64> {
        let mut counters = BTreeMap::new();
        let mut add = |name: String, count: u64| *counters.entry(name).or_default() += count;
        for node in &self.nodes {
            let counts = node.agents.counts();
            add("connections_pending".to_owned(), counts.pending() as u64);
            add("connections_open".to_owned(), counts.open() as u64);
            add("connections_opened".to_owned(), counts.opened());
            for reason in CloseReason::ALL {
                let closed = counts.closed(*reason);
                if closed > 0 {
                    add(format!("connections_closed_{}", reason.as_str()), closed);
                }
            }
            let (refused, unnumbered) = node.dispatcher.counters().read();
            add("messages_refused".to_owned(), refused);
            add("messages_refused".to_owned(), node.incoming.refused());
            add("requests_with_id_0".to_owned(), unnumbered);
            add("notifies_failed".to_owned(), node.dispatcher.counters().notifies_failed());
            add("links_full".to_owned(), node.links.counts().full.load(Ordering::Relaxed));
            add("links_too_large".to_owned(), node.links.counts().too_large.load(Ordering::Relaxed));
            for (loss, count) in node.links.counts().losses() {
                if count > 0 {
                    add(format!("links_lost_{}", loss.as_str()), count);
                }
            }
        }
        let handled = self.shared.registry.counts();
        add("handlers_run".to_owned(), handled.handled);
        add("handlers_failed".to_owned(), handled.failed);
        add("handlers_panicked".to_owned(), handled.panicked);
        add("handlers_dropped".to_owned(), handled.dropped);
        add("handlers_expired".to_owned(), handled.expired);
        add("slow_polls".to_owned(), handled.slow_polls);
        for (name, count) in self.shared.channels.counters() {
            add(name.to_owned(), count);
        }
        add("topology_objects_skipped".to_owned(), self.shared.topology.current().skipped().total() as u64);
        counters
    }
}
