//! A game of conformance servers, each a process, that find each other through a folder of files.
//!
//! A server's name is its type and a number: `game-1`. Backends start before frontends, so that a frontend that is
//! ready has seen them; what a backend knows of frontends comes a moment later.

pub mod http;
#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use tempfile::TempDir;

use crate::{
    client::{Client, Options, Transport},
    load::Addresses,
    network::Network,
    process::{Process, Program, binary, free_address},
};

/// The binary that serves.
const CONFORMANCE: &str = "conformance";
/// How long a server may take for its answer about itself.
const STATUS_TIMEOUT: Duration = Duration::from_secs(5);

/// How bodies are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serializer {
    /// JSON.
    Json,
    /// Protocol buffers.
    Protobuf,
}

impl Serializer {
    /// Its name on the command line and in the handshake.
    pub fn name(self) -> &'static str {
        match self {
            Serializer::Json => "json",
            Serializer::Protobuf => "protobuf",
        }
    }
}

/// What a server is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It holds client connections.
    Frontend,
    /// It only runs game code.
    Backend,
}

/// A cluster that is being described.
#[derive(Debug)]
pub struct Builder {
    serializer: Serializer,
    servers: Vec<(Role, String, usize)>,
    environment: Vec<(OsString, OsString)>,
    certificates: Option<PathBuf>,
}

impl Builder {
    /// Add a frontend.
    #[must_use]
    pub fn frontend(mut self, server_type: &str) -> Self {
        self.servers.push((Role::Frontend, server_type.to_owned(), 1));
        self
    }

    /// Add `count` backends of one type.
    #[must_use]
    pub fn backends(mut self, server_type: &str, count: usize) -> Self {
        self.servers.push((Role::Backend, server_type.to_owned(), count));
        self
    }

    /// How bodies are written; JSON unless it is said.
    #[must_use]
    pub fn serializer(mut self, serializer: Serializer) -> Self {
        self.serializer = serializer;
        self
    }

    /// Set a variable of each server's environment, such as `CEREUS__AGENT__HEARTBEAT`.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Protect links by certificates: `folder` holds a folder for each server type.
    #[must_use]
    pub fn certificates(mut self, folder: &Path) -> Self {
        self.certificates = Some(folder.to_owned());
        self
    }

    /// Start all servers, backends first, and wait until each is ready.
    pub async fn start(self) -> anyhow::Result<Cluster> {
        let Builder { serializer, mut servers, environment, certificates } = self;
        let directory = TempDir::new()?;
        let mut cluster = Cluster { directory, serializer, environment, certificates, servers: Vec::new() };
        servers.sort_by_key(|(role, ..)| *role == Role::Frontend);
        for (role, server_type, count) in servers {
            for _ in 0..count {
                cluster.add(role, &server_type).await?;
            }
        }
        Ok(cluster)
    }
}

/// Running servers; all end when this is dropped.
#[derive(Debug)]
pub struct Cluster {
    directory: TempDir,
    serializer: Serializer,
    environment: Vec<(OsString, OsString)>,
    certificates: Option<PathBuf>,
    servers: Vec<Server>,
}

/// One server and where it listens.
#[derive(Debug)]
pub struct Server {
    name: String,
    kind: String,
    role: Role,
    tcp: SocketAddr,
    websocket: SocketAddr,
    admin: SocketAddr,
    process: Process,
}

impl Cluster {
    /// Describe a cluster.
    pub fn builder() -> Builder {
        Builder { serializer: Serializer::Json, servers: Vec::new(), environment: Vec::new(), certificates: None }
    }

    /// One frontend of type `connector` and `games` backends of type `game`.
    pub async fn connector_and_games(serializer: Serializer, games: usize) -> anyhow::Result<Cluster> {
        Cluster::builder().serializer(serializer).frontend("connector").backends("game", games).start().await
    }

    /// Protect the links of the servers that are added from now on by other certificates, or none.
    pub fn set_certificates(&mut self, folder: Option<&Path>) {
        self.certificates = folder.map(Path::to_owned);
    }

    /// Start one more server and wait until it is ready: its name.
    pub async fn add(&mut self, role: Role, server_type: &str) -> anyhow::Result<String> {
        self.start(role, server_type, None).await
    }

    /// Start one more backend at the far end of `network` and wait until it is ready: its name. Its admin endpoint is
    /// not reached from here.
    pub async fn add_behind(&mut self, network: &Network, server_type: &str) -> anyhow::Result<String> {
        self.start(Role::Backend, server_type, Some(network)).await
    }

