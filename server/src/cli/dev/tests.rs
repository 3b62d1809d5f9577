use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc, watch},
    time::Instant,
};

use super::{
    backoff::Backoff,
    manifest,
    output::Output,
    probe,
    process::{Asked, Process, Surroundings},
    registry::Registry,
    replica::{Replica, Workplace},
    rollout::{Order, Seen, Step, next},
    suggestion,
};
use crate::app::{StopRequests, StopStage};
use crate::cli::check::Manifests;

/// Passes on what is written.
struct Lines(mpsc::Sender<String>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for line in String::from_utf8_lossy(bytes).split_inclusive('\n') {
            self.0.blocking_send(line.to_owned()).map_err(io::Error::other)?;
        }
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

/// Nothing answers there.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

/// A server that is a shell script.
struct Script {
    lines: mpsc::Receiver<String>,
    stop: StopRequests,
    leave: watch::Sender<bool>,
    directory: tempfile::TempDir,
    supervision: tokio::task::JoinSet<()>,
}

impl Script {
    fn start(script: &str) -> Self {
        Self::of("/bin/sh", script, NOWHERE)
    }

    fn of(program: &str, script: &str, link: SocketAddr) -> Self {
        let (output, lines) = output();
        let directory = tempfile::tempdir().unwrap();
        let registry = Arc::new(Registry::new(directory.path()).unwrap());
        let replica = Replica {
            name: "room-1".to_owned(),
            number: 1,
            server_type: "room".into(),
            version: None,
            clients: Vec::new(),
            environment: Vec::new(),
            grace: Duration::from_hours(1),
            link,
            admin: NOWHERE,
            arguments: vec!["-c".to_owned(), script.to_owned()],
            index: 0,
        };
        let stop = StopRequests::default();
        let mut supervision = tokio::task::JoinSet::new();
        let leave = watch::Sender::new(false);
        let asked = Asked { alone: leave.subscribe(), all: stop.subscribe() };
        let changed = Arc::new(Notify::new());
        let around = Surroundings { executable: program.into(), output, registry, changed };
        supervision.spawn(Process::new(replica, around).supervise(asked));
        Self { lines, stop, leave, directory, supervision }
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
    Path::new("/proc").join(pid.to_string()).exists()
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
async fn a_server_whose_place_is_taken_is_not_started_there_again() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap();
    let mut script = Script::of("/bin/sh", "exit 3", address);
    let reason = format!("{address} is another program's now: it is made anew elsewhere");
    assert_eq!(script.line().await, format!("dev    | room-1 ended (exit status: 3); {reason}\n"));
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
async fn a_server_that_leaves_alone_has_the_time_of_its_manifest() {
    let mut script = Script::start("trap 'echo asked' TERM; echo $$; while :; do read line; done");
    let pid = script.pid().await;
    tokio::time::pause();
    let asked = Instant::now();
    script.leave.send_replace(true);
    assert_eq!(script.line().await, "room-1 | asked\n");
    let [endpoint] = script.endpoints().try_into().unwrap();
    assert!(endpoint.contains("terminating: true"), "{endpoint}");
    script.ended().await;
    assert!(asked.elapsed() >= Duration::from_hours(1), "{:?}", asked.elapsed());
    assert!(!runs(pid));
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_tried_again() {
    let mut script = Script::of("/no/such", "", NOWHERE);
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

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_live_is_lost() {
    let probes = cereus_crds::contract::probes(cereus_crds::Protocol::Cereus);
    // The last letter is probed again and again; seconds until it is lost.
    let not_live = "was not live (/livez failed 3 times)";
    for (script, was_ready, seconds, what) in [
        ("f", false, 119, "did not start (/livez failed 120 times)"),
        ("f", true, 2 * 5, not_live),
        ("ffsf", false, 2 + 1 + 2 * 5, not_live),
        ("sffsffsf", false, 1 + 6 * 5 + 2 * 5, not_live),
    ] {
        let (start, next) = (Instant::now(), Cell::new(0));
        let probe = |_| {
            let letter = script.chars().nth(next.replace(next.get() + 1).min(script.len() - 1));
            std::future::ready(letter == Some('s'))
        };
        assert_eq!(probe::lost(probe, || was_ready, probes).await, what, "{script}");
        assert_eq!(start.elapsed(), Duration::from_secs(seconds), "{script}");
    }
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
            // All of it: what is closed with bytes unread may be reset before the answer is seen.
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

fn load(text: &str) -> Result<Vec<manifest::Manifest>, String> {
    let manifests = Manifests::Text { name: "a.yaml", text: text.to_owned() };
    manifest::load(&manifests, &BTreeMap::new(), Path::new("/no/such")).unwrap()
}

#[test]
fn the_built_in_game_is_a_frontend_and_two_rooms() {
    let manifests = load(manifest::BUILT_IN).unwrap();
    let table: Vec<_> = manifests.iter().map(|one| (&*one.name, one.is_frontend(), one.replicas())).collect();
    assert_eq!(table, [("connector", true, 1), ("room", false, 2)]);
    let folder = tempfile::tempdir().unwrap();
    let mut workplace = Workplace::new(folder.path().to_owned(), Some("debug".to_owned()));
    let replica = workplace.replica(&manifests[0], 1, &BTreeSet::new(), &BTreeSet::new()).unwrap();
    let clients: Vec<String> = replica.clients.iter().map(super::replica::Client::shown).collect();
    assert_eq!(clients, ["127.0.0.1:3250 (TCP)", "ws://127.0.0.1:3251 (WebSocket)"]);
    let second = workplace.replica(&manifests[0], 2, &BTreeSet::from([3250, 3251, 3252]), &BTreeSet::new()).unwrap();
    assert!(second.clients.iter().all(|client| client.address.port() > 3252), "{second:?}");
    assert_ne!(second.clients[0].address, second.clients[1].address);
}

#[test]
fn serve_understands_what_it_is_given() {
    use clap::Parser as _;
    let folder = tempfile::tempdir().unwrap();
    let mut workplace = Workplace::new(folder.path().to_owned(), Some("debug".to_owned()));
    for manifest in load(manifest::BUILT_IN).unwrap() {
        let replica = workplace.replica(&manifest, 1, &BTreeSet::new(), &BTreeSet::new()).unwrap();
        super::super::Arguments::try_parse_from([vec!["cereus".to_owned()], replica.arguments].concat()).unwrap();
        let value = |name: &str| replica.environment.iter().find(|(known, _)| known == name).map(|(_, value)| &**value);
        assert_eq!(value("CEREUS__SERVER__ID"), Some(&*replica.name));
        assert_eq!(value("CEREUS__DRAIN__DEADLINE"), Some("3s"));
        assert_eq!(value("CEREUS__SERVER__FRONTEND").is_some(), manifest.is_frontend());
    }
}

#[test]
fn wrong_manifests_are_told_as_check_does() {
    let text = manifest::BUILT_IN.replace("replicas: 2", "replcias: 2");
    let report = load(&text).unwrap_err();
    assert!(report.contains("a.yaml:16: spec.replcias: unknown field; the nearest is spec.replicas\n"), "{report}");
    assert_eq!(load("").unwrap_err(), "there is no ServerType in the manifests\n");
}

#[test]
fn only_what_a_process_gets_makes_a_replacement() {
    let table = [
        ("replicas: 2", "replicas: 3", false),
        ("replicas: 2", "routing: { policy: sticky }", false),
        ("deadline: 3s", "deadline: 4s", true),
        ("replicas: 2", "config: { server: { request_timeout: 3s } }", true),
        ("replicas: 2", "template: { env: [{ name: A, value: b }] }", true),
        ("replicas: 2", "image: 'chat:2'", true),
    ];
    let recipe = |text: &str| {
        let document: serde_json::Value = serde_yaml::from_str(text.split("---").nth(1).unwrap()).unwrap();
        let server_type = cereus_crds::Validator::new().validate(&document, None).unwrap();
        manifest::Manifest::new(document, server_type).recipe()
    };
    for (from, to, replaced) in table {
        let text = manifest::BUILT_IN.replace(from, to);
        assert_eq!(recipe(&text) != recipe(manifest::BUILT_IN), replaced, "{to}");
    }
}

#[test]
fn a_name_that_is_not_known_is_told_with_what_is() {
    let known = ["connector", "room"];
    assert_eq!(suggestion::unknown("server type", "romo", known), "no server type romo; the nearest is room");
    assert_eq!(suggestion::unknown("server type", "x", known), "no server type x; there are connector, room");
    assert_eq!(suggestion::unknown("server type", "x", []), "no server type x; there are none");
}

/// `n`ew or `o`ld; upper case: ready; a `-` behind: leaving.
fn seen(servers: &str) -> Vec<Seen> {
    let mut seen: Vec<Seen> = Vec::new();
    for letter in servers.chars() {
        if letter == '-' {
            seen.last_mut().unwrap().leaving = true;
        } else {
            let current = letter.eq_ignore_ascii_case(&'n');
            seen.push(Seen { current, ready: letter.is_uppercase(), leaving: false });
        }
    }
    seen
}

#[test]
fn each_step_of_a_rollout() {
    use Order::{NewFirst, OldFirst};
    use Step::{RetireAny, RetireOld, Start, Wait};
    for (wanted, order, servers, expected) in [
        (2, NewFirst, "", Start),
        (2, NewFirst, "n", Start),
        (2, NewFirst, "nN", Wait),
        (1, NewFirst, "NN", RetireAny),
        (1, NewFirst, "NN-", Wait),
        (0, NewFirst, "N", RetireAny),
        // A new one more, then an old one less.
        (2, NewFirst, "OO", Start),
        (2, NewFirst, "OOn", Wait),
        (2, NewFirst, "OON", RetireOld),
        (2, NewFirst, "OO-N", Start),
        (2, NewFirst, "ON", Start),
        (2, NewFirst, "ONN", RetireOld),
        (2, NewFirst, "O-NN", Wait),
        // An old one that is not ready is no loss; that a new one never becomes ready stops everything.
        (2, NewFirst, "Oon", RetireOld),
        (1, NewFirst, "On", Wait),
        // Scaled meanwhile.
        (1, NewFirst, "OOn", RetireOld),
        (4, NewFirst, "OOn", Start),
        (0, NewFirst, "OO", RetireOld),
        // The ports have to be free first.
        (1, OldFirst, "O", RetireOld),
        (1, OldFirst, "O-", Wait),
        (1, OldFirst, "", Start),
        (2, OldFirst, "OO", RetireOld),
        (2, OldFirst, "O-O", Wait),
        (2, OldFirst, "O", Start),
        (2, OldFirst, "On", Wait),
        (2, OldFirst, "ON", RetireOld),
        (3, OldFirst, "OO-N", Wait),
        (4, OldFirst, "OO-N", Start),
        (1, OldFirst, "OO", RetireOld),
        // Who leaves because there were too many has no successor.
        (2, OldFirst, "NN-", Start),
    ] {
        assert_eq!(next(wanted, order, &seen(servers)), expected, "{wanted} {order:?} {servers}");
    }
}

#[test]
fn a_rollout_ends_and_never_has_too_few() {
    for order in [Order::NewFirst, Order::OldFirst] {
        for wanted in 1..5 {
            let mut servers = vec![Seen { current: false, ready: true, leaving: false }; 3];
            for turn in 0.. {
                assert!(turn < 100, "{order:?} {wanted}: {servers:?}");
                match next(wanted, order, &servers) {
                    Step::Start => servers.push(Seen { current: true, ready: false, leaving: false }),
                    step @ (Step::RetireOld | Step::RetireAny) => {
                        let may = |one: &&mut Seen| !one.leaving && (step == Step::RetireAny || !one.current);
                        servers.iter_mut().find(may).unwrap().leaving = true;
                    }
                    Step::Wait if servers.iter().any(|one| one.leaving) => servers.retain(|one| !one.leaving),
                    Step::Wait => match servers.iter_mut().find(|one| !one.ready) {
                        Some(one) => one.ready = true,
                        None => break,
                    },
                }
                let ready = servers.iter().filter(|one| one.ready && !one.leaving).count();
                let least = if order == Order::NewFirst { wanted.min(3) } else { wanted.min(3) - 1 };
                assert!(ready >= least, "{order:?} {wanted}: {servers:?}");
            }
            assert_eq!(servers, vec![Seen { current: true, ready: true, leaving: false }; wanted]);
        }
    }
}

#[tokio::test]
async fn lines_are_kept_in_order_and_bounded() {
    let (output, _lines) = output();
    let logs = output.logs();
    let (one, two) = (Arc::from("room-1"), Arc::from("room-2"));
    for number in 0..1500 {
        logs.push(if number % 2 == 0 { &one } else { &two }, number.to_string().as_bytes());
    }
    let (all, mut live) = logs.read(|_| true, 3);
    assert_eq!(all.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["1497", "1498", "1499"]);
    logs.push(&one, b"more");
    assert_eq!(live.recv().await.unwrap().text, "more");
    for _ in 0..3000 {
        logs.push(&one, &[b'x'; 1000]);
    }
    let kept = logs.read(|server| server == "room-1", usize::MAX).0;
    assert_eq!(kept.len(), 512 * 1024 / 1000);
    assert!(logs.knows("room-2") && !logs.knows("room-3"));
}

#[test]
fn a_type_with_a_server_to_replace_is_not_settled() {
    // Ready are an old one and a new one; another new one is not yet.
    let counts = |servers| super::status::TypeStatus {
        name: "room".to_owned(),
        frontend: false,
        desired: 2,
        servers,
        ready: 2,
        updated: 2,
        draining: 0,
    };
    assert!(counts(2).is_settled() && !counts(3).is_settled());
}
