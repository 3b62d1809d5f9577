//! A server that is out of files.

use std::{collections::BTreeSet, fs, net::TcpStream, process::Command, thread::sleep, time::Duration};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::process::Process;

fn limit_files(pid: Pid, most: u64) {
    // What a process may have at most is handed down; only the privileged may have more than that.
    let limit = Rlimit { current: Some(most), ..getrlimit(Resource::Nofile) };
    prlimit(Some(pid), Resource::Nofile, limit).expect("it is our child");
}

/// The smallest number that no open file of the process has.
fn first_free_file(pid: Pid) -> u64 {
    let folder = fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())).expect("it runs");
    let open: BTreeSet<u64> = folder
        .map(|entry| entry.expect("it can be read").file_name())
        .map(|name| name.to_str().and_then(|name| name.parse().ok()).expect("a number"))
        .collect();
    (0..u64::from(u16::MAX)).find(|number| !open.contains(number)).expect("there are few")
}

#[test]
fn out_of_files_the_link_listener_says_so_once_and_goes_on_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_cereus"));
    command.args(["--log-format", "json", "serve", "--type", "room", "--link", "127.0.0.1:0", "--topology"]);
    let mut server = Process::start_logging(command.arg(folder.path()));
    let ready: serde_json::Value = serde_json::from_str(&server.line("\"ready\"")).expect("the log is JSON");
    let address = ready["link"].as_str().expect("it tells where it listens");

    let free = first_free_file(server.pid());
    limit_files(server.pid(), free);
    let waiting = TcpStream::connect(address).expect("the system takes it");
    let line = server.line("cannot accept connections");
    assert!(line.contains("\"acceptor\":\"link\"") && line.contains("os error 24"), "{line}");
    // Time for many attempts, were they not further and further apart.
    sleep(Duration::from_millis(400));
    limit_files(server.pid(), free + 1000);
    let lines = server.lines_to("accepting connections again");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    drop(waiting);
}
