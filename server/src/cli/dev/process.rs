//! One server as a child process: started, probed, restarted, stopped.

use std::{
    convert::Infallible,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, ChildStdin, Command},
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{Output, Registry, Replica, backoff::Backoff, probe, registry::Conditions};
use crate::app::StopStage;

/// How long a server may take to stop by itself,
const PATIENCE: Duration = Duration::from_secs(6);
/// and then to close what is left, before it is killed. Together they stay below ten seconds.
const LAST_PATIENCE: Duration = Duration::from_secs(2);
/// How long the last lines of a process are waited for: something that it started may hold its output open.
const LAST_LINES: Duration = Duration::from_millis(500);

/// What a supervised server is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Not ready, or not there at all.
    Down,
    /// Its readiness probe succeeds.
    Ready,
}

/// One server that is kept running.
#[derive(Debug)]
pub(super) struct Process {
    replica: Replica,
    executable: PathBuf,
    output: Output,
    registry: Arc<Registry>,
    state: watch::Sender<State>,
}

/// A running child.
struct Running {
    child: Child,
    started: Instant,
    /// Its end tells the child that this process is gone.
    _stdin: Option<ChildStdin>,
    lines: JoinSet<()>,
}

impl Process {
    pub(super) fn new(replica: Replica, executable: PathBuf, output: Output, registry: Arc<Registry>) -> Self {
        Self { replica, executable, output, registry, state: watch::Sender::new(State::Down) }
    }

    /// Follow what it is doing.
    pub(super) fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Keep the server running until `stages` says to stop, then stop it. When this returns, the process is gone.
    pub(super) async fn supervise(self, mut stages: watch::Receiver<StopStage>) {
        let mut backoff = Backoff::default();
        self.show(State::Down, false);
        loop {
            let (alive, reason) = match self.start() {
                Ok(mut running) => {
                    let ended = tokio::select! {
                        biased;
                        _ = stages.wait_for(|stage| *stage > StopStage::Serve) => None,
                        status = running.child.wait() => Some(status),
                        never = self.probe() => match never {},
                    };
                    let Some(status) = ended else {
                        self.stop(running, stages).await;
                        break;
                    };
                    running.last_lines().await;
                    (running.started.elapsed(), ending(status))
                }
                Err(error) => (Duration::ZERO, format!("could not be started: {error}")),
            };
            self.show(State::Down, false);
            let wait = backoff.after(alive);
            let name = &self.replica.name;
            self.output.own(&format!("{name} {reason}; it starts again in {:.1} s", wait.as_secs_f64())).await;
            tokio::select! {
                biased;
                _ = stages.wait_for(|stage| *stage > StopStage::Serve) => break,
                () = sleep(wait) => {}
            }
        }
        if let Err(error) = self.registry.remove(&self.replica) {
            tracing::warn!(server = self.replica.name, error = format!("{error:#}"), "the endpoint stays");
        }
    }

    fn start(&self) -> std::io::Result<Running> {
        let mut command = Command::new(&self.executable);
        command
            .args(&self.replica.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C goes to the whole group of a terminal: the children are told by us, in our order.
            .process_group(0)
            .kill_on_drop(true);
        if self.output.is_coloured() {
            command.env("CLICOLOR_FORCE", "1");
        }
        let mut child = command.spawn()?;
        let mut lines = JoinSet::new();
        let name = || self.replica.name.clone();
        if let Some(stdout) = child.stdout.take() {
            lines.spawn(self.output.clone().copy(name(), self.replica.index, stdout));
        }
        if let Some(stderr) = child.stderr.take() {
            lines.spawn(self.output.clone().copy(name(), self.replica.index, stderr));
        }
        // Taken, because waiting for a child closes the one that it holds.
        let stdin = child.stdin.take();
        Ok(Running { child, started: Instant::now(), _stdin: stdin, lines })
    }

    /// Probe until dropped.
    async fn probe(&self) -> Infallible {
        let admin = self.replica.admin;
        probe::follow(
            || probe::is_ready(admin),
            |ready| self.show(if ready { State::Ready } else { State::Down }, false),
        )
        .await
    }

    /// SIGTERM, which lets sessions end; SIGTERM again, which closes them; SIGKILL. A second request to stop goes ahead
    /// to the next.
    async fn stop(&self, mut running: Running, mut stages: watch::Receiver<StopStage>) {
        let state = *self.state.borrow();
        self.show(state, true);
        running.signal(Signal::TERM);
        let patience = async {
            tokio::select! {
                _ = stages.wait_for(|stage| *stage == StopStage::Close) => {}
                () = sleep(PATIENCE) => {}
            }
        };
        let mut ended = tokio::select! {
            biased;
            _ = running.child.wait() => true,
            () = patience => false,
        };
        if !ended {
            running.signal(Signal::TERM);
            ended = timeout(LAST_PATIENCE, running.child.wait()).await.is_ok();
        }
        if !ended {
            self.output.own(&format!("{} does not stop, it is killed", self.replica.name)).await;
            // It fails only when the process is gone.
            let _ = running.child.kill().await;
        }
        running.last_lines().await;
        self.state.send_replace(State::Down);
    }

    /// Tell the other servers and whoever follows the state.
    fn show(&self, state: State, terminating: bool) {
        let conditions = Conditions { probed: state == State::Ready, terminating };
        if let Err(error) = self.registry.show(&self.replica, conditions) {
            tracing::warn!(server = self.replica.name, error = format!("{error:#}"), "the endpoint is not shown");
        }
        self.state.send_if_modified(|current| std::mem::replace(current, state) != state);
    }
}

impl Running {
    /// Send a signal, while the child has not been waited for: its number is not used again before that.
    fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(Err(error)) = pid.map(|pid| kill_process(pid, signal)) {
            tracing::warn!(%error, "a server could not be signalled");
        }
    }

    async fn last_lines(&mut self) {
        let _ = timeout(LAST_LINES, async { while self.lines.join_next().await.is_some() {} }).await;
    }
}

/// Why a process ended.
fn ending(status: std::io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => format!("ended ({status})"),
        Err(error) => format!("was lost ({error})"),
    }
}
