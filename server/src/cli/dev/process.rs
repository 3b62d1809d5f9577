//! One server as a child process: started, probed, restarted, stopped.

use std::{
    convert::Infallible,
    fs,
    path::PathBuf,
    pin::Pin,
    process::{ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use cereus_crds::{
    Protocol,
    contract::{self, variables},
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, ChildStdin, Command},
    sync::{Notify, watch},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{
    backoff::Backoff,
    output::Output,
    ports, probe,
    registry::{Conditions, Registry},
    replica::Replica,
};
use crate::app::StopStage;

/// How long a server may take to stop by itself when all of them do,
const PATIENCE: Duration = Duration::from_secs(6);
/// and then to close what is left, before it is killed. Together they stay below ten seconds.
const LAST_PATIENCE: Duration = Duration::from_secs(2);
/// How long the last lines of a process are waited for: something that it started may hold its output open.
const LAST_LINES: Duration = Duration::from_millis(500);

/// What a supervised server is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It runs and has not been ready yet.
    Starting,
    /// Its readiness probe succeeds.
    Ready,
    /// It runs, and its readiness probe does not succeed any more.
    Unready,
    /// It ended and waits for its next start.
    Waiting,
}

/// What is known of a supervised server.
#[derive(Debug, Clone)]
pub(super) struct Life {
    pub(super) state: State,
    /// Its process, while there is one.
    pub(super) pid: Option<u32>,
    /// When the process was started or ended.
    pub(super) since: SystemTime,
    /// How often it was started again.
    pub(super) restarts: u32,
    /// Why it ended the last time.
    pub(super) reason: Option<String>,
}

/// What a process needs of the game around it; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Surroundings {
    pub(super) executable: PathBuf,
    pub(super) output: Output,
    pub(super) registry: Arc<Registry>,
    /// Is told of every change.
    pub(super) changed: Arc<Notify>,
}

/// Who may ask a server to stop.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// It alone.
    pub(super) alone: watch::Receiver<bool>,
    /// The whole game.
    pub(super) all: watch::Receiver<StopStage>,
}

impl Asked {
    /// Resolves when it is to stop. Whoever asks stays for as long as the game.
    async fn stop(&mut self) {
        tokio::select! {
            biased;
            _ = self.all.wait_for(|stage| *stage > StopStage::Serve) => {}
            _ = self.alone.wait_for(|leave| *leave) => {}
        }
    }
}

/// One server that is kept running.
#[derive(Debug)]
pub(super) struct Process {
    replica: Replica,
    around: Surroundings,
    life: watch::Sender<Life>,
    terminating: AtomicBool,
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
    pub(super) fn new(replica: Replica, around: Surroundings) -> Self {
        let life = Life { state: State::Starting, pid: None, since: SystemTime::now(), restarts: 0, reason: None };
        Self { replica, around, life: watch::Sender::new(life), terminating: AtomicBool::new(false) }
    }

    /// Follow what it is doing.
    pub(super) fn life(&self) -> watch::Receiver<Life> {
        self.life.subscribe()
    }

    /// Keep the server running until it is asked to stop, then stop it; or until somebody else listens where it is to.
    /// When this returns, the process is gone.
    pub(super) async fn supervise(self, mut asked: Asked) {
        let mut backoff = Backoff::default();
        loop {
            self.show(State::Starting);
            let (alive, reason) = match self.start() {
                Ok(mut running) => {
                    let mut probe = Box::pin(self.probe());
                    let lost = self.lost(running.child.id());
                    let ended = tokio::select! {
                        biased;
                        () = asked.stop() => None,
                        status = running.child.wait() => Some(ending(status)),
                        reason = lost => Some(format!("{reason} and was killed")),
                        never = &mut probe => match never {},
                    };
                    let Some(reason) = ended else {
                        self.stop(running, probe.as_mut(), asked.all).await;
                        break;
                    };
                    self.gone(&mut running).await;
                    (running.started.elapsed(), reason)
                }
                Err(error) => (Duration::ZERO, format!("could not be started: {error}")),
            };
            self.update(|life| {
                life.since = SystemTime::now();
                life.restarts += 1;
                life.reason = Some(reason.clone());
            });
            self.show(State::Waiting);
            let name = &self.replica.name;
            if let Some(address) = ports::taken([self.replica.link, self.replica.admin]) {
                let line = format!("{name} {reason}; {address} is another program's now: it is made anew elsewhere");
                self.around.output.own(&line).await;
                break;
            }
            let wait = backoff.after(alive);
            self.around.output.own(&format!("{name} {reason}; it starts again in {:.1} s", wait.as_secs_f64())).await;
            tokio::select! {
                biased;
                () = asked.stop() => break,
                () = sleep(wait) => {}
            }
        }
        if let Err(error) = self.around.registry.remove(&self.replica) {
            tracing::warn!(server = self.replica.name, error = format!("{error:#}"), "the endpoint stays");
        }
    }

