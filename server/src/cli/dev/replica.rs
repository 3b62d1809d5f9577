//! One server to be: its name, its ports, and what its process is started with.

use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use cereus_crds::{
    AcceptorProtocol,
    contract::{self, Place},
    names,
};

use super::{manifest::Manifest, ports};

/// One server, to be kept running.
#[derive(Debug, Clone)]
pub(super) struct Replica {
    /// Its id, and what its lines are prefixed with.
    pub(super) name: String,
    /// Its place among the servers of its type, from one.
    pub(super) number: u32,
    pub(super) server_type: Arc<str>,
    pub(super) version: Option<Arc<str>>,
    /// Where it listens for other servers.
    pub(super) link: SocketAddr,
    /// Where it is probed.
    pub(super) admin: SocketAddr,
    /// Where clients connect.
    pub(super) clients: Vec<Client>,
    /// Arguments for the executable.
    pub(super) arguments: Vec<String>,
    /// What is set in its environment.
    pub(super) environment: Vec<(String, String)>,
    /// How long it may take to stop, when it alone is asked to.
    pub(super) grace: Duration,
    /// Its colour.
    pub(super) index: usize,
}

impl Replica {
    /// Where it listens.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        [self.link, self.admin].into_iter().chain(self.clients.iter().map(|client| client.address))
    }
}

/// One listener for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) acceptor: String,
    pub(super) protocol: AcceptorProtocol,
    pub(super) address: SocketAddr,
}

impl Client {
    /// As a person would type it.
    pub(super) fn shown(&self) -> String {
        match self.protocol {
            AcceptorProtocol::Tcp => format!("{} (TCP)", self.address),
            AcceptorProtocol::WebSocket => format!("ws://{} (WebSocket)", self.address),
        }
    }
}

/// Where servers are made.
#[derive(Debug)]
pub(super) struct Workplace {
    /// The folder of this game.
    pub(super) folder: PathBuf,
    /// Where clients connect.
    pub(super) client_address: IpAddr,
    /// What the servers are to log.
    pub(super) log: Option<String>,
    /// How many servers were made so far.
    pub(super) made: usize,
}

impl Workplace {
    /// A game in this folder.
    pub(super) fn new(folder: PathBuf, log: Option<String>) -> Self {
        Self { folder, client_address: Ipv4Addr::LOCALHOST.into(), log, made: 0 }
    }

    /// The folder that is the servers' view of the cluster.
    pub(super) fn topology(&self) -> PathBuf {
        self.folder.join("topology")
    }

    /// Make a server. `promised` are the ports that other servers have, `declared` those that manifests name.
    pub(super) fn replica(
        &mut self,
        manifest: &Manifest,
        number: u32,
        promised: &BTreeSet<u16>,
        declared: &BTreeSet<u16>,
    ) -> anyhow::Result<Replica> {
        let spec = &manifest.server_type.spec;
        let name = format!("{}-{number}", manifest.name);
        let clients = self.clients(manifest, number, promised)?;
        let own = clients.iter().map(|client| client.address.port());
        let others = promised.union(declared).copied().chain(own).collect();
        let [link, admin] = ports::free(Ipv4Addr::LOCALHOST.into(), &others).context("no free ports on 127.0.0.1")?;
        let mut place = Place::process(&name, link, admin, &self.topology());
        place.client_address = self.client_address;
        place.client_ports = clients.iter().map(|client| (client.acceptor.clone(), client.address.port())).collect();

        let folder = self.folder.join("config");
        fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        let file = folder.join(format!("{name}.yaml"));
        let text = contract::config_text(&spec.config)?;
        fs::write(&file, text).with_context(|| format!("{} cannot be written", file.display()))?;

        let mut arguments = contract::arguments(spec.protocol, &file.display().to_string());
        arguments.extend(["--log-format", "human", "--stop-on-stdin-eof"].map(str::to_owned));
        arguments.extend(self.log.iter().flat_map(|log| ["--log".to_owned(), log.clone()]));

        let given = spec.template.env.iter();
        let given = given.filter_map(|variable| Some((variable.name.clone(), variable.value.clone()?)));
        let set = contract::environment(&manifest.name, spec, &place).into_iter();
        let set = set.filter_map(|variable| Some((variable.name.to_owned(), variable.value.text()?.to_owned())));
        let environment = given.chain(set).collect();
        let index = self.made;
        self.made += 1;
        Ok(Replica {
            name,
            number,
            server_type: manifest.name.as_str().into(),
            version: spec.image.as_deref().and_then(names::version).map(Into::into),
            link,
            admin,
            clients,
            arguments,
            environment,
            grace: contract::termination_grace(spec),
            index,
        })
    }

    /// The first server of a type listens where the manifest says; the others at the next free ports.
    fn clients(&self, manifest: &Manifest, number: u32, promised: &BTreeSet<u16>) -> anyhow::Result<Vec<Client>> {
        let acceptors = manifest.server_type.spec.frontend.iter().flat_map(|frontend| &frontend.acceptors);
        let own: BTreeSet<u16> = manifest.ports().collect();
        let mut promised = promised.clone();
        let mut clients = Vec::new();
        for acceptor in acceptors {
            let port = if number == 1 && !promised.contains(&acceptor.port) {
                acceptor.port
            } else {
                let taken = promised.union(&own).copied().collect();
                ports::next_free(self.client_address, acceptor.port, &taken)
                    .with_context(|| format!("there is no free port after {}", acceptor.port))?
            };
            promised.insert(port);
            let address = (self.client_address, port).into();
            clients.push(Client { acceptor: acceptor.name.clone(), protocol: acceptor.protocol, address });
        }
        Ok(clients)
    }
}
