use std::{fs, path::PathBuf};

use proptest::prelude::*;
use serde_json::json;

use super::{CheckArguments, Report, check, documents, input::Source};

const ROOM: &str = "
apiVersion: cereus.dev/v1alpha1
kind: ServerType
metadata: { name: room }
spec: {}
";

/// Check files with these contents, as one folder.
fn folder(files: &[(&str, &str)]) -> anyhow::Result<Report> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let mut report = run(&[folder.path().to_owned()])?;
    let prefix = format!("{}/", folder.path().display());
    let strip = |text: &mut String| *text = text.replace(&prefix, "");
    report.checked.iter_mut().for_each(|checked| strip(&mut checked.place.file));
    report.passed_over.iter_mut().for_each(|passed| strip(&mut passed.place.file));
    report.problems.iter_mut().for_each(|problem| {
        strip(&mut problem.place.file);
        strip(&mut problem.message);
    });
    Ok(report)
}

fn run(paths: &[PathBuf]) -> anyhow::Result<Report> {
    check(&CheckArguments { paths: paths.to_vec(), binary: None, json: false })
}

fn said(text: &str) -> String {
    folder(&[("a.yaml", text)]).unwrap().to_string()
}

#[test]
fn what_is_right_is_counted() {
    assert_eq!(said(ROOM), "1 ServerType, 0 problems\n");
    assert_eq!(said("# nothing\n"), "0 ServerTypes, 0 problems\n");
    assert_eq!(said(&format!("---\n---{ROOM}---\n")), "1 ServerType, 0 problems\n");
}

#[test]
fn a_problem_is_told_with_its_line() {
    let text = "\
# a game
apiVersion: v1
kind: ConfigMap
metadata:
  name: other
---
apiVersion: cereus.dev/v1alpha1
kind: ServerType
metadata:
  name: connector
spec:
  replcias: 2
  frontend:
    acceptors:
      - name: tcp
        protocol: TCP
        port: 3250
      - name: tcp
        protocol: UDP
        port: 3251
      - { name: ws, protocol: WebSocket }
";
    assert_eq!(
        said(text),
        "\
a.yaml:2: passed over: v1 ConfigMap other
a.yaml:12: spec.replcias: unknown field; the nearest is spec.replicas
a.yaml:18: spec.frontend.acceptors[1].name = \"tcp\": must be unique, and spec.frontend.acceptors[0] is the same
a.yaml:19: spec.frontend.acceptors[1].protocol = \"UDP\": must be one of TCP, WebSocket
a.yaml:21: spec.frontend.acceptors[2].port: is missing (The port number, in the pod and in the Service, from 1 to 65535 and \
unique within the type)
1 ServerType, 4 problems
"
    );
}

#[test]
fn a_rule_is_told_at_the_line_of_what_breaks_it() {
    let text = format!("{}  drain:\n    deadline: 1s\n", ROOM.replace(" {}\n", "\n"));
    let said = said(&text);
    assert!(
        said.starts_with("a.yaml:7: spec.drain.deadline = \"1s\": must be at least drain.linger, which is 5s\n"),
        "{said}"
    );
}

#[test]
fn a_name_is_used_once() {
    let report = folder(&[("a.yaml", ROOM), ("b.yml", ROOM), ("c.txt", "no manifest")]).unwrap();
    let expected = "b.yml:4: metadata.name = \"room\": another ServerType has this name, in a.yaml:2";
    assert_eq!(report.to_string(), format!("{expected}\n2 ServerTypes, 1 problem\n"));
    let elsewhere = ROOM.replace("name: room", "name: room, namespace: other");
    assert_eq!(folder(&[("a.yaml", ROOM), ("b.yaml", &elsewhere)]).unwrap().problems.len(), 0);
}

#[test]
fn objects_of_a_list_are_objects() {
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": [
        { "apiVersion": "cereus.dev/v1alpha1", "kind": "ServerType", "metadata": { "name": "room" }, "spec": { "x": 1 } },
        { "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" } },
    ] });
    let report = folder(&[("a.json", &serde_json::to_string_pretty(&list).unwrap())]).unwrap();
    let said = report.to_string();
    assert!(said.contains(": items[0].spec.x: unknown field; there are autoscaling, "), "{said}");
    assert!(said.contains(": passed over: v1 Secret s\n"), "{said}");
    let tabs = serde_json::to_string_pretty(&list).unwrap().replace("  ", "\t");
    assert_eq!(folder(&[("a.json", &tabs)]).unwrap().problems.len(), 1);
}