    async fn start(&mut self, role: Role, server_type: &str, network: Option<&Network>) -> anyhow::Result<String> {
        let number = 1 + self.servers.iter().filter(|server| server.kind == server_type).count();
        let name = format!("{server_type}-{number}");
        let [tcp, websocket, mut link, admin] = [free_address()?, free_address()?, free_address()?, free_address()?];
        let (mut path, mut arguments) = (binary(CONFORMANCE)?, Vec::<OsString>::new());
        if let Some(network) = network {
            let [program, words @ ..] = network.prefix();
            arguments.extend(words.map(OsString::from));
            arguments.push(std::mem::replace(&mut path, program.into()).into());
            link.set_ip(network.address().into());
        }
        arguments.extend(["--type".into(), server_type.into()]);
        if role == Role::Frontend {
            arguments.push("--frontend".into());
            arguments.extend(["--tcp".into(), tcp.to_string().into(), "--ws".into(), websocket.to_string().into()]);
        }
        arguments.extend(["--serializer".into(), self.serializer.name().into()]);
        arguments.extend(["--topology".into(), self.directory.path().into()]);
        arguments.extend(["--link".into(), link.to_string().into(), "--admin".into(), admin.to_string().into()]);
        if network.is_some() {
            arguments.extend(["--set".into(), "link.insecure=true".into()]);
        }
        if let Some(folder) = &self.certificates {
            let folder = folder.join(server_type);
            arguments.extend(["--set".into(), format!("link.certificates={}", folder.display()).into()]);
        }
        let environment = self.environment.clone();
        let program = Program { name: name.clone(), path, arguments, environment };
        let process = Process::start_ready(&program).await?;
        let kind = server_type.to_owned();
        self.servers.push(Server { name: name.clone(), kind, role, tcp, websocket, admin, process });
        Ok(name)
    }

    /// How bodies are written.
    pub fn serializer(&self) -> Serializer {
        self.serializer
    }

    /// The folder through which the servers find each other.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The server of that name.
    pub fn server(&self, name: &str) -> anyhow::Result<&Server> {
        let found = self.servers.iter().find(|server| server.name == name);
        found.with_context(|| format!("there is no server {name}"))
    }

    /// The process of that name.
    pub fn process(&mut self, name: &str) -> anyhow::Result<&mut Process> {
        let found = self.servers.iter_mut().find(|server| server.name == name);
        Ok(&mut found.with_context(|| format!("there is no server {name}"))?.process)
    }

    /// A client of the first frontend.
    pub async fn client(&self, transport: Transport) -> anyhow::Result<Client> {
        self.client_with(transport, &Options::default()).await
    }

    /// A client of the first frontend with a behaviour of its own.
    pub async fn client_with(&self, transport: Transport, options: &Options) -> anyhow::Result<Client> {
        Client::connect_with(self.address(transport)?, transport, options).await
    }

    /// A connection to the first frontend that has not shaken hands.
    pub async fn stranger(&self, transport: Transport, options: &Options) -> anyhow::Result<Client> {
        Client::open(self.address(transport)?, transport, options).await
    }

    /// Where the first frontend listens.
    pub fn address(&self, transport: Transport) -> anyhow::Result<SocketAddr> {
        let frontend = self.servers.iter().find(|server| server.role == Role::Frontend);
        frontend.context("the cluster has no frontend")?.address(transport)
    }

    /// Where the first frontend listens, for clients of both transports.
    pub fn addresses(&self) -> anyhow::Result<Addresses> {
        Ok(Addresses { tcp: self.address(Transport::Tcp)?, websocket: self.address(Transport::WebSocket)? })
    }

    /// What the server of that name says about itself.
    pub async fn status(&self, name: &str) -> anyhow::Result<serde_json::Value> {
        self.server(name)?.status().await
    }
}

impl Server {
    /// Its name in the cluster.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its admin endpoint is.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Where clients find it.
    pub fn address(&self, transport: Transport) -> anyhow::Result<SocketAddr> {
        match (self.role, transport) {
            (Role::Backend, _) => bail!("{} is no frontend", self.name),
            (Role::Frontend, Transport::Tcp) => Ok(self.tcp),
            (Role::Frontend, Transport::WebSocket) => Ok(self.websocket),
        }
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// What it says about itself.
    pub async fn status(&self) -> anyhow::Result<serde_json::Value> {
        let (code, body) = http::get(self.admin, "/status", STATUS_TIMEOUT).await?;
        if code != 200 {
            bail!("{} answered {code} to /status: {body}", self.name);
        }
        serde_json::from_str(&body).with_context(|| format!("the status of {} is not JSON: {body}", self.name))
    }

    /// Tell its admin endpoint to do what `path` says, such as `/drain`: the status code.
    pub async fn command(&self, path: &str) -> anyhow::Result<u16> {
        Ok(http::post(self.admin, path, STATUS_TIMEOUT).await?.0)
    }

    /// The status code of a path of its admin endpoint, such as `/readyz`.
    pub async fn probe(&self, path: &str) -> anyhow::Result<u16> {
        Ok(http::get(self.admin, path, STATUS_TIMEOUT).await?.0)
    }
}
