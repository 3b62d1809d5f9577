//! `cereus dev`: a whole game on this machine, as processes of this same executable.
//!
//! It does what a cluster does around servers: starts what the manifests say, as the image contract says, probes the
//! servers, tells them of each other through EndpointSlice files, restarts what ends, follows edits of the manifests, and
//! stops everything. It knows nothing of messages, and the servers do not know that they are not in a cluster.

mod announce;
mod backoff;
mod census;
pub(super) mod control;
mod follow;
mod game;
mod logs;
mod manifest;
mod member;
mod output;
mod page;
mod ports;
mod probe;
mod process;
mod rebuild;
mod registry;
mod replica;
mod rollout;
mod status;
mod suggestion;
pub(super) mod table;
mod terminal;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    panic::resume_unwind,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, bail};
use clap::Args;
use tokio::{
    sync::{Notify, mpsc, oneshot},
    task::JoinError,
};

pub(super) use self::status::GameStatus;
use self::{
    announce::Announcement,
    control::{Chosen, Desk, Place},
    follow::Edits,
    game::{Command, Game},
    manifest::Manifest,
    output::Output,
    page::Page,
    process::Surroundings,
    rebuild::Rebuild,
    registry::Registry,
    replica::Workplace,
};
use super::{Logging, check::Manifests};
use crate::app::{self, Application, StopRequests, StopStage};

/// Commands that wait for the game to do another.
const COMMANDS: usize = 16;

/// What runs, and where clients connect.
#[derive(Debug, Clone, Args)]
pub(crate) struct DevArguments {
    /// ServerType manifests, as files or folders. They are followed: what is changed there is applied. Without this it is
    /// the built-in game that runs.
    #[arg(short = 'f', long = "file", value_name = "FILE|FOLDER", num_args = 1..)]
    files: Vec<PathBuf>,
    /// Where clients of the built-in game connect over TCP; 127.0.0.1:3250 if not said.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "files")]
    tcp: Option<SocketAddr>,
    /// Where clients of the built-in game connect over WebSocket; 127.0.0.1:3251 if not said.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "files")]
    ws: Option<SocketAddr>,
    /// Where the page for browsers is; 127.0.0.1:8080 if not said, or the next port when that is in use. Whoever reaches
    /// it can scale and kill servers.
    #[arg(long, value_name = "ADDRESS")]
    http: Option<SocketAddr>,
    /// Serve no page.
    #[arg(long, conflicts_with = "http")]
    no_http: bool,
    /// Build with cargo when sources change, and replace the servers; for games that are started with `cargo run`.
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    chosen: Chosen,
}

/// Run a game until it is asked to stop.
pub(crate) fn run(arguments: &DevArguments, logging: &Logging, application: &Application) -> anyhow::Result<ExitCode> {
    // What happens is said in lines of its own; the log of this command is for what goes wrong.
    let quiet = std::env::var_os("RUST_LOG").is_none().then_some("warn");
    app::install_telemetry(logging.log.as_deref().or(quiet), app::LogFormat::Human)?;
    let executable = std::env::current_exe().context("the own executable cannot be found")?;
    let rebuild = arguments.watch.then(|| Rebuild::watch(&executable)).transpose()?;
    let place = Place::take(arguments.chosen.name.as_deref())?;
    let (manifests, edits) = arguments.manifests(&executable)?;
    let client_address = arguments.client_address()?;
    arguments.check_ports(&manifests, client_address)?;
    let page = arguments.page(&manifests)?;
    let mut workplace = Workplace::new(place.files()?, logging.log.clone());
    workplace.client_address = client_address;
    let width = manifests.iter().map(|manifest| manifest.name.len() + 2).max();
    let output = Output::start(width.unwrap_or(0))?;
    let registry = Arc::new(Registry::new(&workplace.topology())?);
    let announcement = Announcement {
        executable: executable.clone(),
        greets: arguments.files.is_empty() && application.answers("room", "hello"),
        name: (!place.is_default()).then(|| place.name().to_owned()),
        page: page.as_ref().map(Page::shown),
        output: output.clone(),
    };

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stop = StopRequests::default();
    runtime.block_on(async {
        let signals = stop.follow_signals().context("signals cannot be received")?;
        let around = Surroundings { executable, output: output.clone(), registry, changed: Arc::new(Notify::new()) };
        let game = Game::new(workplace, around, stop.subscribe());
        let (commands, queue) = mpsc::channel(COMMANDS);
        let status = game.status();
        let desk = Desk { commands: commands.clone(), status: status.clone(), output: output.clone() };
        let visitors = control::serve(&place, desk.clone())?;
        let page = async {
            match page {
                Some(page) => page.serve(desk).await,
                None => std::future::pending().await,
            }
        };
        let edits = async {
            match edits {
                Some(edits) => edits.follow(commands.clone(), output.clone()).await,
                None => std::future::pending().await,
            }
        };
        let rebuilds = async {
            match rebuild {
                Some(rebuild) => rebuild.follow(commands.clone(), output.clone()).await,
                None => std::future::pending().await,
            }
        };
        // The queue has room for the first.
        commands.send(Command::Apply { manifests, answer: oneshot::channel().0 }).await?;
        let announce = announcement.say(status.clone(), stop.subscribe());
        tokio::select! {
            () = signals => {}
            () = stop_unheard(&output, &stop) => {}
            () = visitors => {}
            failed = page => failed.context("the page cannot be served")?,
            () = edits => {}
            () = rebuilds => {}
            () = terminal::show(status, output.clone()) => {}
            _ = async { tokio::join!(announce, game.run(queue)) } => {}
        }
        anyhow::Ok(())
    })?;
    // Its tasks hold on to the output.
    drop(runtime);
    output.finish();
    Ok(ExitCode::SUCCESS)
}

