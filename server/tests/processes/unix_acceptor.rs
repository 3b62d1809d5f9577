//! The example of a custom acceptor, as a client meets it.

use std::{
    os::unix::net::{UnixListener, UnixStream},
    process::Command,
    time::Instant,
};

use rustix::process::Signal;

use crate::{
    PATIENCE,
    client::Client,
    process::{Process, example},
};

#[test]
fn a_client_is_served_through_a_unix_socket() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("clients");
    // Left behind by a server that was killed.
    drop(UnixListener::bind(&path).expect("a socket"));
    let mut command = Command::new(example("unix_acceptor"));
    command.args(["serve", "--type", "connector", "--frontend", "--set", "drain.linger=0s"]);
    let process = Process::start(command.env("CEREUS_EXAMPLE_SOCKET", &path));

    let start = Instant::now();
    let stream = loop {
        match UnixStream::connect(&path) {
            Ok(stream) => break stream,
            Err(error) => assert!(start.elapsed() < PATIENCE, "{error}"),
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    };
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut client = Client::new(stream);
    assert_eq!(client.request("connector.test.echo", b"through a file"), Ok(b"through a file".to_vec()));
    drop(client);
    let status = process.stop(Signal::TERM);
    assert!(status.success(), "{status}");
    assert!(!path.exists(), "the socket is gone with its server");
}
