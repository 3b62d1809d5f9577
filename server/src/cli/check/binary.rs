//! Asking a binary whether it takes a configuration.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path as FilePath,
    process::{Output, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use cereus_crds::{
    Path, ServerTypeSpec,
    contract::{self, Place, Security},
    names::{ADMIN_PORT_NUMBER, LINK_PORT_NUMBER},
};
use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, process::Command, time::timeout};

use crate::{app::Report, cli::config::Answer};

/// How long a binary may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// What variables of settings begin with. Those of this process say nothing about a cluster.
const SETTINGS: &str = "CEREUS__";

/// A binary of a game.
#[derive(Debug)]
pub(super) struct Binary<'a> {
    path: &'a FilePath,
}

impl<'a> Binary<'a> {
    pub(super) fn new(path: &'a FilePath) -> Self {
        Self { path }
    }

    /// What is wrong with the configuration of a type, given together with what the image contract sets.
    pub(super) fn check(&self, name: &str, spec: &ServerTypeSpec) -> anyhow::Result<Vec<Report>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let config = contract::config_text(&spec.config)?;
        let path = self.path.display();
        let output = runtime.block_on(async { timeout(PATIENCE, self.ask(name, spec, &config)).await });
        let output = output.with_context(|| format!("{path} did not answer within {PATIENCE:?}"))??;
        match serde_json::from_slice::<Answer>(&output.stdout) {
            Ok(answer) if output.status.success() == answer.problems.is_empty() => Ok(answer.problems),
            _ => {
                let said = String::from_utf8_lossy(&output.stderr);
                let said = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
                bail!(
                    "{path} is no binary of a game: asked for `config --check`, it ended with {} and said: {said}",
                    output.status
                )
            }
        }
    }

    async fn ask(&self, name: &str, spec: &ServerTypeSpec, config: &str) -> anyhow::Result<Output> {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let place = Place {
            security: Security::Certificates(contract::CERTIFICATES.into()),
            ..Place::process(name, local(LINK_PORT_NUMBER), local(ADMIN_PORT_NUMBER), FilePath::new("/"))
        };
        let mut command = Command::new(self.path);
        command.args(["config", "--check", "-", "--json"]).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with(SETTINGS) {
                command.env_remove(variable);
            }
        }
        for variable in contract::environment(name, spec, &place) {
            if let Some(text) = variable.value.text() {
                command.env(variable.name, text);
            }
        }
        let mut child = command.spawn().with_context(|| format!("{} cannot be run", self.path.display()))?;
        let stdin = child.stdin.take();
        let write = async {
            if let Some(mut stdin) = stdin {
                // A binary that does not read it has its say on standard error.
                let _ = stdin.write_all(config.as_bytes()).await;
            }
        };
        let ((), output) = tokio::join!(write, child.wait_with_output());
        Ok(output?)
    }
}

/// Where a problem of the configuration stands in the manifest, and what is to be said of it.
pub(super) fn place(problem: &Report, document: &Value) -> (Path, String) {
    if let Some(origin) = &problem.origin {
        let message = format!("gives {origin} to the binary, which says of {}: {}", problem.path, problem.message);
        return (Path::default().key("spec"), message);
    }
    let config = document.pointer("/spec/config").unwrap_or(&Value::Null);
    let path = Path::default().key("spec").key("config").join(&Path::parse(&problem.path, config));
    (path, problem.message.clone())
}