#[test]
fn what_claims_to_be_ours_must_be() {
    let table = [
        (
            ROOM.replace("v1alpha1", "v2"),
            "a.yaml:2: apiVersion = \"cereus.dev/v2\": cereus.dev has ServerType in version",
        ),
        (ROOM.replace("ServerType", "Room"), "a.yaml:3: kind = \"Room\": cereus.dev has ServerType in version"),
        (ROOM.replace("kind: ServerType\n", ""), "a.yaml:2: kind: is missing; every object of Kubernetes"),
        (ROOM.replace("apiVersion: cereus.dev/v1alpha1\n", ""), "a.yaml:2: apiVersion: is missing; every object"),
        ("just text".to_owned(), "a.yaml:1: apiVersion: is missing"),
        (ROOM.replace("cereus.dev/", "example.com/"), "a.yaml:2: passed over: example.com/v1alpha1 ServerType room"),
    ];
    for (text, expected) in table {
        let said = said(&text);
        assert!(said.starts_with(expected), "{said}");
    }
}

#[test]
fn what_is_no_yaml_is_told_with_its_line() {
    let table = [
        ("a: [", "a.yaml:2: "),
        ("a: 1\nb: {\n", "a.yaml:3: "),
        ("a: 1\na: 2\n", "a.yaml:1: duplicate entry with key \"a\""),
        ("a: *nobody\n", "a.yaml:1: unknown anchor"),
    ];
    for (text, expected) in table {
        let said = said(text);
        assert!(said.starts_with(expected), "{text:?}: {said}");
        assert!(said.ends_with("0 ServerTypes, 1 problem\n"), "{text:?}: {said}");
    }
}

#[test]
fn anchors_and_merges_are_followed() {
    let text = format!("{}  x: &a {{ y: 1 }}\n  drain: {{ <<: *a, linger: 1s }}\n", ROOM.replace(" {}\n", "\n"));
    let said = said(&text);
    assert!(said.contains("a.yaml:7: spec.drain.y: unknown field; there are deadline, linger, spread\n"), "{said}");
}

#[test]
fn what_cannot_be_read_is_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let error = run(&[folder.path().to_owned()]).unwrap_err().to_string();
    assert!(error.ends_with("has no file that ends in .yaml, .yml or .json"), "{error}");
    let missing = folder.path().join("missing.yaml");
    assert!(run(&[missing]).unwrap_err().to_string().ends_with("missing.yaml cannot be read"));
    let binary = folder.path().join("binary.yaml");
    fs::write(&binary, [0xff, 0xfe]).unwrap();
    assert!(run(&[binary]).unwrap_err().to_string().ends_with("is not UTF-8 text"));
}

#[test]
fn programs_read_json() {
    let report = folder(&[("a.yaml", &ROOM.replace("{}", "{ replicas: -1 }"))]).unwrap();
    let expected = json!({
        "checked": [{ "file": "a.yaml", "line": 2, "namespace": null, "name": "room" }],
        "passedOver": [],
        "problems": [{ "file": "a.yaml", "line": 5, "path": "spec.replicas", "value": "-1", "message": "must be at least 0" }],
    });
    assert_eq!(serde_json::to_value(&report).unwrap(), expected);
}

#[test]
fn nothing_makes_it_panic() {
    let words = proptest::sample::select(vec![
        "a",
        "b: ",
        "- ",
        "\n",
        "  ",
        "\t",
        "{",
        "}",
        "[",
        "]",
        ", ",
        ": ",
        "&a ",
        "*a ",
        "<<: ",
        "|\n",
        ">\n",
        "\"",
        "'",
        "#",
        "---\n",
        "...\n",
        "? ",
        "!x ",
        "%YAML 1.2\n",
        "\u{feff}",
        "\u{2028}",
        "é",
        "apiVersion: cereus.dev/v1alpha1\n",
        "kind: ServerType\n",
        "kind: List\n",
        "items:\n",
        "metadata: { name: a }\n",
        "spec:\n",
    ]);
    let text = proptest::collection::vec(words, 0..40).prop_map(|words| words.concat());
    let config = ProptestConfig { cases: 2000, ..ProptestConfig::default() };
    proptest!(config, |(text in text)| {
        let source = Source { name: "a".to_owned(), text };
        for document in documents::read(&source).unwrap_or_default() {
            let _ = (document.place(), document.object());
        }
    });
}
