//! The example of a custom acceptor, as a client meets it.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail by panicking")]

use std::{
    env,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// How long starting, answering and stopping may take.
const PATIENCE: Duration = Duration::from_secs(20);

const HANDSHAKE: u8 = 1;
const ACK: u8 = 2;
const DATA: u8 = 4;

/// The running example. It is killed when this is dropped.
struct Example(Child);

impl Drop for Example {
    fn drop(&mut self) {
        // It has ended, unless the test failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Cargo builds examples before it runs all tests, beside the folder of the test itself.
fn example() -> PathBuf {
    let test = env::current_exe().expect("the test is a file");
    let path = test.ancestors().nth(2).expect("target/<profile>/deps/<test>").join("examples/unix_acceptor");
    assert!(path.is_file(), "{} is missing: cargo build -p cereus --examples", path.display());
    path
}

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("a short body").to_be_bytes();
    [&[kind], &length[1..], body].concat()
}

fn receive(stream: &mut UnixStream) -> (u8, Vec<u8>) {
    let mut header = [0; 4];
    stream.read_exact(&mut header).expect("a packet");
    let length = u32::from_be_bytes([0, header[1], header[2], header[3]]);
    let mut body = vec![0; length as usize];
    stream.read_exact(&mut body).expect("its body");
    (header[0], body)
}

#[test]
fn a_client_is_served_through_a_unix_socket() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("clients");
    // Left behind by a server that was killed.
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket"));
    let mut command = Command::new(example());
    command.args(["serve", "--type", "connector", "--frontend", "--set", "drain.linger=0s"]);
    let child = command.env("CEREUS_EXAMPLE_SOCKET", &path).stdin(Stdio::null()).spawn().expect("the example is built");
    let mut example = Example(child);

    let start = Instant::now();
    let mut stream = loop {
        match UnixStream::connect(&path) {
            Ok(stream) => break stream,
            Err(error) => assert!(start.elapsed() < PATIENCE, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(&packet(HANDSHAKE, br#"{"sys":{},"user":{}}"#)).expect("it reads");
    let (kind, body) = receive(&mut stream);
    assert_eq!(kind, HANDSHAKE);
    assert!(body.starts_with(br#"{"code":200,"#), "{}", String::from_utf8_lossy(&body));

    // Flags (a request, route in full), message id, length of the route.
    let route = "connector.test.echo";
    let head = [0, 7, u8::try_from(route.len()).expect("a short route")];
    let request = [&head, route.as_bytes(), b"through a file"].concat();
    stream.write_all(&[packet(ACK, &[]), packet(DATA, &request)].concat()).expect("it reads");
    let (kind, body) = receive(&mut stream);
    // Flags (a response), message id.
    assert_eq!((kind, &body[..]), (DATA, &[&[4, 7], &b"through a file"[..]].concat()[..]));

    drop(stream);
    let pid = i32::try_from(example.0.id()).ok().and_then(Pid::from_raw).expect("a process has a number");
    kill_process(pid, Signal::TERM).expect("it runs");
    let status = example.0.wait().expect("it is our child");
    assert!(status.success(), "{status}");
    assert!(!path.exists(), "the socket is gone with its server");
}
