//! The examples, run as their comments say.

use std::{
    collections::BTreeSet,
    fs,
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    PATIENCE,
    client::Client,
    process::{Process, example},
};

/// An example that runs under its own `dev`.
struct Game {
    name: &'static str,
    process: Process,
    /// Where clients connect.
    address: String,
    /// Where the socket of `dev` is, and the manifest: no two tests share any.
    _folder: TempDir,
}

impl Game {
    fn dev(name: &'static str) -> Self {
        let folder = TempDir::new().expect("a folder");
        let mut command = Command::new(example(name));
        command.arg("dev").env("XDG_RUNTIME_DIR", folder.path());
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name).join("game.yaml");
        if manifest.exists() {
            let text = fs::read_to_string(manifest).expect("the manifest is text");
            let held = TcpListener::bind("127.0.0.1:0").expect("a port is free");
            let free = format!("port: {}", held.local_addr().expect("it is bound").port());
            assert!(text.contains("port: 3250"), "{text}");
            let copy = folder.path().join("game.yaml");
            fs::write(&copy, text.replace("port: 3250", &free)).expect("it can be written");
            command.arg("-f").arg(copy);
        } else {
            command.args(["--tcp", "127.0.0.1:0", "--ws", "127.0.0.1:0"]);
        }
        let mut process = Process::start(&mut command);
        let ready = process.line("ready: clients connect to");
        let address = ready.split("connect to ").nth(1).and_then(|rest| rest.split(' ').next()).expect("an address");
        Self { name, address: address.to_owned(), process, _folder: folder }
    }

    fn client(&self) -> Client<TcpStream> {
        let stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Client::new(stream)
    }

    /// What the example's own `request` prints: on standard output, on standard error.
    fn request(&self, route: &str, body: &str) -> (String, String) {
        let output = Command::new(example(self.name)).args(["request", &self.address, route, body]).output();
        let output = output.expect("it runs");
        let text = |bytes| String::from_utf8(bytes).expect("it is text");
        (text(output.stdout), text(output.stderr))
    }

    fn stop(self) {
        let status = self.process.stop(Signal::INT);
        assert!(status.success(), "{status}");
    }
}

#[test]
fn the_smallest_game_greets() {
    let mut game = Game::dev("smallest");
    let hint = game.process.line("try: ");
    assert!(hint.contains(r#"room.room.hello '{"name":"Ada"}'"#), "{hint}");
    let (answer, _) = game.request("room.room.hello", r#"{"name":"Ada"}"#);
    assert_eq!(answer, "{\"text\":\"hello, Ada\"}\n");
    let (_, error) = game.request("room.room.hello", r#"{"nam":"Ada"}"#);
    assert!(error.starts_with("PIT-400: ") && error.contains("missing field `name`"), "{error}");
    game.stop();
}

#[test]
fn what_players_of_a_match_send_goes_to_the_server_that_has_it() {
    let game = Game::dev("routing");
    assert_eq!(game.client().json("room.match.score", &json!(1)), Err("MATCH-1".to_owned()));
    let mut servers = BTreeSet::new();
    let mut matches = 0;
    // Nobody says where a match begins: in the end both servers have some.
    while servers.len() < 2 || matches < 8 {
        let (mut one, mut other) = (game.client(), game.client());
        let begun = one.json("room.match.begin", &Value::Null).expect("a match");
        servers.insert(begun["server"].as_str().expect("a name").to_owned());
        assert_eq!(other.json("connector.match.join", &begun).as_ref(), Ok(&begun));
        for total in [2, 6] {
            assert_eq!(one.json("room.match.score", &json!(2)), Ok(json!(total)), "{begun}");
            assert_eq!(other.json("room.match.score", &json!(2)), Ok(json!(total + 2)), "{begun}");
        }
        matches += 1;
        assert!(matches < 100, "all matches are on {servers:?}");
    }
    // A match on a server that is not there.
    let mut client = game.client();
    client.json("connector.match.join", &json!({ "server": "room-9", "number": 0 })).expect("nothing is looked up");
    assert_eq!(client.json("room.match.score", &json!(1)), Err("PIT-500".to_owned()));
    game.stop();
}

#[test]
fn rooms_pay_into_the_account_on_the_server_that_has_it() {
    let game = Game::dev("rpc");
    let mut servers = BTreeSet::new();
    for player in 0.. {
        let (mut client, name) = (game.client(), format!("player {player}"));
        assert_eq!(client.json("room.room.win", &Value::Null), Err("ROOM-1".to_owned()));
        let account = client.json("room.room.join", &json!(name)).expect("an account");
        assert_eq!(account["player"], *name);
        let coins: Vec<_> = (0..4).map(|_| client.json("room.room.win", &Value::Null)).collect();
        assert_eq!(coins, [10, 20, 30, 40].map(|coins| Ok(json!(coins))), "{account}");
        servers.insert(account["server"].as_str().expect("a name").to_owned());
        if servers.len() == 2 && player >= 8 {
            break;
        }
        assert!(player < 100, "all accounts are on {servers:?}");
    }
    assert_eq!(servers, ["bank-1", "bank-2"].map(str::to_owned).into());
    let theft = json!({ "player": "player 0", "coins": 1000 });
    assert_eq!(game.client().json("bank.bank.pay", &theft), Err("PIT-404".to_owned()), "it is for servers alone");
    game.stop();
}

#[test]
fn clients_learn_the_name_of_the_serializer_and_speak_it() {
    let game = Game::dev("messagepack");
    let mut client = game.client();
    assert_eq!(client.greeting["sys"]["serializer"], "msgpack");
    let pack = |value: &Value| rmp_serde::to_vec(value).expect("it can be packed");
    let unpack = |body: Vec<u8>| rmp_serde::from_slice::<Value>(&body).expect("it is MessagePack");
    let answer = client.request("room.room.hello", &pack(&json!({ "name": "Ada" })));
    assert_eq!(answer.map(unpack), Ok(json!({ "text": "hello, Ada" })));
    for wrong in [&b"{\"name\":\"Ada\"}"[..], &pack(&json!({ "nam": "Ada" }))] {
        let error = client.request("room.room.hello", wrong).map_err(unpack).expect_err("it is not understood");
        assert_eq!(error["code"], "PIT-400", "{error}");
    }
    // The game's own command line speaks it too.
    let (answer, _) = game.request("room.room.hello", r#"{"name":"Ada"}"#);
    assert_eq!(answer, "{\"text\":\"hello, Ada\"}\n");
    let (_, error) = game.request("room.room.hello", "{}");
    assert!(error.starts_with("PIT-400: ") && error.contains("missing field `name`"), "{error}");
    let (_, error) = game.request("room.room.hello", "Ada");
    assert!(error.contains("the body must be JSON: the server reads msgpack"), "{error}");
    game.stop();
}
