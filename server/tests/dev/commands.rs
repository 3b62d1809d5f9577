//! What other commands tell of a running `cereus dev`.

use std::process::{Command, Stdio};

use rustix::process::{Signal, kill_process};

use super::{BINARY, Dev, lines::Lines};

#[test]
fn yaml_is_what_json_is() {
    let dev = Dev::start();
    for what in ["types", "servers"] {
        let get = |format| {
            let (done, said) = dev.ask(&["get", what, "-o", format]);
            assert!(done, "{said}");
            said
        };
        let (yaml, json) = (get("yaml"), get("json"));
        assert!(yaml.starts_with("- ") && yaml.contains("\n  name: connector"), "{yaml}");
        let read: serde_json::Value = serde_yaml::from_str(&yaml).expect("it is YAML");
        assert_eq!(read, serde_json::from_str::<serde_json::Value>(&json).expect("it is JSON"));
    }
    dev.stop();
}

#[test]
fn logs_are_followed() {
    let dev = Dev::start();
    let mut command = Command::new(BINARY);
    command.args(["logs", "room-2", "--follow", "--tail", "1"]).env("XDG_RUNTIME_DIR", dev.folder.path());
    let mut follower = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = Lines::of(follower.stdout.take().expect("its output is a pipe"));
    // Any line: from now on it follows.
    lines.line(&[""]);
    let (name, pid) = dev.servers().pop().expect("there are servers");
    assert_eq!(name, "room-2");
    kill_process(pid, Signal::KILL).expect("it runs");
    let line = lines.line(&["ready"]);
    assert!(!line.starts_with("room-2"), "{line}");
    follower.kill().expect("it runs");
    follower.wait().expect("it is our child");
    dev.stop();
}