impl DevArguments {
    /// What is to run, and who follows what of it is edited.
    fn manifests(&self, executable: &Path) -> anyhow::Result<(Vec<Manifest>, Option<Edits>)> {
        if self.files.iter().any(|file| file == Path::new("-")) {
            bail!("`-f -` cannot be followed: give files or folders");
        }
        let read = |manifests: &Manifests| match manifest::load(manifests, &BTreeMap::new(), executable)? {
            Ok(manifests) => Ok(manifests),
            Err(report) => bail!("the manifests are wrong:\n{}", report.trim_end()),
        };
        if self.files.is_empty() {
            let text = manifest::BUILT_IN.to_owned();
            let mut manifests = read(&Manifests::Text { name: "the built-in game", text })?;
            for manifest in &mut manifests {
                self.move_ports(manifest)?;
            }
            return Ok((manifests, None));
        }
        let mut edits = Edits::watch(&self.files, executable)?;
        let manifests = read(&Manifests::Paths(self.files.clone()))?;
        edits.begin_with(&manifests);
        Ok((manifests, Some(edits)))
    }

    /// Listen for browsers, unless nobody wants that.
    fn page(&self, manifests: &[Manifest]) -> anyhow::Result<Option<Page>> {
        if self.no_http {
            return Ok(None);
        }
        let promised = manifests.iter().flat_map(Manifest::ports).collect();
        self.http.map_or_else(|| Page::anywhere(&promised), |address| Page::at(address, &promised)).map(Some)
    }

    /// `--tcp` and `--ws`.
    fn move_ports(&self, manifest: &mut Manifest) -> anyhow::Result<()> {
        let mut promised: BTreeSet<u16> = [self.tcp, self.ws].into_iter().flatten().map(|given| given.port()).collect();
        for acceptor in manifest.server_type.spec.frontend.iter_mut().flat_map(|frontend| &mut frontend.acceptors) {
            let address = if acceptor.name == "tcp" { self.tcp } else { self.ws };
            let Some(address) = address else { continue };
            acceptor.port = match address.port() {
                0 => {
                    let [free] = ports::free(address.ip(), &promised)?;
                    promised.insert(free.port());
                    free.port()
                }
                port => port,
            };
        }
        Ok(())
    }

    fn client_address(&self) -> anyhow::Result<IpAddr> {
        match (self.tcp, self.ws) {
            (Some(tcp), Some(ws)) if tcp.ip() != ws.ip() => bail!("--tcp and --ws differ in more than the port"),
            (Some(address), _) | (None, Some(address)) => Ok(address.ip()),
            (None, None) => Ok(Ipv4Addr::LOCALHOST.into()),
        }
    }

    /// Fail early with one clear line when somebody else has a port that the manifests name.
    fn check_ports(&self, manifests: &[Manifest], address: IpAddr) -> anyhow::Result<()> {
        let remedy = |manifest: &Manifest, acceptor: &str| {
            if self.files.is_empty() {
                format!("choose another address with --{acceptor}")
            } else {
                manifest.other_port(acceptor)
            }
        };
        manifests.iter().try_for_each(|manifest| manifest.check_ports(address, &BTreeSet::new(), remedy))
    }
}

/// What a task came to: none when the runtime is shut down. If it panicked, so does this, and all servers end.
fn outcome<T>(ended: Result<T, JoinError>) -> Option<T> {
    ended.map_err(|error| error.try_into_panic().map(|panic| resume_unwind(panic))).ok()
}

/// Stop when nobody reads what is said; then wait for the game's end for ever.
async fn stop_unheard(output: &Output, stop: &StopRequests) {
    output.closed().await;
    stop.at_least(StopStage::Drain);
    std::future::pending::<()>().await;
}
