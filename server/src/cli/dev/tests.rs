use std::{
    cell::{Cell, RefCell},
    io::{self, Write},
    path::Path,
    sync::Arc,
    time::Duration,
};

use tokio::{sync::mpsc, time::Instant};

use super::{
    backoff::Backoff,
    output::Output,
    plan::{Plan, Replica},
    ports, probe,
    process::Process,
    registry::Registry,
};
use crate::app::{StopRequests, StopStage};

/// Passes on what is written.
struct Lines(mpsc::Sender<String>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.blocking_send(String::from_utf8_lossy(bytes).into_owned()).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn output() -> (Output, mpsc::Receiver<String>) {
    let (sender, lines) = mpsc::channel(256);
    (Output::to(Lines(sender), 6, false).unwrap(), lines)
}

/// A server that is a shell script.
struct Script {
    lines: mpsc::Receiver<String>,
    stop: StopRequests,
    directory: tempfile::TempDir,
    supervision: tokio::task::JoinSet<()>,
}

impl Script {
    fn start(script: &str) -> Self {
        let (output, lines) = output();
        let directory = tempfile::tempdir().unwrap();
        let registry = Arc::new(Registry::new(directory.path()).unwrap());
        let replica = Replica {
            name: "room-1".to_owned(),
            server_type: "room",
            link: "127.0.0.1:1".parse().unwrap(),
            // Nothing answers there.
            admin: "127.0.0.1:1".parse().unwrap(),
            arguments: vec!["-c".to_owned(), script.to_owned()],
            index: 0,
        };
        let stop = StopRequests::default();
        let mut supervision = tokio::task::JoinSet::new();
        supervision.spawn(Process::new(replica, "/bin/sh".into(), output, registry).supervise(stop.subscribe()));
        Self { lines, stop, directory, supervision }
    }

    async fn line(&mut self) -> String {
        self.lines.recv().await.unwrap()
    }

    /// The process whose number is in a line.
    async fn pid(&mut self) -> u32 {
        self.line().await.rsplit(' ').next().unwrap().trim().parse().unwrap()
    }

    async fn ended(&mut self) {
        self.supervision.join_next().await.unwrap().unwrap();
    }

    fn endpoints(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.directory.path()).unwrap();
        files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect()
    }
}

fn runs(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test]
async fn a_server_that_ends_starts_again_and_the_reason_is_said() {
    let mut script = Script::start("echo up >&2; exit 3");
    for wait in ["0.2", "0.4"] {
        assert_eq!(script.line().await, "room-1 | up\n");
        let expected = format!("dev    | room-1 ended (exit status: 3); it starts again in {wait} s\n");
        assert_eq!(script.line().await, expected);
    }
    script.stop.at_least(StopStage::Drain);
    script.ended().await;
    assert!(script.endpoints().is_empty());
}

#[tokio::test]
async fn a_killed_server_is_called_killed() {
    let mut script = Script::start("echo $$; read line");
    let pid = script.pid().await;
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    assert!(script.line().await.starts_with("dev    | room-1 ended (signal: 9 (SIGKILL)); it starts again"));
    script.stop.at_least(StopStage::Close);
    script.ended().await;
}

#[tokio::test]
async fn stopping_asks_first() {
    let mut script = Script::start("trap 'echo bye; exit 0' TERM; echo $$; while :; do read line; done");
    let pid = script.pid().await;
    let [endpoint] = script.endpoints().try_into().unwrap();
    assert!(endpoint.contains("ready: false") && endpoint.contains("terminating: false"), "{endpoint}");
    script.stop.at_least(StopStage::Drain);
    assert_eq!(script.line().await, "room-1 | bye\n");
    script.ended().await;
    assert!(!runs(pid));
    assert!(script.endpoints().is_empty());
}

