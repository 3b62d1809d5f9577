//! `cereus check` as a person or a pipeline runs it.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use cereus_tests::process::binary;
use serde_json::{Value, json};
use tempfile::TempDir;

const RIGHT: &str = "\
apiVersion: cereus.dev/v1alpha1
kind: ServerType
metadata:
  name: connector
spec:
  frontend:
    acceptors:
      - { name: tcp, protocol: TCP, port: 3250 }
  config:
    server: { workers: 2 }
---
apiVersion: cereus.dev/v1alpha1
kind: ServerType
metadata:
  name: room
spec:
  replicas: 2
  routing: { policy: sticky }
";

/// What one run said, and its exit code.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    code: Option<i32>,
    output: String,
    errors: String,
}

fn check(folder: &Path, arguments: &[&str], input: &str) -> Run {
    let mut command = Command::new(binary("cereus").unwrap());
    command.arg("check").args(arguments).current_dir(folder);
    // What is set for the person's own servers says nothing about a manifest.
    command.env("CEREUS__SERVER__WORKERS", "many");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code(), output: text(output.stdout), errors: text(output.stderr) }
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

#[test]
fn the_exit_code_says_whether_manifests_are_right() {
    let wrong = RIGHT.replace("sticky", "stiky");
    let folder = folder(&[("right.yaml", RIGHT), ("wrong.yaml", &wrong)]);
    let run = check(folder.path(), &["right.yaml"], "");
    assert_eq!(run, Run { code: Some(0), output: "2 ServerTypes, 0 problems\n".into(), errors: String::new() });
    let expected = "spec.routing.policy = \"stiky\": must be one of leastPending, random, roundRobin, hash, sticky; the \
                    nearest is sticky\n2 ServerTypes, 1 problem\n";
    let run = check(folder.path(), &["wrong.yaml"], "");
    assert_eq!((run.code, run.output), (Some(1), format!("wrong.yaml:18: {expected}")));
    let run = check(folder.path(), &["-"], &wrong);
    assert_eq!((run.code, run.output), (Some(1), format!("standard input:18: {expected}")));
    // Both files of the folder have the same names in them.
    let run = check(folder.path(), &["."], "");
    assert_eq!(run.code, Some(1));
    assert_eq!(run.output.matches("another ServerType has this name, in ./right.yaml:").count(), 2, "{run:?}");
    let run = check(folder.path(), &["missing.yaml"], "");
    assert_eq!((run.code, &*run.output), (Some(2), ""));
    assert!(run.errors.starts_with("error: missing.yaml cannot be read"), "{run:?}");
    assert_eq!(check(folder.path(), &[], "").code, Some(2));
}

#[test]
fn programs_get_json() {
    let folder = folder(&[("a.yaml", &RIGHT.replace("replicas: 2", "replicas: two"))]);
    let run = check(folder.path(), &["--json", "a.yaml"], "");
    let report: Value = serde_json::from_str(&run.output).unwrap();
    assert_eq!(run.code, Some(1));
    assert_eq!(report["checked"].as_array().unwrap().len(), 2);
    let problem = json!({
        "file": "a.yaml", "line": 17, "path": "spec.replicas", "value": "\"two\"", "message": "must be an integer",
    });
    assert_eq!(report["problems"], json!([problem]));
}

#[test]
fn a_binary_is_asked_about_its_configuration() {
    let own = binary("cereus").unwrap();
    let own = own.to_str().unwrap();
    let wrong = RIGHT.replace("workers: 2", "{ workers: 0, serialiser: json }").replace("{ {", "{").replace("} }", "}");
    let pitaya = RIGHT.replace("  replicas: 2\n", "  protocol: pitaya\n  config: { anything: goes }\n");
    let folder = folder(&[("right.yaml", RIGHT), ("wrong.yaml", &wrong), ("pitaya.yaml", &pitaya)]);
    let run = check(folder.path(), &["--binary", own, "right.yaml"], "");
    assert_eq!((run.code, &*run.output), (Some(0), "2 ServerTypes, 0 problems\n"), "{run:?}");
    // Without the binary nobody knows.
    assert_eq!(check(folder.path(), &["wrong.yaml"], "").code, Some(0));
    let run = check(folder.path(), &["--binary", own, "wrong.yaml"], "");
    let expected = "wrong.yaml:10: spec.config.server.serialiser: unknown key; the nearest is server.serializer\n";
    assert!(run.code == Some(1) && run.output.starts_with(expected), "{run:?}");
    let run = check(folder.path(), &["--binary", own, "pitaya.yaml"], "");
    let passed = "passed over: the config of room, which runs another binary: its protocol is pitaya\n";
    assert!(run.code == Some(0) && run.output.contains(passed), "{run:?}");
}

#[test]
fn a_binary_that_is_none_is_an_error() {
    let folder = folder(&[("right.yaml", RIGHT)]);
    for (path, said) in [("/bin/true", "/bin/true is no binary of a game"), ("./none", "./none cannot be run")] {
        let run = check(folder.path(), &["--binary", path, "right.yaml"], "");
        assert_eq!((run.code, &*run.output), (Some(2), ""), "{path}");
        assert!(run.errors.starts_with(&format!("error: {said}")), "{run:?}");
    }
}