    fn start(&self) -> std::io::Result<Running> {
        let output = &self.around.output;
        let mut command = Command::new(&self.around.executable);
        // What the contract sets, it alone sets.
        for name in variables::SET {
            command.env_remove(name);
        }
        command
            .args(&self.replica.arguments)
            .envs(self.replica.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C goes to the whole group of a terminal: the children are told by us, in our order.
            .process_group(0)
            .kill_on_drop(true);
        if output.is_coloured() {
            command.env("CLICOLOR_FORCE", "1");
        }
        let mut child = command.spawn()?;
        let mut lines = JoinSet::new();
        let replica = &self.replica;
        if let Some(stdout) = child.stdout.take() {
            lines.spawn(output.clone().copy(replica.name.clone(), replica.index, stdout));
        }
        if let Some(stderr) = child.stderr.take() {
            lines.spawn(output.clone().copy(replica.name.clone(), replica.index, stderr));
        }
        self.update(|life| {
            life.pid = child.id();
            life.since = SystemTime::now();
        });
        // Taken, because waiting for a child closes the one that it holds.
        let stdin = child.stdin.take();
        Ok(Running { child, started: Instant::now(), _stdin: stdin, lines })
    }

    /// Probe until dropped.
    async fn probe(&self) -> Infallible {
        let admin = self.replica.admin;
        probe::follow(
            || probe::is_ready(admin),
            |ready| {
                let before = self.life.borrow().state;
                self.show(match before {
                    _ if ready => State::Ready,
                    State::Starting => State::Starting,
                    _ => State::Unready,
                });
            },
        )
        .await
    }

    /// Resolves when the process is not worth keeping, with the reason. One that a debugger holds is.
    async fn lost(&self, pid: Option<u32>) -> String {
        let probe = async |patience| probe::is_live(self.replica.admin, patience).await || pid.is_some_and(is_traced);
        let was_ready = || self.life.borrow().state != State::Starting;
        probe::lost(probe, was_ready, contract::probes(Protocol::Cereus)).await
    }

    /// SIGTERM, which lets sessions end; SIGTERM again, which closes them; SIGKILL. It has the time that its manifest
    /// gives, and less when the whole game stops. A second request to stop goes ahead to the next. Meanwhile it is probed.
    async fn stop(
        &self,
        mut running: Running,
        mut probe: Pin<&mut (impl Future<Output = Infallible> + Send)>,
        mut all: watch::Receiver<StopStage>,
    ) {
        self.terminating.store(true, Ordering::Relaxed);
        // Not in one expression: that would look at the state and change it at the same time.
        let state = self.life.borrow().state;
        self.show(state);
        running.signal(Signal::TERM);
        let patience = async {
            let together = async {
                let _ = all.wait_for(|stage| *stage > StopStage::Serve).await;
                tokio::select! {
                    _ = all.wait_for(|stage| *stage == StopStage::Close) => {}
                    () = sleep(PATIENCE) => {}
                }
            };
            tokio::select! {
                () = together => {}
                () = sleep(self.replica.grace) => {}
            }
        };
        let mut ended = tokio::select! {
            biased;
            _ = running.child.wait() => true,
            () = patience => false,
            never = &mut probe => match never {},
        };
        if !ended {
            running.signal(Signal::TERM);
            ended = timeout(LAST_PATIENCE, running.child.wait()).await.is_ok();
        }
        if !ended {
            self.around.output.own(&format!("{} does not stop, it is killed", self.replica.name)).await;
        }
        self.gone(&mut running).await;
    }

    /// Make sure that the child is gone: its number may be that of another process from now on.
    async fn gone(&self, running: &mut Running) {
        self.update(|life| life.pid = None);
        running.kill().await;
    }

    /// Tell the other servers and whoever follows the state.
    fn show(&self, state: State) {
        let terminating = self.terminating.load(Ordering::Relaxed);
        let conditions = Conditions { probed: state == State::Ready, terminating };
        if let Err(error) = self.around.registry.show(&self.replica, conditions) {
            tracing::warn!(server = self.replica.name, error = format!("{error:#}"), "the endpoint is not shown");
        }
        self.update(|life| life.state = state);
    }

    fn update(&self, change: impl FnOnce(&mut Life)) {
        self.life.send_modify(change);
        self.around.changed.notify_one();
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

    /// What still runs of it ends, and its last lines are taken.
    async fn kill(&mut self) {
        // It fails only when the process is gone.
        let _ = self.child.kill().await;
        let _ = timeout(LAST_LINES, async { while self.lines.join_next().await.is_some() {} }).await;
    }
}

/// Whether a debugger has stopped the process, or may do so.
fn is_traced(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
    tracer.is_some_and(|tracer| tracer.trim() != "0")
}

/// Why a process ended.
fn ending(status: std::io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => format!("ended ({status})"),
        Err(error) => format!("was lost ({error})"),
    }
}
