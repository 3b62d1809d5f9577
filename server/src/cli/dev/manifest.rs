//! What is to run, as manifests say it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use cereus_crds::{
    Protocol, ServerType,
    contract::{self, Place},
};
use serde_json::Value;

use super::ports;
use crate::cli::check::{self, Manifests};

/// The game that runs when no manifests are given.
pub(super) const BUILT_IN: &str = include_str!("game.yaml");

/// One ServerType.
#[derive(Debug, Clone)]
pub(super) struct Manifest {
    pub(super) name: String,
    /// As it is written.
    pub(super) document: Value,
    pub(super) server_type: ServerType,
}

impl Manifest {
    pub(super) fn new(document: Value, mut server_type: ServerType) -> Self {
        let name = server_type.metadata.name.clone().unwrap_or_default();
        // There are no Secrets here, and no load balancer that says who connects.
        for acceptor in server_type.spec.frontend.iter_mut().flat_map(|frontend| &mut frontend.acceptors) {
            acceptor.tls = None;
            acceptor.proxy_protocol = false;
            acceptor.trusted_proxies.clear();
        }
        Self { name, document, server_type }
    }

    pub(super) fn is_frontend(&self) -> bool {
        self.server_type.spec.frontend.is_some()
    }

    /// The ports for clients that it names.
    pub(super) fn ports(&self) -> impl Iterator<Item = u16> {
        self.server_type.spec.frontend.iter().flat_map(|frontend| &frontend.acceptors).map(|acceptor| acceptor.port)
    }

    /// Fail with one clear line when somebody else has a port for clients; `ours` are not looked at. `remedy` says how to
    /// choose another for an acceptor.
    pub(super) fn check_ports(
        &self,
        address: IpAddr,
        ours: &BTreeSet<u16>,
        remedy: impl Fn(&Self, &str) -> String,
    ) -> anyhow::Result<()> {
        let acceptors = self.server_type.spec.frontend.iter().flat_map(|frontend| &frontend.acceptors);
        for acceptor in acceptors.filter(|acceptor| self.replicas() > 0 && !ours.contains(&acceptor.port)) {
            ports::check((address, acceptor.port).into(), &remedy(self, &acceptor.name))?;
        }
        Ok(())
    }

    /// How to choose another port for an acceptor.
    pub(super) fn other_port(&self, acceptor: &str) -> String {
        format!("change the port of the acceptor {acceptor} of {}", self.name)
    }

    /// Whether its servers are this executable; those in another language are not.
    pub(super) fn runs_here(&self) -> bool {
        self.server_type.spec.protocol == Protocol::Cereus
    }

    /// How many servers there are to be.
    pub(super) fn replicas(&self) -> u32 {
        if self.runs_here() { self.server_type.spec.desired_replicas() } else { 0 }
    }

    /// All that a process gets of it: servers are replaced when that changes.
    pub(super) fn recipe(&self) -> Value {
        let spec = &self.server_type.spec;
        let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let place = Place::process("", nowhere, nowhere, Path::new("/"));
        let set = contract::environment(&self.name, spec, &place);
        let set: BTreeMap<_, _> = set.iter().map(|variable| (variable.name, variable.value.text())).collect();
        serde_json::json!({ "set": set, "env": spec.template.env, "config": spec.config, "image": spec.image })
    }

    /// What of it has no meaning on this machine, as sentences.
    pub(super) fn remarks(&self) -> Vec<String> {
        let name = &self.name;
        let mut remarks = Vec::new();
        if !self.runs_here() {
            remarks.push(format!("{name} is in another language (protocol: pitaya): its servers are not started here"));
        }
        for (index, acceptor) in self.acceptors() {
            for (key, what) in [("tls", "TLS"), ("proxyProtocol", "the PROXY protocol")] {
                if acceptor.get(key).is_some_and(|value| *value != Value::Bool(false)) {
                    let place = format!("spec.frontend.acceptors[{index}].{key}");
                    remarks.push(format!("{name} listens without {what} on this machine ({place})"));
                }
            }
        }
        let env = &self.server_type.spec.template.env;
        for variable in env.iter().filter(|variable| variable.value_from.is_some()) {
            remarks
                .push(format!("{name} does not get {}: there are no pods, Secrets or ConfigMaps here", variable.name));
        }
        remarks
    }

    fn acceptors(&self) -> impl Iterator<Item = (usize, &Value)> {
        let acceptors = self.document.pointer("/spec/frontend/acceptors").and_then(Value::as_array);
        acceptors.into_iter().flatten().enumerate()
    }
}

/// Read manifests, with the messages of `cereus check`.
pub(super) fn load(
    manifests: &Manifests,
    old: &BTreeMap<String, Value>,
    binary: &Path,
) -> anyhow::Result<Result<Vec<Manifest>, String>> {
    let read = match check::load(manifests, old, binary)? {
        Ok(read) => read,
        Err(report) => return Ok(Err(report)),
    };
    let read: Vec<_> = read.into_iter().map(|(document, server_type)| Manifest::new(document, server_type)).collect();
    let mut names = BTreeSet::new();
    if let Some(twice) = read.iter().find(|manifest| !names.insert(&manifest.name)) {
        return Ok(Err(format!("{} stands in two namespaces; here there is one\n", twice.name)));
    }
    if read.is_empty() {
        return Ok(Err("there is no ServerType in the manifests\n".to_owned()));
    }
    Ok(Ok(read))
}
