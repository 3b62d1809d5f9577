//! What runs: the servers of the built-in game.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::ports;

/// How many room servers there are.
const ROOMS: usize = 2;

/// One server, to be kept running.
#[derive(Debug, Clone)]
pub(super) struct Replica {
    /// Its id, and what its lines are prefixed with.
    pub(super) name: String,
    pub(super) server_type: &'static str,
    /// Where it listens for other servers.
    pub(super) link: SocketAddr,
    /// Where it is probed.
    pub(super) admin: SocketAddr,
    /// Arguments for the executable.
    pub(super) arguments: Vec<String>,
    /// Its place in the plan.
    pub(super) index: usize,
}

/// The servers of a game.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) replicas: Vec<Replica>,
    tcp: SocketAddr,
    ws: SocketAddr,
}

impl Plan {
    /// One frontend `connector` and two `room` servers.
    pub(super) fn built_in(
        tcp: SocketAddr,
        ws: SocketAddr,
        directory: &Path,
        log: Option<&str>,
    ) -> anyhow::Result<Self> {
        let clients = vec!["--tcp".to_owned(), tcp.to_string(), "--ws".to_owned(), ws.to_string()];
        let mut servers = vec![("connector", "connector-1".to_owned(), clients)];
        servers.extend((1..=ROOMS).map(|number| ("room", format!("room-{number}"), Vec::new())));
        let ports = ports::free(servers.len() * 2).context("no free ports on 127.0.0.1")?;
        let servers = servers.into_iter().zip(ports.chunks_exact(2)).enumerate();
        let replicas = servers.filter_map(|(index, ((server_type, name, more), ports))| {
            let &[link, admin] = ports else { return None };
            let mut arguments = serve(server_type, &name, link, admin, directory);
            arguments.extend(more);
            arguments.extend(log.into_iter().flat_map(|log| ["--log".to_owned(), log.to_owned()]));
            Some(Replica { name, server_type, link, admin, arguments, index })
        });
        Ok(Self { replicas: replicas.collect(), tcp, ws })
    }

    /// The servers in one line.
    pub(super) fn names(&self) -> String {
        self.replicas.iter().map(|replica| replica.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Where to connect and what to try.
    pub(super) fn invitation(&self, executable: &Path) -> Vec<String> {
        let request = format!("{} request", shown(executable));
        vec![
            format!("ready: clients connect to {} (TCP) or ws://{} (WebSocket)", self.tcp, self.ws),
            format!("try:   {request} {} room.room.hello '{{\"name\":\"Ada\"}}'", self.tcp),
            "Ctrl-C stops everything".to_owned(),
        ]
    }
}

/// The arguments that every server gets. With nobody to move players elsewhere, sessions are not waited for long.
fn serve(server_type: &str, name: &str, link: SocketAddr, admin: SocketAddr, directory: &Path) -> Vec<String> {
    let (link, admin, directory) = (link.to_string(), admin.to_string(), directory.display().to_string());
    let arguments = [
        "serve",
        "--type",
        server_type,
        "--id",
        name,
        "--link",
        &link,
        "--admin",
        &admin,
        "--topology",
        &directory,
        "--set",
        "drain.linger=0s",
        "--set",
        "drain.deadline=3s",
        "--log-format",
        "human",
        "--stop-on-stdin-eof",
    ];
    arguments.map(str::to_owned).to_vec()
}

/// An executable as a person would type it.
fn shown(executable: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    executable.strip_prefix(here).unwrap_or(executable).display().to_string()
}
