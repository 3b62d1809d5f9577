//! `cereus dev` on a terminal: a panel below the lines, which leaves nothing behind.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    time::{Duration, Instant},
};

use rustix::{
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Termios, Winsize, tcgetattr, tcsetwinsize},
};
use tempfile::TempDir;

use super::{BINARY, Dev, PATIENCE};

/// How long something may take to be seen.
const SEEN: Duration = Duration::from_secs(30);

/// A window with a command in it.
struct Window {
    keys: File,
    terminal: File,
    written: Receiver<Vec<u8>>,
    child: Child,
    screen: Screen,
    folder: TempDir,
}

/// What is in the window and has scrolled out of it. It never wraps: what is written is to be narrower, or is lines.
#[derive(Default)]
struct Screen {
    rows: Vec<Vec<char>>,
    row: usize,
    column: usize,
    hides_cursor: bool,
    /// It is in the middle of a drawing, of which Ctrl-C would throw away the rest.
    is_drawn: bool,
    /// The beginning of a sequence whose end is not there yet.
    rest: Vec<u8>,
}

impl Window {
    /// With `cereus dev`.
    fn open(columns: u16, environment: &[(&str, &str)]) -> Self {
        Self::of(columns, environment, &["dev", "--tcp", "127.0.0.1:0", "--ws", "127.0.0.1:0"])
    }

