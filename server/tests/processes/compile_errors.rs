//! What a game developer reads when a handler has a wrong signature.
//!
//! Each file of `server/tests/wrong_handlers` is compiled as a game would be, against the library that this test is built
//! with. Comments `//~ text` say what the compiler has to say about their line.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// What the compiler says about one line: the error, its labels and its notes, but not the source that it shows.
struct Complaint {
    line: u64,
    text: String,
}

/// The library as the tests that are built now use it: whatever was built last.
fn library(folder: &Path) -> PathBuf {
    let files = fs::read_dir(folder).expect("the tests are in it").map(|entry| entry.expect("it can be read"));
    let libraries = files.filter(|file| {
        let path = file.path();
        let is_library =
            path.file_stem().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("libcereus-"));
        is_library && path.extension().is_some_and(|extension| extension == "rlib")
    });
    let dated = libraries.map(|file| (file.metadata().and_then(|data| data.modified()).expect("a date"), file.path()));
    dated.max().expect("tests are built after the library").1
}

/// The errors of a file.
fn complaints(file: &Path) -> Vec<Complaint> {
    let test = env::current_exe().expect("the test is a file");
    let folder = test.parent().expect("target/<profile>/deps");
    let output = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command.args(["--edition", "2024", "--crate-type", "lib", "--emit", "metadata", "--error-format", "json"]);
    command.arg("--out-dir").arg(output.path()).arg("-L").arg(format!("dependency={}", folder.display()));
    command.arg("--extern").arg(format!("cereus={}", library(folder).display())).arg(file);
    let said = String::from_utf8(command.output().expect("the compiler runs").stderr).expect("it is text");
    let messages = said.lines().map(|line| serde_json::from_str::<Value>(line).expect("the compiler writes JSON"));
    let errors = messages.filter(|message| message["level"] == "error");
    let complaints = errors.filter_map(|message| {
        let spans = message["spans"].as_array()?;
        let primary = spans.iter().find(|span| span["is_primary"] == true)?;
        let labels = spans.iter().map(|span| &span["label"]);
        let notes = message["children"].as_array()?.iter().map(|note| &note["message"]);
        let texts = [&message["message"]].into_iter().chain(labels).chain(notes).filter_map(Value::as_str);
        Some(Complaint { line: primary["line_start"].as_u64()?, text: texts.collect::<Vec<_>>().join("\n") })
    });
    complaints.collect()
}

#[test]
fn a_wrong_handler_is_told_what_is_wrong_with_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wrong_handlers");
    let mut files = 0;
    for entry in fs::read_dir(folder).expect("there are some") {
        let file = entry.expect("it can be read").path();
        let source = fs::read_to_string(&file).expect("it is text");
        let complaints = complaints(&file);
        let [complaint] = complaints.as_slice() else { panic!("{} has {} errors", file.display(), complaints.len()) };
        let said = &complaint.text;
        let (number, line) = (1..).zip(source.lines()).find(|(_, line)| line.contains("//~ ")).expect("it is wrong");
        assert_eq!(complaint.line, number, "{}: {said}", file.display());
        for text in line.split("//~ ").skip(1) {
            assert!(said.contains(text.trim()), "{} must be told {text:?}, not\n{said}", file.display());
        }
        files += 1;
    }
    assert!(files >= 3, "{files}");
}
