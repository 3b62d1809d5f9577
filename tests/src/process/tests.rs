use std::{os::unix::process::ExitStatusExt as _, time::Duration};

use super::{Process, Program, READY, Signal, binary, eventually, free_address};

fn shell(script: &str) -> Program {
    Program {
        name: "shell".to_owned(),
        path: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        environment: vec![("WHO".into(), "Ada".into())],
    }
}

#[tokio::test]
async fn a_process_is_ready_when_it_says_so() {
    let mut process = Process::start_ready(&shell("echo hello $WHO; echo ready; exec sleep 60")).await.unwrap();
    assert!(process.is_running());
    assert!(process.said().contains("hello Ada"));
    let status = process.terminate(Duration::from_secs(5)).await.unwrap();
    assert_eq!(status.signal(), Some(Signal::TERM.as_raw()));
    assert!(!process.is_running());
}

#[tokio::test]
async fn a_process_that_ends_first_is_an_error_that_shows_what_it_said() {
    let error = Process::start_ready(&shell("echo no port left >&2; echo not ready")).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("shell ended without the line `ready`") && text.contains("not ready"), "{text}");
}

#[tokio::test]
async fn a_line_that_does_not_come_is_an_error() {
    let process = Process::start(&shell("exec sleep 60")).unwrap();
    let error = process.line(READY, Duration::from_millis(50), |line| line == READY).await.unwrap_err();
    assert!(error.to_string().contains("did not write `ready` within 50ms"), "{error}");
}

#[tokio::test]
async fn a_dropped_process_is_killed() {
    let process = Process::start_ready(&shell("echo ready; exec sleep 60")).await.unwrap();
    let pid = process.pid();
    drop(process);
    // A killed process is reaped in the background.
    let gone = || async move { Ok((!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(())) };
    eventually("end of the process", Duration::from_secs(5), gone).await.unwrap();
}

#[tokio::test]
async fn a_killed_process_is_gone() {
    let mut process =
        Process::start_ready(&shell("trap '' TERM; echo ready; while :; do sleep 1; done")).await.unwrap();
    process.kill().await.unwrap();
    assert!(!process.is_running());
}

#[test]
fn a_free_address_can_be_listened_on() {
    let address = free_address().unwrap();
    assert!(std::net::TcpListener::bind(address).is_ok());
}

#[test]
fn a_binary_that_was_not_built_is_an_error() {
    assert!(binary("no-such-binary").unwrap_err().to_string().contains("build the workspace's binaries first"));
}