#[tokio::test]
async fn a_server_that_does_not_stop_is_killed_within_ten_seconds() {
    let mut script = Script::start("trap '' TERM; echo $$; while :; do read line; done");
    let pid = script.pid().await;
    tokio::time::pause();
    let asked = Instant::now();
    script.stop.at_least(StopStage::Drain);
    script.ended().await;
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    assert!(!runs(pid));
    assert_eq!(script.line().await, "dev    | room-1 does not stop, it is killed\n");
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_tried_again() {
    let mut script = Script::start("");
    let (output, lines) = output();
    let registry = Arc::new(Registry::new(script.directory.path()).unwrap());
    let plan = Plan::built_in("127.0.0.1:0".parse().unwrap(), "127.0.0.1:0".parse().unwrap(), Path::new("/"), None);
    let replica = plan.unwrap().replicas.remove(1);
    script.lines = lines;
    script
        .supervision
        .spawn(Process::new(replica, "/no/such".into(), output, registry).supervise(script.stop.subscribe()));
    let line = script.line().await;
    assert!(line.starts_with("dev    | room-1 could not be started: No such file"), "{line}");
    script.stop.at_least(StopStage::Drain);
    script.ended().await;
}

#[test]
fn waits_double_until_a_server_has_lived_for_long() {
    let mut backoff = Backoff::default();
    let waits: Vec<u128> = (0..8).map(|_| backoff.after(Duration::from_secs(29)).as_millis()).collect();
    assert_eq!(waits, [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
    assert_eq!(backoff.after(Duration::from_secs(30)).as_millis(), 200);
    assert_eq!(backoff.after(Duration::ZERO).as_millis(), 400);
}

#[tokio::test(start_paused = true)]
async fn readiness_follows_the_probe_with_patience_for_failures() {
    // One letter a probe; upper case where a change is told with it.
    let script = b"ffSsfsffFfS";
    let start = Instant::now();
    let next = Cell::new(0);
    let changes = RefCell::new(Vec::new());
    let probe = || {
        let letter = script.get(next.get()).copied();
        next.set(next.get() + 1);
        async move {
            match letter {
                Some(letter) => letter.eq_ignore_ascii_case(&b's'),
                None => std::future::pending().await,
            }
        }
    };
    let follow = probe::follow(probe, |ready| changes.borrow_mut().push((next.get() - 1, ready)));
    tokio::select! {
        never = follow => match never {},
        () = tokio::time::sleep(Duration::from_secs(30)) => {}
    }
    let expected: Vec<(usize, bool)> = script
        .iter()
        .enumerate()
        .filter(|(_, letter)| letter.is_ascii_uppercase())
        .map(|(index, letter)| (index, *letter == b'S'))
        .collect();
    assert_eq!(*changes.borrow(), expected);
    assert_eq!(start.elapsed(), Duration::from_secs(30));
}

#[tokio::test]
async fn a_probe_reads_the_status_of_the_answer() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    for (answer, expected) in
        [("HTTP/1.1 200 OK\r\n\r\n", true), ("HTTP/1.1 503 Service Unavailable\r\n\r\n", false), ("HTTP", false)]
    {
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
            }
            assert!(request.starts_with(b"GET /readyz HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        let (ready, ()) = tokio::join!(probe::is_ready(address), serve);
        assert_eq!(ready, expected, "{answer:?}");
    }
    drop(listener);
    assert!(!probe::is_ready(address).await);
}

#[tokio::test]
async fn lines_are_whole_and_prefixed() {
    let (output, mut lines) = output();
    output.clone().copy("room-1".to_owned(), 1, &b"one\n\ntwo"[..]).await;
    let long = vec![b'x'; 70_000];
    output.clone().copy("room-2".to_owned(), 1, long.as_slice()).await;
    let mut coloured = Vec::new();
    for expected in ["room-1 | one\n", "room-1 | \n", "room-1 | two\n"] {
        assert_eq!(lines.recv().await.unwrap(), expected);
    }
    coloured.push(lines.recv().await.unwrap().len());
    coloured.push(lines.recv().await.unwrap().len());
    assert_eq!(coloured.iter().sum::<usize>(), 70_000 + 2 * "room-2 | \n".len());
    let (sender, mut lines) = mpsc::channel(1);
    Output::to(Lines(sender), 6, true).unwrap().own("hello").await;
    assert_eq!(lines.recv().await.unwrap(), "\x1b[1mdev    |\x1b[0m hello\n");
}

#[test]
fn a_port_in_use_is_one_clear_line() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap();
    let error = format!("{:#}", ports::check(&[("--tcp", address)]).unwrap_err());
    let expected = format!("{address} is in use; stop what listens there, or choose another address with --tcp");
    assert_eq!(error, expected);
    drop(held);
    ports::check(&[("--tcp", address)]).unwrap();
}

#[test]
fn the_built_in_game_is_a_frontend_and_two_rooms() {
    let (tcp, ws) = ("127.0.0.1:3250".parse().unwrap(), "127.0.0.1:3251".parse().unwrap());
    let plan = Plan::built_in(tcp, ws, Path::new("/tmp/t"), Some("debug")).unwrap();
    assert_eq!(plan.names(), "connector-1, room-1, room-2");
    let mut ports: Vec<u16> = plan.replicas.iter().flat_map(|one| [one.link.port(), one.admin.port()]).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 6);
    let frontends = plan.replicas.iter().filter(|one| one.arguments.iter().any(|argument| argument == "--tcp"));
    assert_eq!(frontends.count(), 1);
    let invitation = plan.invitation(Path::new("/usr/bin/cereus")).join("\n");
    assert!(invitation.contains("/usr/bin/cereus request 127.0.0.1:3250 room.room.hello '{\"name\":\"Ada\"}'"));
}

#[test]
fn serve_understands_what_it_is_given() {
    use clap::Parser as _;
    let address = "127.0.0.1:3250".parse().unwrap();
    let plan = Plan::built_in(address, address, Path::new("/tmp/t"), Some("debug")).unwrap();
    for replica in plan.replicas {
        super::super::Arguments::try_parse_from([vec!["cereus".to_owned()], replica.arguments].concat()).unwrap();
    }
}
