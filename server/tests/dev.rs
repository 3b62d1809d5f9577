//! `cereus dev` as a person meets it: real processes, started, crashed, stopped and abandoned.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail by panicking")]

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// How long stopping may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running `cereus dev`.
struct Dev {
    child: Child,
    output: Option<BufReader<ChildStdout>>,
}

impl Dev {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cereus"));
        // Any free ports: other tests run at the same time.
        command.args(["dev", "--tcp", "127.0.0.1:0", "--ws", "127.0.0.1:0"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
        let output = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        let mut dev = Self { child, output: Some(output) };
        dev.line("ready: clients connect to");
        dev
    }

    /// The next line that contains this.
    fn line(&mut self, text: &str) -> String {
        let mut line = String::new();
        let output = self.output.as_mut().expect("it is read");
        while output.read_line(&mut line).expect("output is text") > 0 {
            if line.contains(text) {
                return line;
            }
            line.clear();
        }
        panic!("it ended without saying {text:?}");
    }

    /// The servers by name.
    fn servers(&self) -> Vec<(String, Pid)> {
        let processes = fs::read_dir("/proc").expect("there is /proc").filter_map(|entry| {
            let folder = entry.ok()?.path();
            let pid = Pid::from_raw(folder.file_name()?.to_str()?.parse().ok()?)?;
            let status = fs::read_to_string(folder.join("status")).ok()?;
            let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse::<u32>().ok()?;
            let arguments = fs::read_to_string(folder.join("cmdline")).ok()?;
            let name = arguments.split('\0').skip_while(|argument| *argument != "--id").nth(1)?.to_owned();
            (parent == self.child.id()).then_some((name, pid))
        });
        let mut servers: Vec<_> = processes.collect();
        servers.sort_by(|one, other| one.0.cmp(&other.0));
        servers
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process has a number");
        kill_process(pid, signal).expect("it runs");
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // It has ended, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn runs(pid: Pid) -> bool {
    Path::new("/proc").join(pid.as_raw_nonzero().to_string()).exists()
}

/// Wait for processes that are not our children, so that nobody tells us of their end.
fn ended(servers: &[(String, Pid)]) {
    let start = Instant::now();
    for (name, pid) in servers {
        while runs(*pid) {
            assert!(start.elapsed() < PATIENCE, "{name} was left behind");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn it_restarts_a_killed_server_and_stops_all_on_ctrl_c() {
    let mut dev = Dev::start();
    let servers = dev.servers();
    let names: Vec<&str> = servers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["connector-1", "room-1", "room-2"]);

    kill_process(servers[2].1, Signal::KILL).expect("it runs");
    let line = dev.line("room-2 ended");
    assert!(line.contains("(signal: 9 (SIGKILL)); it starts again in 0.2 s"), "{line}");
    dev.line("room-2      | ");
    let servers = dev.servers();
    assert_eq!(servers.len(), 3);

    let asked = Instant::now();
    dev.signal(Signal::INT);
    let status = dev.child.wait().expect("it is our child");
    assert!(status.success(), "{status}");
    assert!(asked.elapsed() < PATIENCE, "{:?}", asked.elapsed());
    assert!(servers.iter().all(|(_, pid)| !runs(*pid)), "{servers:?}");
}

#[test]
fn servers_end_when_it_is_killed() {
    let mut dev = Dev::start();
    let servers = dev.servers();
    assert_eq!(servers.len(), 3);
    dev.child.kill().expect("it runs");
    ended(&servers);
}

#[test]
fn it_stops_when_nobody_reads_its_output() {
    let mut dev = Dev::start();
    let servers = dev.servers();
    dev.output = None;
    // Something has to be said before it can be noticed.
    kill_process(servers[0].1, Signal::KILL).expect("it runs");
    let status = dev.child.wait().expect("it is our child");
    assert!(status.success(), "{status}");
    ended(&servers);
}