    fn of(columns: u16, environment: &[(&str, &str)], arguments: &[&str]) -> Self {
        let keys = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there are terminals");
        grantpt(&keys).expect("it is ours");
        unlockpt(&keys).expect("it is ours");
        let path = ptsname(&keys, Vec::new()).expect("it has a name");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal = File::from(rustix::fs::open(path, flags, Mode::empty()).expect("it can be opened"));
        let keys = File::from(keys);
        let folder = TempDir::new().expect("a folder can be made");
        let own = || Stdio::from(terminal.try_clone().expect("it is open"));
        // It makes the terminal the one that is asked for Ctrl-C, and becomes the command.
        let mut command = Command::new("setsid");
        command.args(["--ctty", BINARY]).args(arguments);
        command.env("XDG_RUNTIME_DIR", folder.path()).env("TERM", "xterm").env_remove("CI").env_remove("NO_COLOR");
        command.envs(environment.iter().copied()).stdin(own()).stdout(own()).stderr(own());
        let size = Winsize { ws_col: columns, ws_row: 24, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&keys, size).expect("it is a terminal");
        let child = command.spawn().expect("setsid is part of every Linux");
        let (sender, written) = mpsc::sync_channel(16);
        let mut master = keys.try_clone().expect("it is open");
        std::thread::spawn(move || {
            let mut buffer = vec![0; 4096];
            while let Ok(count) = master.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { keys, terminal, written, child, screen: Screen::default(), folder }
    }

    fn modes(&self) -> Termios {
        tcgetattr(&self.terminal).expect("it is a terminal")
    }

    fn resize(&self, columns: u16, rows: u16) {
        let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.keys, size).expect("it is a terminal");
    }

    /// Wait until the window shows this.
    fn until(&mut self, what: &str, is_so: impl Fn(&Screen) -> bool) {
        let start = Instant::now();
        while self.screen.is_drawn || !is_so(&self.screen) {
            let left = SEEN.saturating_sub(start.elapsed());
            match self.written.recv_timeout(left) {
                Ok(bytes) => self.screen.write(&bytes),
                Err(error) => panic!("{what} was not seen ({error}) in:\n{}", self.screen.text()),
            }
        }
    }

    /// Press Ctrl-C and wait for the end; what is left in the window.
    fn interrupt(mut self) -> Screen {
        self.keys.write_all(&[3]).expect("it is a terminal");
        let start = Instant::now();
        while self.child.try_wait().expect("it is our child").is_none() {
            assert!(start.elapsed() < PATIENCE, "it does not end:\n{}", self.screen.text());
            if let Ok(bytes) = self.written.recv_timeout(Duration::from_millis(10)) {
                self.screen.write(&bytes);
            }
        }
        // What the command wrote is all there: another one writes behind it.
        self.terminal.write_all(b"the end").expect("it is a terminal");
        self.until("the end", |screen| screen.text().ends_with("the end"));
        std::mem::take(&mut self.screen)
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // It has ended, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Screen {
    fn text(&self) -> String {
        let rows = self.rows.iter().map(|row| row.iter().collect::<String>().trim_end().to_owned());
        rows.collect::<Vec<_>>().join("\n")
    }

    fn line(&self, start: &str) -> Option<String> {
        self.text().lines().find(|line| line.starts_with(start)).map(str::to_owned)
    }

    fn write(&mut self, bytes: &[u8]) {
        let bytes = [std::mem::take(&mut self.rest), bytes.to_vec()].concat();
        let end = bytes.iter().rposition(|byte| *byte == b'\x1b').filter(|start| {
            let sequence = &bytes[*start..];
            !sequence.iter().any(u8::is_ascii_alphabetic)
        });
        let (whole, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
        self.rest = rest.to_vec();
        let mut letters = String::from_utf8_lossy(whole).into_owned().chars().collect::<Vec<_>>().into_iter();
        while let Some(letter) = letters.next() {
            match letter {
                '\r' => self.column = 0,
                '\n' => self.row += 1,
                '\x1b' => {
                    let sequence: String = {
                        let mut sequence = String::new();
                        for letter in letters.by_ref() {
                            sequence.push(letter);
                            if letter.is_ascii_alphabetic() {
                                break;
                            }
                        }
                        sequence
                    };
                    self.obey(&sequence);
                }
                letter => {
                    self.rows.resize_with(self.rows.len().max(self.row + 1), Vec::new);
                    let row = &mut self.rows[self.row];
                    row.resize(row.len().max(self.column + 1), ' ');
                    row[self.column] = letter;
                    self.column += 1;
                }
            }
        }
    }

    fn obey(&mut self, sequence: &str) {
        match sequence {
            "[J" => {
                self.rows.truncate(self.row + 1);
                if let Some(row) = self.rows.get_mut(self.row) {
                    row.truncate(self.column);
                }
            }
            "[?25l" => self.hides_cursor = true,
            "[?25h" => self.hides_cursor = false,
            "[?2026h" => self.is_drawn = true,
            "[?2026l" => self.is_drawn = false,
            _ if sequence.ends_with('m') => {}
            _ if sequence.ends_with('A') => {
                self.row -= sequence[1..sequence.len() - 1].parse::<usize>().expect("it is a number");
            }
            _ => panic!("an unknown sequence: {sequence:?}"),
        }
    }
}

#[test]
fn a_panel_stays_below_the_lines_and_goes_at_the_end() {
    let mut window = Window::open(80, &[]);
    let modes = window.modes();
    let ready = |screen: &Screen| screen.line("room ").is_some_and(|line| line.contains("2/2 ready"));
    window.until("two rooms", ready);
    window.until("sessions", |screen| screen.line(" room-2").is_some_and(|line| line.contains(" 0 ")));
    assert!(window.screen.line(" connector-1").is_some_and(|line| line.contains("127.0.0.1:")));
    // It says in other columns what it says in lines, too.
    window.until("an invitation", |screen| screen.line("dev         | Ctrl-C stops everything").is_some());
    let text = window.screen.text();
    assert!(
        text.find("ready: clients connect to").is_some_and(|line| text.find("SERVER ").is_some_and(|at| line < at))
    );
    // The servers write in colours there, and a pipe gets none.
    let mut logs = Command::new(BINARY);
    let logs = logs.args(["logs", "room"]).env("XDG_RUNTIME_DIR", window.folder.path()).output().expect("it runs");
    let logs = String::from_utf8_lossy(&logs.stdout);
    assert!(logs.contains("ready server_type=room") && !logs.contains('\x1b'), "{logs:?}");

    window.resize(20, 24);
    window.until("narrow rows", |screen| screen.line("SERVER ").is_some_and(|line| line.chars().count() <= 20));
    window.resize(80, 4);
    window.until("lines alone", |screen| screen.line("SERVER ").is_none());
    window.resize(80, 24);
    window.until("two rooms", ready);

    assert_eq!(format!("{:?}", window.modes()), format!("{modes:?}"));
    let screen = window.interrupt();
    let text = screen.text();
    assert!(!screen.hides_cursor && !text.contains("SERVER "), "{text}");
    assert_eq!(text.matches("ready: clients connect to").count(), 1, "{text}");
    assert!(text.contains("dev         | stopping") && text.ends_with("\nthe end"), "{text}");
}

#[test]
fn a_simple_terminal_has_lines_alone() {
    for environment in [("TERM", "dumb"), ("CI", "true")] {
        let mut window = Window::open(80, &[environment]);
        window.until("an invitation", |screen| screen.line("dev         | Ctrl-C stops everything").is_some());
        let screen = window.interrupt();
        assert!(screen.line("SERVER ").is_none(), "{}", screen.text());
    }
}

#[test]
fn a_request_tells_people_who_answered() {
    let folder = TempDir::new().expect("a folder can be made");
    let mut dev = Dev::with(folder, &["--tcp", "127.0.0.1:0", "--ws", "127.0.0.1:0"]);
    let line = dev.line("ready: clients connect to");
    let address = line.split_whitespace().find(|word| word.starts_with("127.0.0.1:")).expect("it has an address");
    let request = |body| ["request", address, "room.room.hello", body];

    let mut window = Window::of(80, &[], &request("{\"name\":\"Ada\"}"));
    window.until("the answer", |screen| screen.line("}").is_some());
    let text = window.screen.text();
    let (first, answer) = text.split_once('\n').expect("there are lines");
    let answer: serde_json::Value = serde_json::from_str(answer).expect("it is JSON");
    let server = answer["server"].as_str().expect("it is text");
    assert!(server.starts_with("room-") && answer["msg"] == "hello, Ada", "{text}");
    assert_eq!(first, format!("answered by {server}"));

    // A program gets the answer alone.
    let (done, said) = dev.ask(&request("{}"));
    assert!(done && said.starts_with("{\"msg\":\"hello, stranger\"") && said.lines().count() == 1, "{said}");
    let (done, help) = dev.ask(&["request", "--help"]);
    assert!(done && help.contains("answered by SERVER"), "{help}");
    dev.stop();
}
