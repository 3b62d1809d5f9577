//! `cereus dev` when things do not go as they should.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{DRAIN, Dev, Manifests, ended, runs};

/// A session, which holds up a server that drains.
fn session(port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    let hello = br#"{"sys":{},"user":{}}"#;
    let length = u8::try_from(hello.len()).expect("it is short");
    stream.write_all(&[&[1, 0, 0, length], hello.as_slice()].concat()).expect("it reads");
    let mut header = [0; 4];
    stream.read_exact(&mut header).expect("it answers");
    assert_eq!(header[0], 1);
    stream.write_all(&[2, 0, 0, 0]).expect("it reads");
    stream
}

#[test]
fn a_second_ctrl_c_does_not_wait_for_sessions() {
    let manifests = Manifests::new("replicas: 1");
    let port = manifests.port;
    manifests.write(
        "connector",
        &format!("{{ drain: {{ linger: 0s, deadline: 10m }}, frontend: {{ acceptors: [{{ name: tcp, protocol: TCP, port: {port} }}] }} }}"),
    );
    let mut dev = manifests.start();
    let _session = session(port);
    let servers = dev.servers();
    let (connector, rooms) = servers.split_first().expect("there are servers");
    dev.signal(Signal::INT);
    ended(rooms);
    assert!(runs(connector.1), "it has nobody to wait for");
    let asked = Instant::now();
    dev.signal(Signal::INT);
    assert!(dev.end().success());
    // One request alone takes six seconds.
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    assert!(servers.iter().all(|(_, pid)| !runs(*pid)), "{servers:?}");
    assert!(!dev.folder.path().join("cereus/dev.files").exists());
}

#[test]
fn a_server_that_cannot_be_started_is_tried_again() {
    let mut dev = Dev::start();
    let run = fs::read_dir(dev.folder.path().join("cereus/dev.files")).expect("it is there").next();
    let run = run.expect("there is one").expect("it can be read").path();
    // No file of settings can be written where a folder is none.
    let (config, away) = (run.join("config"), run.join("away"));
    fs::rename(&config, &away).expect("it is there");
    fs::write(&config, "").expect("it can be written");
    let (done, said) = dev.ask(&["scale", "room", "3"]);
    assert!(done, "{said}");
    for wait in ["0.2", "0.4", "0.8"] {
        let line = dev.line("a server of room cannot be started");
        assert!(line.ends_with(&format!("; it is tried again in {wait} s")), "{line}");
    }
    fs::remove_file(&config).expect("it is there");
    fs::rename(&away, &config).expect("it is there");
    dev.line("room is as it is to be: 3 servers are ready");
    dev.stop();
}

#[test]
fn an_edit_that_names_a_port_in_use_is_refused_and_what_ran_keeps_running() {
    let manifests = Manifests::new("replicas: 1");
    let path = manifests.folder.path().to_str().expect("it is text");
    let mut dev = Dev::with(TempDir::new().expect("a folder can be made"), &["-f", path]);
    let page = dev.line("page:  http://127.0.0.1:");
    let page: u16 = page.split([':', ' ']).rev().find_map(|word| word.parse().ok()).expect("it has a port");
    let before = dev.servers();
    let listen_at = |port: u16| {
        let acceptors = format!("[{{ name: tcp, protocol: TCP, port: {port} }}]");
        manifests.write("connector", &format!("{{ drain: {DRAIN}, frontend: {{ acceptors: {acceptors} }} }}"));
    };

    let held = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let taken = held.local_addr().expect("it is bound").port();
    for port in [taken, page] {
        listen_at(port);
        dev.line("the manifests are wrong; what they were keeps running");
        let remedy = "stop what listens there, or change the port of the acceptor tcp of connector";
        dev.line(&format!("127.0.0.1:{port} is in use; {remedy}"));
    }
    assert_eq!(dev.servers(), before);

    // When it is free it is taken; back to the port that is being left is no port in use.
    drop(held);
    listen_at(taken);
    dev.line("connector has changed");
    listen_at(manifests.port);
    dev.line("connector has changed");
    dev.line("connector is as it is to be: 1 server is ready");
    TcpStream::connect(("127.0.0.1", manifests.port)).expect("it listens");
    dev.stop();
}
