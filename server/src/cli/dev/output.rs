//! Lines of several processes on one terminal, each with the name of its process.

use std::{
    env,
    io::{self, IsTerminal as _, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader},
    sync::mpsc,
};

use super::{
    logs::Logs,
    terminal::{self, Screen},
};

/// Lines that wait for a slow terminal; then the servers wait.
const QUEUE: usize = 1024;
/// Bytes of lines that are written at once, about.
const BATCH: usize = 64 * 1024;
/// A longer line is broken.
const LONGEST_LINE: u64 = 64 * 1024;
/// Colours of names, in turn: cyan, yellow, magenta, green, blue.
const COLOURS: [u8; 5] = [36, 33, 35, 32, 34];
/// The name before the lines of this command itself.
const OWN: &str = "dev";

/// What is to be written.
#[derive(Debug)]
enum Piece {
    Line(Vec<u8>),
    Panel(Vec<String>),
}

/// Writes lines, whole and in order. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Output {
    pieces: mpsc::Sender<Piece>,
    writer: Arc<parking_lot::Mutex<Option<JoinHandle<()>>>>,
    width: Arc<AtomicUsize>,
    logs: Arc<Logs>,
    coloured: bool,
    terminal: bool,
}

impl Output {
    /// Write to standard output, from a thread of its own: a terminal that stands still must not hold up supervision.
    /// Names are as long as `width`.
    pub(super) fn start(width: usize) -> io::Result<Self> {
        let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = env::var_os("TERM").is_some_and(|term| term == "dumb") || is_set("CI");
        let terminal = io::stdout().is_terminal() && !is_dumb;
        if terminal {
            clear_before_panics();
        }
        Ok(Self { terminal, ..Self::to(io::stdout(), width, terminal && !is_set("NO_COLOR"))? })
    }

    pub(super) fn to(target: impl Write + Send + 'static, width: usize, coloured: bool) -> io::Result<Self> {
        let (pieces, mut queue) = mpsc::channel(QUEUE);
        let write = move || {
            let mut screen = Screen::new(target);
            while let Some(piece) = queue.blocking_recv() {
                if write(&mut screen, piece, &mut queue).is_err() {
                    return;
                }
            }
            // Nobody reads any more if it fails.
            let _ = screen.show(Vec::new());
        };
        let writer = std::thread::Builder::new().name("cereus-output".to_owned()).spawn(write)?;
        Ok(Self {
            pieces,
            writer: Arc::new(parking_lot::Mutex::new(Some(writer))),
            width: Arc::new(AtomicUsize::new(width.max(OWN.len()))),
            logs: Arc::default(),
            coloured,
            terminal: false,
        })
    }

    /// Whether names are coloured, and the lines of servers may be.
    pub(super) fn is_coloured(&self) -> bool {
        self.coloured
    }

    /// Whether it is a window that can show a panel below the lines.
    pub(super) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// The last lines of the servers.
    pub(super) fn logs(&self) -> &Logs {
        &self.logs
    }

    /// There are names as long as this.
    pub(super) fn widen(&self, width: usize) {
        self.width.fetch_max(width, Ordering::Relaxed);
    }

    /// Resolves when nobody reads any more.
    pub(super) async fn closed(&self) {
        self.pieces.closed().await;
    }

    /// A line of this command itself.
    pub(super) async fn own(&self, line: &str) {
        self.send(self.prefix(OWN, 1), line.as_bytes()).await;
    }

    /// All lines that one end of a process writes, until it closes it.
    pub(super) async fn copy(self, name: String, index: usize, source: impl AsyncRead + Unpin) {
        let colour = COLOURS.get(index % COLOURS.len()).copied().unwrap_or(1);
        let prefix = self.prefix(&name, colour);
        let name: Arc<str> = name.into();
        let mut source = BufReader::new(source);
        let mut line = Vec::new();
        loop {
            line.clear();
            match (&mut source).take(LONGEST_LINE).read_until(b'\n', &mut line).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {
                    let line = line.strip_suffix(b"\n").unwrap_or(&line);
                    self.logs.push(&name, line);
                    self.send(prefix.clone(), line).await;
                }
            }
        }
    }

    fn prefix(&self, name: &str, colour: u8) -> Vec<u8> {
        let width = self.width.load(Ordering::Relaxed);
        let text =
            if self.coloured { format!("\x1b[{colour}m{name:width$} |\x1b[0m ") } else { format!("{name:width$} | ") };
        text.into_bytes()
    }

    async fn send(&self, mut prefix: Vec<u8>, line: &[u8]) {
        prefix.extend_from_slice(line);
        prefix.push(b'\n');
        // It fails when nobody reads any more: then lines are still taken from the servers, so that none waits.
        let _ = self.pieces.send(Piece::Line(prefix)).await;
    }

    /// Show these rows below all lines instead of those before. For terminals.
    pub(super) async fn panel(&self, rows: Vec<String>) {
        let _ = self.pieces.send(Piece::Panel(rows)).await;
    }

    /// Write what is queued. Blocks, and wants to be the last clone.
    pub(super) fn finish(self) {
        let Self { pieces, writer, .. } = self;
        drop(pieces);
        let writer = writer.lock().take();
        if let Some(writer) = writer {
            // A writer that panicked has nothing more to write.
            let _ = writer.join();
        }
    }
}

/// Write a piece, and as one all lines that are queued behind it.
fn write(screen: &mut Screen<impl Write>, piece: Piece, queue: &mut mpsc::Receiver<Piece>) -> io::Result<()> {
    let mut next = Some(piece);
    let mut lines = Vec::new();
    while let Some(piece) = next {
        match piece {
            Piece::Line(line) => lines.extend_from_slice(&line),
            Piece::Panel(rows) => {
                screen.lines(&std::mem::take(&mut lines))?;
                screen.show(rows)?;
            }
        }
        next = if lines.len() < BATCH { queue.try_recv().ok() } else { None };
    }
    if lines.is_empty() { Ok(()) } else { screen.lines(&lines) }
}

/// The text of a panic stands alone, and below it there is nothing.
fn clear_before_panics() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let _ = io::stdout().write_all(terminal::CLEAR.as_bytes()).and_then(|()| io::stdout().flush());
        print(panic);
    }));
}
