use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use clap::{Args as _, FromArgMatches as _};
use futures_util::task::AtomicWaker;

use super::{
    BenchArguments,
    arguments::{Load, time},
    broadcast, churn, echo, idle,
    pace::{Schedule, Share, pace},
    pending::Pending,
    process::Process,
    report::{to_json, to_table},
    statistics::Statistics,
};
use crate::cli::client::{Transport, testing::TestServer};

fn parse(line: &str) -> Result<Load, clap::Error> {
    let command = BenchArguments::augment_args(clap::Command::new("bench"));
    let words = std::iter::once("bench").chain(line.split_whitespace());
    command.try_get_matches_from(words).and_then(|matches| Ok(BenchArguments::from_arg_matches(&matches)?.load))
}

async fn run_echo(server: &TestServer, rest: &str) -> super::report::EchoReport {
    run_echo_for("200ms", server, rest).await
}

async fn run_echo_for(duration: &str, server: &TestServer, rest: &str) -> super::report::EchoReport {
    let line = format!("echo {} --duration {duration} --timeout {duration} {rest}", server.name());
    let Load::Echo(arguments) = parse(&line).unwrap() else { panic!("not echo") };
    echo::run(&arguments).await.unwrap()
}

#[test]
fn arguments_are_checked() {
    let echo = "echo 127.0.0.1:1 --route a.b.c";
    for (line, good) in [
        (echo.to_owned(), true),
        (format!("{echo} --in-flight 1 --body 0 --pid 1 2 --pid 3 --json"), true),
        (format!("{echo} --rate 1000"), true),
        (format!("{echo} --rate 1000 --in-flight 8"), false),
        (format!("{echo} --body 1 --payload {{}}"), false),
        (format!("{echo} --connections 0"), false),
        (format!("{echo} --duration 10"), false),
        (format!("{echo} --duration 100m"), false),
        ("echo 127.0.0.1:1".to_owned(), false),
        ("idle 127.0.0.1:1 --connections 10000 --hold 90s --sources 8 --ws".to_owned(), true),
        ("churn 127.0.0.1:1 --opening 8".to_owned(), true),
        ("broadcast 127.0.0.1:1 --members 1000 --outstanding 4 --service game.bench".to_owned(), true),
        ("broadcast 127.0.0.1:1 --members 0".to_owned(), false),
    ] {
        assert_eq!(parse(&line).is_ok(), good, "{line}");
    }
    assert_eq!(time("1.5s"), Ok(Duration::from_millis(1500)));
    assert_eq!(time("250ms"), Ok(Duration::from_millis(250)));
    assert_eq!(time("2m"), Ok(Duration::from_mins(2)));
    assert!(time("-1s").is_err());
}

#[tokio::test]
async fn another_machine_is_refused() {
    for (rest, message) in [("", "pass --allow-remote"), ("--allow-remote --timeout 10ms", "cannot connect")] {
        let line = format!("churn 192.0.2.1:9 {rest}");
        let Load::Churn(arguments) = parse(&line).unwrap() else { panic!("not churn") };
        let endpoint = super::endpoint(&arguments.target).await;
        assert_eq!(endpoint.is_ok(), arguments.target.allow_remote, "{message}");
    }
}

#[tokio::test]
async fn a_number_in_flight_is_answered() {
    for (transport, flag) in [(Transport::Tcp, ""), (Transport::WebSocket, "--ws")] {
        let server = TestServer::start(transport).await;
        let own = std::process::id();
        let rest =
            format!("--route x.y.echo --connections 3 --in-flight 4 --body 300 --pid {own} {flag} --warmup 20ms");
        let report = run_echo(&server, &rest).await;
        assert!(report.answered > 100, "{report:?}");
        assert!(report.errors.is_empty() && report.failures.is_empty(), "{report:?}");
        assert_eq!((report.unanswered, report.unexpected, report.disconnected), (0, 0, 0));
        assert!(report.servers[0].microseconds_each > 0.0);
        let json: serde_json::Value = serde_json::from_str(&to_json(&report).unwrap()).unwrap();
        assert_eq!(json["load"], "echo");
        assert_eq!(json["body_bytes"], 300);
        assert!(to_table(&report).contains("3 connections × 4 in flight"));
    }
}

