//! Servers as processes: started, waited for, signalled, and never left behind.
#![allow(clippy::print_stderr, reason = "what a server said is shown when its test fails")]

use std::{
    collections::VecDeque,
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, bail};
use parking_lot::Mutex;
use rustix::process::{Pid, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::{Child, Command},
    sync::watch,
    task::JoinSet,
    time::Instant,
};

/// The signals that tests send.
pub use rustix::process::Signal;

/// The line on the standard output by which a server says that it serves.
pub const READY: &str = "ready";
/// How long a server may take to start: debug builds on a busy machine are slow.
pub const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Lines that are kept of what a process says.
const KEPT_LINES: usize = 2000;

/// The path of a binary of this workspace, built by the same profile as the running test.
///
/// # Errors
///
/// When it has not been built.
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    // target/<profile>/deps/<test>
    let profile = test.ancestors().nth(2).context("the test does not lie in a target folder")?;
    let path = profile.join(name);
    if !path.is_file() {
        bail!("{} is missing: build the workspace's binaries first (cargo build --workspace --bins)", path.display());
    }
    Ok(path)
}

/// Ports that the system gives to nobody by itself: below those that it takes for outgoing connections, of which tests
/// make many.
const PORTS: std::ops::Range<u32> = 10_000..32_000;

/// An address of this machine that nothing listens on.
///
/// It is free when this returns, and stays free unless somebody asks for just that port: no two calls of a process give
/// the same one, and another process begins elsewhere.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    for _ in PORTS {
        let number = std::process::id().wrapping_mul(997).wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(PORTS.start + number % (PORTS.end - PORTS.start))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no port is free")
}

/// Call `check` until it gives something, at most for `timeout`.
///
/// Only for what another process does and says to nobody; within this process wait for the event itself.
pub async fn eventually<T, F>(what: &str, timeout: Duration, mut check: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Option<T>>>,
{
    let deadline = Instant::now() + timeout;
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    loop {
        pause.tick().await;
        let result = check().await;
        if let Ok(Some(found)) = result {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            return match result {
                Err(error) => Err(error.context(format!("no {what} within {timeout:?}"))),
                Ok(_) => bail!("no {what} within {timeout:?}"),
            };
        }
    }
}

/// What to start.
#[derive(Clone, Debug)]
pub struct Program {
    /// How it is called in messages.
    pub name: String,
    /// The executable.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Variables that it gets beside those of the test.
    pub environment: Vec<(OsString, OsString)>,
}

/// A running process. It is killed when this is dropped; if that is because a test failed, what it said is shown.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: Pid,
    child: Child,
    output: Arc<Output>,
    errors: Arc<Output>,
    _tasks: JoinSet<()>,
}

/// Lines that a process wrote.
#[derive(Debug)]
struct Output {
    lines: Mutex<VecDeque<String>>,
    /// Counts all lines; closed at the end of the stream.
    count: watch::Sender<usize>,
}

impl Process {
    /// Start `program` and wait until it says that it is ready.
    pub async fn start_ready(program: &Program) -> anyhow::Result<Process> {
        let process = Process::start(program)?;
        process.line(READY, START_TIMEOUT, |line| line == READY).await?;
        Ok(process)
    }

    /// Start `program`.
    pub fn start(program: &Program) -> anyhow::Result<Process> {
        let Program { name, path, arguments, environment } = program;
        let mut child = Command::new(path)
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", path.display()))?;
        let pid =
            child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).context("the process has no id")?;
        let (output, errors) = (Arc::new(Output::new()), Arc::new(Output::new()));
        let mut tasks = JoinSet::new();
        if let Some(stream) = child.stdout.take() {
            tasks.spawn(collect(stream, output.clone()));
        }
        if let Some(stream) = child.stderr.take() {
            tasks.spawn(collect(stream, errors.clone()));
        }
        Ok(Process { name: name.clone(), pid, child, output, errors, _tasks: tasks })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// How it is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Wait until it has written a line on its standard output that `wanted` accepts.
    pub async fn line(&self, what: &str, timeout: Duration, wanted: impl Fn(&str) -> bool) -> anyhow::Result<String> {
        let mut count = self.output.count.subscribe();
        let deadline = Instant::now() + timeout;
        loop {
            // The mark comes before the look: at the end of the stream all lines have been looked at.
            let open = *count.borrow_and_update() != usize::MAX;
            if let Some(line) = self.output.lines.lock().iter().find(|line| wanted(line)) {
                return Ok(line.clone());
            }
            if !open {
                bail!("{} ended without the line `{what}`:\n{}", self.name, self.said());
            }
            if tokio::time::timeout_at(deadline, count.changed()).await.is_err() {
                bail!("{} did not write `{what}` within {timeout:?}:\n{}", self.name, self.said());
            }
        }
    }

    /// What it wrote on its standard error, and before that on its standard output.
    pub fn said(&self) -> String {
        [self.output.text(), self.errors.text()].concat()
    }

    /// What it wrote on its standard error.
    pub fn errors(&self) -> String {
        self.errors.text()
    }

    /// Send it a signal.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        kill_process(self.pid, signal).with_context(|| format!("cannot signal {}", self.name))
    }

    /// Ask it to end, and wait until it has.
    pub async fn terminate(&mut self, timeout: Duration) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.ended(timeout).await
    }

    /// Kill it, and wait until it is gone.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::KILL)?;
        self.ended(START_TIMEOUT).await.map(drop)
    }

    /// Wait until it has ended.
    pub async fn ended(&mut self, timeout: Duration) -> anyhow::Result<ExitStatus> {
        match tokio::time::timeout(timeout, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("{} did not end within {timeout:?}:\n{}", self.name, self.said()),
        }
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {} ({}) said:\n{}---", self.name, self.pid, self.said());
        }
    }
}

impl Output {
    fn new() -> Output {
        Output { lines: Mutex::default(), count: watch::Sender::new(0) }
    }

    fn text(&self) -> String {
        self.lines.lock().iter().flat_map(|line| [line, "\n"]).collect()
    }
}

async fn collect(stream: impl AsyncRead + Unpin, output: Arc<Output>) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut kept = output.lines.lock();
        if kept.len() == KEPT_LINES {
            kept.pop_front();
        }
        kept.push_back(line);
        drop(kept);
        output.count.send_modify(|count| *count += 1);
    }
    output.count.send_replace(usize::MAX);
}

#[cfg(test)]
mod tests;
