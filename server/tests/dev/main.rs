//! `cereus dev` as a person meets it: real processes, started, crashed, stopped and abandoned.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod commands;
mod lines;
mod terminal;
mod trouble;
mod watch;

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use self::lines::Lines;

const BINARY: &str = env!("CARGO_BIN_EXE_cereus");
/// How long stopping may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running `cereus dev`.
struct Dev {
    child: Child,
    output: Option<Lines>,
    /// Where its socket is, for itself alone.
    folder: TempDir,
}

impl Dev {
    /// The built-in game.
    fn start() -> Self {
        // Any free ports: other tests run at the same time.
        let mut dev =
            Self::with(TempDir::new().expect("a folder can be made"), &["--tcp", "127.0.0.1:0", "--ws", "127.0.0.1:0"]);
        dev.line("ready: clients connect to");
        dev
    }

    fn with(folder: TempDir, arguments: &[&str]) -> Self {
        Self::of(Command::new(BINARY).arg("dev").args(arguments), folder)
    }

    fn of(command: &mut Command, folder: TempDir) -> Self {
        command.env("XDG_RUNTIME_DIR", folder.path());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
        let output = Lines::of(child.stdout.take().expect("its output is a pipe"));
        Self { child, output: Some(output), folder }
    }

    /// Another command, about this game: whether it succeeded, and all that it said.
    fn ask(&self, arguments: &[&str]) -> (bool, String) {
        let output = Command::new(BINARY).args(arguments).env("XDG_RUNTIME_DIR", self.folder.path()).output();
        let output = output.expect("it can be run");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).expect("output is text"))
    }

    /// The names of the servers of a type that are ready, as `cereus get` tells them.
    fn ready(&self, server_type: &str) -> Vec<String> {
        let (done, said) = self.ask(&["get", "servers", "-o", "json"]);
        assert!(done, "{said}");
        let servers: Vec<serde_json::Value> = serde_json::from_str(&said).expect("it is JSON");
        let is_meant = |server: &&serde_json::Value| server["type"] == server_type && server["state"] == "ready";
        servers.iter().filter(is_meant).map(|server| server["name"].as_str().expect("a name").to_owned()).collect()
    }

    fn stop(mut self) {
        let servers = self.servers();
        self.signal(Signal::INT);
        assert!(self.end().success());
        ended(&servers);
    }

    /// The next line that contains this.
    fn line(&mut self, text: &str) -> String {
        self.output.as_mut().expect("it is read").line(&[text])
    }

    /// Wait until it has ended, as it should soon.
    fn end(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The servers by name.
    fn servers(&self) -> Vec<(String, Pid)> {
        let processes = fs::read_dir("/proc").expect("there is /proc").filter_map(|entry| {
            let folder = entry.ok()?.path();
            let pid = Pid::from_raw(folder.file_name()?.to_str()?.parse().ok()?)?;
            let status = fs::read_to_string(folder.join("status")).ok()?;
            let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse::<u32>().ok()?;
            let environment = fs::read(folder.join("environ")).ok()?;
            let environment = String::from_utf8_lossy(&environment);
            let name = environment.split('\0').find_map(|one| one.strip_prefix("CEREUS__SERVER__ID="))?.to_owned();
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
    let (done, said) = dev.ask(&["get", "servers", "-o", "wide"]);
    assert!(done && said.contains("ended (signal: 9 (SIGKILL))"), "{said}");
    let servers = dev.servers();
    assert_eq!(servers.len(), 3);

    let asked = Instant::now();
    dev.signal(Signal::INT);
    assert!(dev.end().success());
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
    // The files of its servers go when the name is used again.
    let files = dev.folder.path().join("cereus/dev.files");
    let count = || fs::read_dir(&files).map_or(0, Iterator::count);
    assert_eq!(count(), 1);
    let left = fs::read_dir(&files).expect("it is there").next().expect("there is one").expect("it can be read").path();
    let folder = std::mem::replace(&mut dev.folder, TempDir::new().expect("a folder can be made"));
    let mut next = Dev::with(folder, &["--tcp", "127.0.0.1:0", "--ws", "127.0.0.1:0"]);
    next.line("ready: clients connect to");
    assert!(!left.exists());
    assert_eq!(count(), 1);
    next.signal(Signal::INT);
    assert!(next.end().success());
    assert!(!files.exists());
}

#[test]
fn a_server_that_does_not_answer_is_replaced() {
    let mut dev = Dev::start();
    let servers = dev.servers();
    let start = Instant::now();
    kill_process(servers[1].1, Signal::STOP).expect("it runs");
    dev.line("room-1 was not live (/livez failed 3 times) and was killed; it starts again in 0.2 s");
    assert!(start.elapsed() > Duration::from_secs(10), "{:?}", start.elapsed());
    dev.line("room-1      | ");
    assert!(!runs(servers[1].1));
    let (done, said) = dev.ask(&["get", "servers", "-o", "json"]);
    let servers: Vec<serde_json::Value> = serde_json::from_str(&said).expect("it is JSON");
    assert!(done && servers[1]["reason"] == "was not live (/livez failed 3 times) and was killed", "{said}");
    dev.stop();
}

#[test]
fn it_stops_when_nobody_reads_its_output() {
    let mut dev = Dev::start();
    let servers = dev.servers();
    dev.output = None;
    // Something has to be said before it can be noticed.
    kill_process(servers[0].1, Signal::KILL).expect("it runs");
    assert!(dev.end().success());
    ended(&servers);
}

/// A game of one frontend and `rooms` room servers, in a folder.
struct Manifests {
    folder: TempDir,
    port: u16,
}

impl Manifests {
    fn new(rooms: &str) -> Self {
        let held = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = held.local_addr().expect("it is bound").port();
        let manifests = Self { folder: TempDir::new().expect("a folder can be made"), port };
        manifests.write(
            "connector",
            &format!("{{ drain: {DRAIN}, frontend: {{ acceptors: [{{ name: tcp, protocol: TCP, port: {port} }}] }} }}"),
        );
        manifests.write("room", &format!("{{ drain: {DRAIN}, {rooms} }}"));
        manifests
    }

    fn write(&self, name: &str, spec: &str) {
        let text =
            format!("apiVersion: cereus.dev/v1alpha1\nkind: ServerType\nmetadata: {{ name: {name} }}\nspec: {spec}\n");
        fs::write(self.folder.path().join(format!("{name}.yaml")), text).expect("it can be written");
    }

    fn start(&self) -> Dev {
        let path = self.folder.path().to_str().expect("it is text");
        let mut dev = Dev::with(TempDir::new().expect("a folder can be made"), &["-f", path]);
        let line = dev.line("ready: clients connect to");
        assert!(line.contains(&format!("127.0.0.1:{} (TCP)", self.port)), "{line}");
        dev
    }

    /// Requests for so many seconds, some in flight all the time.
    fn load(&self, seconds: u32) -> Child {
        let (address, time) = (format!("127.0.0.1:{}", self.port), format!("{seconds}s"));
        let mut command = Command::new(BINARY);
        command.args(["bench", "echo", &address, "--route", "room.room.hello", "--payload", "{}", "--json"]);
        command.args(["--connections", "4", "--in-flight", "2", "--warmup", "0s", "--duration", &time]);
        command.stdout(Stdio::piped()).spawn().expect("it starts")
    }
}

/// Quick, for tests.
const DRAIN: &str = "{ linger: 0s, deadline: 3s }";

/// Wait for the load; how many requests were answered. None may have failed.
fn all_answered(load: Child) -> u64 {
    let output = load.wait_with_output().expect("it is our child");
    assert!(output.status.success(), "{}", output.status);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    for name in ["errors", "failures"] {
        assert!(report[name].as_object().is_some_and(serde_json::Map::is_empty), "{report}");
    }
    for name in ["unanswered", "unexpected", "disconnected"] {
        assert_eq!(report[name].as_u64(), Some(0), "{report}");
    }
    report["answered"].as_u64().expect("it is a number")
}

#[test]
fn scaling_loses_no_request() {
    let manifests = Manifests::new("replicas: 2");
    let dev = manifests.start();
    let load = manifests.load(8);
    let (done, said) = dev.ask(&["scale", "room", "4", "--wait"]);
    assert!(done && said.starts_with("room is scaled from 2 to 4\n"), "{said}");
    assert!(said.ends_with("room: 4 of 4 ready\n"), "{said}");
    assert_eq!(dev.ready("room"), ["room-1", "room-2", "room-3", "room-4"]);
    let (done, said) = dev.ask(&["scale", "room", "1", "--wait"]);
    assert!(done && said.ends_with("room: 1 of 1 ready\n"), "{said}");
    assert_eq!(dev.ready("room").len(), 1);
    assert_eq!(dev.servers().len(), 2);
    assert!(all_answered(load) > 100);

    let (done, said) = dev.ask(&["scale", "romo", "1"]);
    assert!(!done && said == "error: no server type romo; the nearest is room\n", "{said}");
    let (done, said) = dev.ask(&["scale", "room", "1", "--name", "other"]);
    assert!(!done && said == "error: no game called other runs; there are dev\n", "{said}");
    let (done, said) = dev.ask(&["logs", "room", "--tail", "1"]);
    assert!(done && said.starts_with("room-") && said.lines().count() == 1, "{said}");
    dev.stop();
}

#[test]
fn edits_are_applied_and_wrong_ones_refused() {
    let manifests = Manifests::new("replicas: 1");
    let mut dev = manifests.start();
    let before = dev.servers();

    manifests.write("room", "{ replcias: 2 }");
    dev.line("the manifests are wrong; what they were keeps running");
    let line = dev.line("spec.replcias");
    assert!(line.contains("room.yaml:4: spec.replcias: unknown field; the nearest is spec.replicas"), "{line}");
    manifests.write("room", "{ config: { server: { request_timeout: soon } } }");
    let line = dev.line("request_timeout");
    assert!(line.contains("room.yaml:4: spec.config.server.request_timeout = \"soon\": "), "{line}");
    assert_eq!(dev.servers(), before);

    let load = manifests.load(6);
    manifests.write("room", &format!("{{ drain: {DRAIN}, replicas: 2 }}"));
    dev.line("room is scaled from 1 to 2");
    dev.line("room is as it is to be: 2 servers are ready");
    assert_eq!(dev.servers().len(), 3);
    manifests
        .write("room", &format!("{{ drain: {DRAIN}, replicas: 2, config: {{ server: {{ request_timeout: 3s }} }} }}"));
    dev.line("room has changed; its servers are replaced one at a time");
    dev.line("draining room-");
    dev.line("room is as it is to be: 2 servers are ready");
    assert!(all_answered(load) > 100);
    let (rooms, after) = (dev.ready("room"), dev.servers());
    assert_eq!((rooms.len(), after.len()), (2, 3));
    let gone = before.iter().filter(|(_, pid)| !runs(*pid)).map(|(name, _)| name.as_str());
    assert_eq!(gone.collect::<Vec<_>>(), ["room-1"]);

    // A frontend has its ports: the old one goes first.
    let port = manifests.port;
    manifests.write("connector", &format!("{{ drain: {DRAIN}, config: {{ server: {{ request_timeout: 3s }} }}, frontend: {{ acceptors: [{{ name: tcp, protocol: TCP, port: {port} }}] }} }}"));
    dev.line("the old one first: it has the ports");
    dev.line("connector is as it is to be: 1 server is ready");

    fs::remove_file(manifests.folder.path().join("room.yaml")).expect("it is there");
    dev.line("room is not in the manifests any more, its servers leave");
    ended(&after.iter().filter(|(name, _)| name.starts_with("room")).cloned().collect::<Vec<_>>());
    dev.stop();
}

#[test]
fn wrong_manifests_do_not_start() {
    let manifests = Manifests::new("replcias: 2");
    let folder = TempDir::new().expect("a folder can be made");
    let path = manifests.folder.path().to_str().expect("it is text");
    let output = Command::new(BINARY).args(["dev", "-f", path]).env("XDG_RUNTIME_DIR", folder.path()).output();
    let output = output.expect("it can be run");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("spec.replcias: unknown field"), "{said}");

    let none = Command::new(BINARY).args(["get"]).env("XDG_RUNTIME_DIR", folder.path()).output();
    let said = String::from_utf8(none.expect("it can be run").stderr).expect("it is text");
    assert_eq!(said, "error: no game runs here; start one with `cereus dev`\n");
}
