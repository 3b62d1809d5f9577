//! The built-in game as `cereus dev -f` runs it: several frontends, and room servers that are scaled and killed.

use std::{ffi::OsString, fs, net::SocketAddr, time::Duration};

use anyhow::{Context as _, ensure};
use rustix::process::{Pid, kill_process};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    client::{Client, Transport},
    process::{Process, Program, START_TIMEOUT, Signal, binary, free_address},
};

/// The stock binary.
const CEREUS: &str = "cereus";
/// How long a command may take, such as one that waits until servers have left.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// A running `cereus dev`. It ends when this is dropped, and its servers with it.
#[derive(Debug)]
pub struct Dev {
    _process: Process,
    /// The manifests, and where other commands find this game.
    folder: TempDir,
    /// Where clients connect, by frontend.
    frontends: Vec<SocketAddr>,
}

/// A server, as `cereus get` tells of it.
#[derive(Clone, Debug, Deserialize)]
pub struct DevServer {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub server_type: String,
    /// Such as `ready`.
    pub state: String,
    /// Its process.
    pub pid: Option<u32>,
}

impl Dev {
    /// Start as many frontends, each of a type of its own, and `rooms` servers of type `room`; wait until they are ready.
    pub async fn start(frontends: usize, rooms: usize) -> anyhow::Result<Dev> {
        let folder = TempDir::new()?;
        let path = folder.path();
        let drain = "drain: { linger: 0s, deadline: 5s }";
        let write = |name: &str, spec: String| {
            let head = "apiVersion: cereus.dev/v1alpha1\nkind: ServerType";
            let text = format!("{head}\nmetadata: {{ name: {name} }}\nspec: {{ {drain}, {spec} }}\n");
            fs::write(path.join(format!("{name}.yaml")), text)
        };
        write("room", format!("replicas: {rooms}"))?;
        let addresses: Vec<SocketAddr> = (0..frontends).map(|_| free_address()).collect::<anyhow::Result<_>>()?;
        for (number, address) in addresses.iter().enumerate() {
            let acceptor = format!("{{ name: tcp, protocol: TCP, port: {} }}", address.port());
            write(&format!("connector{number}"), format!("frontend: {{ acceptors: [{acceptor}] }}"))?;
        }
        let program = Program {
            name: "cereus dev".to_owned(),
            path: binary(CEREUS)?,
            arguments: vec!["dev".into(), "-f".into(), path.into()],
            environment: vec![("XDG_RUNTIME_DIR".into(), path.into())],
        };
        let process = Process::start(&program)?;
        let is_ready = |line: &str| line.contains("ready: clients connect to");
        process.line("ready: clients connect to", START_TIMEOUT, is_ready).await?;
        Ok(Dev { _process: process, folder, frontends: addresses })
    }

    /// Run another command about this game: what it says.
    pub async fn ask(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(binary(CEREUS)?);
        command
            .args(arguments.iter().map(OsString::from))
            .env("XDG_RUNTIME_DIR", self.folder.path())
            .kill_on_drop(true);
        let output = tokio::time::timeout(COMMAND_TIMEOUT, command.output()).await;
        let output = output.with_context(|| format!("{arguments:?} did not end within {COMMAND_TIMEOUT:?}"))??;
        let said = String::from_utf8([output.stdout, output.stderr].concat())?;
        ensure!(output.status.success(), "{arguments:?} failed: {said}");
        Ok(said)
    }

    /// The servers of a type.
    pub async fn servers(&self, server_type: &str) -> anyhow::Result<Vec<DevServer>> {
        let said = self.ask(&["get", "servers", "-o", "json"]).await?;
        let mut servers: Vec<DevServer> = serde_json::from_str(&said)?;
        servers.retain(|server| server.server_type == server_type);
        Ok(servers)
    }

    /// Let there be so many servers of a type, and wait until that is so. Those that are too many drain.
    pub async fn scale(&self, server_type: &str, count: usize) -> anyhow::Result<()> {
        self.ask(&["scale", server_type, &count.to_string(), "--wait"]).await.map(drop)
    }

    /// Send a server a signal; it is started again when it ends.
    pub fn signal(&self, server: &DevServer, signal: Signal) -> anyhow::Result<()> {
        let pid = server.pid.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        let pid = pid.with_context(|| format!("{} does not run", server.name))?;
        kill_process(pid, signal).with_context(|| format!("cannot signal {}", server.name))
    }

    /// A client of a frontend, counted from 0.
    pub async fn client(&self, frontend: usize) -> anyhow::Result<Client> {
        let address = self.frontends.get(frontend).with_context(|| format!("there is no frontend {frontend}"))?;
        Client::connect(*address, Transport::Tcp).await
    }
}