#[tokio::test]
async fn a_fixed_rate_is_kept() {
    let server = TestServer::start(Transport::Tcp).await;
    let report = run_echo_for("1s", &server, "--route x.y.echo --connections 7 --rate 1000 --warmup 20ms").await;
    // What was due in that time, but for answers that were under way at its two ends: a busy machine has more of those.
    // Without the rate there would be ten thousands.
    assert!((500..=2000).contains(&report.answered), "{report:?}");
    assert_eq!((report.unsent, report.unanswered), (0, 0));
}

#[tokio::test]
async fn error_answers_are_counted_by_code() {
    let server = TestServer::start(Transport::Tcp).await;
    let report = run_echo(&server, "--route x.y.error --connections 1 --warmup 20ms").await;
    assert_eq!(report.errors.keys().collect::<Vec<_>>(), ["PIT-500"]);
    assert!(to_table(&report).contains("× PIT-500"));
}

#[tokio::test]
async fn what_goes_wrong_is_counted() {
    let server = TestServer::start(Transport::Tcp).await;
    let silent = run_echo(&server, "--route x.y.silent --connections 2 --in-flight 3 --warmup 0s").await;
    assert_eq!((silent.answered, silent.unanswered, silent.disconnected), (0, 6, 0));
    let closed = run_echo(&server, "--route x.y.close --connections 2 --warmup 0s").await;
    assert_eq!((closed.answered, closed.disconnected), (0, 2));
    assert_eq!(closed.failures.get("the server closed the connection"), Some(&2));
    let kicked = run_echo(&server, "--route x.y.kick --connections 1 --warmup 20ms").await;
    assert_eq!(kicked.failures.get("the server kicked the client: enough"), Some(&1));
    let twice = run_echo(&server, "--route x.y.twice --connections 1 --in-flight 1 --warmup 20ms").await;
    assert!(twice.unexpected > 0 && twice.disconnected == 0, "{twice:?}");
}

#[tokio::test]
async fn an_open_loop_counts_what_was_due_and_not_sent() {
    let server = TestServer::start(Transport::Tcp).await;
    let report = run_echo(&server, "--route x.y.silent --connections 1 --rate 10000 --warmup 0s").await;
    assert_eq!(report.unanswered + report.unsent, 2000, "{report:?}");
    assert_eq!(report.unanswered, 1024);
}

#[tokio::test]
async fn idle_connections_are_held() {
    let server = TestServer::start(Transport::WebSocket).await;
    let own = std::process::id();
    let line = format!("idle {} --connections 50 --hold 50ms --ws --pid {own}", server.name());
    let Load::Idle(arguments) = parse(&line).unwrap() else { panic!("not idle") };
    let report = idle::run(&arguments).await.unwrap();
    assert_eq!((report.disconnected, report.servers.len()), (0, 1), "{report:?}");
    assert!(report.servers[0].bytes_before > 0);
    assert!(to_table(&report).contains("50 idle connections"));
}

#[tokio::test]
async fn connections_come_and_go() {
    for (transport, flag) in [(Transport::Tcp, ""), (Transport::WebSocket, "--ws")] {
        let server = TestServer::start(transport).await;
        let line = format!("churn {} --duration 200ms --warmup 20ms --opening 4 {flag}", server.name());
        let Load::Churn(arguments) = parse(&line).unwrap() else { panic!("not churn") };
        let report = churn::run(&arguments).await.unwrap();
        assert!(report.connections > 10 && report.failures.is_empty(), "{report:?}");
        assert!(report.handshake_microseconds.p50 > 0.0);
        assert!(to_table(&report).contains("4 at once"));
    }
}

#[tokio::test]
async fn churn_ends_when_nothing_listens() {
    let line = "churn 127.0.0.1:1 --duration 10ms --warmup 0s";
    let Load::Churn(arguments) = parse(line).unwrap() else { panic!("not churn") };
    let report = churn::run(&arguments).await.unwrap();
    assert_eq!(report.connections, 0);
    assert!(report.failures.keys().all(|reason| reason.contains("connection refused")));
}

#[test]
fn an_answer_closes_its_request_once() {
    let now = Instant::now();
    let mut pending = Pending::new();
    assert_eq!([pending.open(now), pending.open(now), pending.open(now)], [1, 2, 3]);
    assert_eq!(pending.close(0), None);
    assert_eq!(pending.close(4), None);
    assert_eq!(pending.close(2), Some(now));
    assert_eq!(pending.close(2), None);
    assert_eq!((pending.len(), pending.started().count()), (2, 2));
    assert_eq!(pending.close(1), Some(now));
    assert_eq!(pending.close(1), None);
    assert_eq!(pending.open(now), 4);
    assert_eq!(pending.close(3), Some(now));
    assert_eq!(pending.close(4), Some(now));
    assert_eq!(pending.len(), 0);
    assert_eq!(pending.open(now), 5);
}

