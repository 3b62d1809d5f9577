//! The page of `cereus dev`, without a browser: where it is, and what it does to the game.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail by panicking")]

#[path = "dev/lines.rs"]
mod lines;

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use self::lines::Lines;

/// A running game.
struct Dev {
    child: Child,
    output: Lines,
    /// Where its socket is, for itself alone.
    _folder: TempDir,
}

fn command(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cereus"));
    command.args(["dev", "--tcp", "127.0.0.1:0", "--ws", "127.0.0.1:0"]).args(arguments);
    command.env("XDG_RUNTIME_DIR", folder.path()).stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

impl Dev {
    fn start(arguments: &[&str]) -> Self {
        let folder = TempDir::new().expect("a folder can be made");
        let mut child = command(&folder, arguments).spawn().expect("it starts");
        let output = Lines::of(child.stdout.take().expect("its output is a pipe"));
        Self { child, output, _folder: folder }
    }

    /// The next line that contains one of these.
    fn line(&mut self, texts: &[&str]) -> String {
        self.output.line(texts)
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // Its servers end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is answered, with its head.
fn ask(address: &str, method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).expect("it takes requests");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers with text");
    answer
}

#[test]
fn the_page_scales_and_kills() {
    let mut dev = Dev::start(&["--http", "127.0.0.1:0"]);
    let line = dev.line(&["page:"]);
    let (_, address) = line.split_once("http://").expect("it says where");
    let page = ask(address, "GET", "/", "");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("<title>Cereus</title>"), "{page}");

    let status = ask(address, "GET", "/api/status", "");
    let (_, status) = status.split_once("\r\n\r\n").expect("it has a body");
    let status: serde_json::Value = serde_json::from_str(status).expect("it is JSON");
    let names = status["servers"].as_array().expect("a list").iter().map(|server| server["name"].as_str());
    assert_eq!(names.collect::<Vec<_>>(), [Some("connector-1"), Some("room-1"), Some("room-2")]);
    assert_eq!(status["servers"][0]["sessions"], 0);

    let said = ask(address, "POST", "/api/scale", r#"{"type":"room","replicas":3}"#);
    assert!(said.ends_with(r#"{"said":"room is scaled from 2 to 3"}"#), "{said}");
    dev.line(&["room is as it is to be: 3 servers are ready"]);
    let said = ask(address, "POST", "/api/kill", r#"{"server":"room-3"}"#);
    assert!(said.ends_with(r#"{"said":"room-3 is killed"}"#), "{said}");
    let line = dev.line(&["room-3 ended"]);
    assert!(line.contains("(signal: 9 (SIGKILL)); it starts again in 0.2 s"), "{line}");
    for (path, wish, error) in [
        ("/api/kill", r#"{"server":"room-4"}"#, "no server room-4; the nearest is room-3"),
        ("/api/scale", r#"{"type":"romo","replicas":1}"#, "no server type romo; the nearest is room"),
        ("/api/scale", r#"{"type":"room","replicas":101}"#, "101 servers are too many for one machine: at most 100"),
    ] {
        let said = ask(address, "POST", path, wish);
        assert!(said.starts_with("HTTP/1.1 409 ") && said.contains(error), "{said}");
    }
}

#[test]
fn an_address_in_use_is_an_error_when_it_was_asked_for() {
    let held = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = held.local_addr().expect("it is bound").to_string();
    let folder = TempDir::new().expect("a folder can be made");
    let output = command(&folder, &["--http", &address]).stderr(Stdio::piped()).output().expect("it can be run");
    let said = String::from_utf8(output.stderr).expect("it is text");
    let wanted =
        format!("error: {address} is in use; stop what listens there, or choose another address with --http\n");
    assert_eq!((output.status.success(), said), (false, wanted));
}

#[test]
fn without_a_wish_there_is_one_somewhere_and_none_with_no_http() {
    // Whoever has the usual port: this test, another, or somebody.
    let _held = TcpListener::bind("127.0.0.1:8080");
    let mut moved = Dev::start(&[]);
    let line = moved.line(&["page:", "Ctrl-C"]);
    assert!(line.contains("page:  http://127.0.0.1:") && line.ends_with(" (8080 is in use)"), "{line}");
    let mut none = Dev::start(&["--no-http"]);
    let line = none.line(&["page:", "Ctrl-C"]);
    assert!(line.contains("Ctrl-C"), "{line}");
}