#[test]
fn shares_of_a_rate_make_the_whole() {
    let start = Instant::now();
    let end = start + Duration::from_millis(100);
    let schedule = Schedule { start, end, rate: 1000, connections: 3 };
    let mut due: Vec<_> = (0..3)
        .flat_map(|connection| {
            let mut share = Share::new(schedule, connection);
            std::iter::from_fn(move || share.take(end))
        })
        .collect();
    due.sort();
    let expected: Vec<_> = (0..100).map(|number| start + Duration::from_millis(number)).collect();
    assert_eq!(due, expected);
    assert_eq!(Share::new(schedule, 0).left(), 34);
    assert_eq!(Share::new(schedule, 1).take(start), None, "a request leaves when it is due");
}

#[tokio::test]
async fn the_pace_ends_with_its_schedule() {
    let start = Instant::now();
    let end = start + Duration::from_millis(20);
    let schedule = Schedule { start, end, rate: 100_000, connections: 2 };
    let wakers = [Arc::new(AtomicWaker::new()), Arc::new(AtomicWaker::new())];
    pace(schedule, &wakers).await.unwrap();
    assert!(Instant::now() >= end);
}

#[test]
fn latencies_are_in_microseconds() {
    let mut statistics = Statistics::new().unwrap();
    for count in 1..=1000 {
        statistics.record(Duration::from_micros(count));
    }
    let latency = statistics.latency();
    for (value, expected) in [(latency.p50, 500.0), (latency.p99, 990.0), (latency.p99_9, 999.0), (latency.max, 1000.0)]
    {
        assert!((value / expected - 1.0).abs() < 0.002, "{latency:?}");
    }
}

#[test]
fn cpu_time_counts_ended_threads_and_small_parts() {
    let process = Process::own().unwrap();
    let before = process.cpu().unwrap();
    let burn = || {
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(5) {
            std::hint::spin_loop();
        }
    };
    std::thread::spawn(burn).join().unwrap();
    let used = process.cpu().unwrap().saturating_sub(before);
    assert!(used > Duration::from_millis(1), "{used:?}");
    assert_ne!(used.as_nanos() % 1_000_000, 0, "finer than a tick");
    assert!(process.resident().unwrap() > 100_000);
    assert!(Process::find(u32::MAX).is_err());
}

async fn run_broadcast(server: &TestServer, rest: &str) -> anyhow::Result<super::report::BroadcastReport> {
    let line = format!("broadcast {} --duration 200ms --warmup 20ms --timeout 300ms {rest}", server.name());
    let Load::Broadcast(arguments) = parse(&line).unwrap() else { panic!("not broadcast") };
    broadcast::run(&arguments).await
}

#[tokio::test]
async fn every_member_gets_every_message() {
    for (transport, flag) in [(Transport::Tcp, ""), (Transport::WebSocket, "--ws")] {
        let server = TestServer::start(transport).await;
        let own = std::process::id();
        let rest = format!("--service x.y --members 7 --outstanding 3 --body 200 --pid {own} {flag}");
        let report = run_broadcast(&server, &rest).await.unwrap();
        assert!(report.published > 10 && report.pushes >= 7 * (report.published - 3), "{report:?}");
        assert_eq!((report.unfinished, report.unordered), (0, 0));
        assert!(report.servers[0].microseconds_each > 0.0);
        let json: serde_json::Value = serde_json::from_str(&to_json(&report).unwrap()).unwrap();
        assert_eq!((&json["load"], &json["members"]), (&"broadcast".into(), &7.into()));
        assert!(to_table(&report).contains("7 members, 3 messages outstanding"), "{}", to_table(&report));
    }
}

#[tokio::test]
async fn a_group_that_cannot_be_joined_is_an_error() {
    let server = TestServer::start(Transport::Tcp).await;
    let error = run_broadcast(&server, "--members 2 --service error.error").await.unwrap_err();
    assert!(format!("{error:#}").contains("a member cannot join"), "{error:#}");
}
