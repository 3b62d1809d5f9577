//! The rules of this repository: what a reviewer would otherwise have to look for.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod documents;
mod imports;
mod sources;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Longest source file. Past 300 lines ask whether it is still one idea.
const LONGEST_FILE: usize = 500;

/// Longest example: it is read as a whole.
const LONGEST_EXAMPLE: usize = 100;

/// The top of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate has a parent").to_owned()
}

fn check(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn imports_point_down_the_alphabet() {
    let source = root().join("server/src");
    let modules = sources::modules(&source);
    assert!(modules.len() > 10, "only {modules:?} were found");
    let files = sources::rust_files(&source);
    let complaints = files.iter().filter_map(|file| {
        let path = file.strip_prefix(&source).ok()?;
        let wrong = imports::wrong(path, &sources::read(file), &modules);
        (!wrong.is_empty()).then(|| format!("{} imports {}", file.display(), wrong.join(", ")))
    });
    check(&complaints.collect::<Vec<_>>());
}

#[test]
fn no_file_is_longer_than_500_lines() {
    let too_long = sources::all_rust_files(&root()).into_iter().filter_map(|file| {
        let lines = sources::read(&file).lines().count();
        (lines > LONGEST_FILE).then(|| format!("{} has {lines} lines", file.display()))
    });
    check(&too_long.collect::<Vec<_>>());
}

#[test]
fn nothing_that_is_ignored_is_committed() {
    let mut list = Command::new("git");
    list.args(["ls-files", "--cached", "--ignored", "--exclude-standard"]).current_dir(root());
    let list = list.output().expect("git runs");
    assert!(list.status.success(), "{}", String::from_utf8_lossy(&list.stderr));
    assert_eq!(String::from_utf8_lossy(&list.stdout), "", "these are build output: git rm --cached");
}

#[test]
fn every_folder_of_modules_says_what_it_is() {
    let silent = sources::all_rust_files(&root()).into_iter().filter(|file| {
        let opens = ["mod.rs", "lib.rs", "main.rs"].iter().any(|name| file.ends_with(name));
        let of_tests = file.parent().is_some_and(|folder| folder.ends_with("src") || folder.ends_with("tests"));
        let says = sources::read(file).starts_with("//!");
        opens && !says && !(of_tests && file.ends_with("mod.rs"))
    });
    check(&silent.map(|file| format!("{} does not open with //!", file.display())).collect::<Vec<_>>());
}

#[test]
fn there_is_no_place_for_what_has_no_place() {
    let vague = ["utils", "util", "helpers", "common", "misc"];
    let files = sources::rust_files(&root().join("server/src")).into_iter().filter(|file| {
        file.components().any(|part| vague.iter().any(|name| Path::new(&part).file_stem() == Some(name.as_ref())))
    });
    check(&files.map(|file| format!("{}: say what it is for", file.display())).collect::<Vec<_>>());
}

#[test]
fn architecture_names_what_exists() {
    let text = sources::read(&root().join("ARCHITECTURE.md"));
    let names = documents::functions(&text);
    assert!(names.len() > 10, "only {names:?} were found");
    let source = root().join("server/src");
    let missing = names.iter().filter(|name| !documents::function_exists(&source, name));
    let mut complaints: Vec<String> = missing.map(|name| format!("there is no function {name}")).collect();
    // A module is called by its folder, anything else by its path.
    let exists = |path: &String| root().join(path).exists() || source.join(path).exists();
    let paths = documents::paths(&text).into_iter().filter(|path| !exists(path));
    complaints.extend(paths.map(|path| format!("there is no {path}")));
    check(&complaints);
}

#[test]
fn documents_link_to_files_that_exist() {
    let mut complaints = Vec::new();
    for document in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "SECURITY.md",
        "charts/README.md",
        "charts/operations.md",
        "operator/README.md",
        "server/examples/README.md",
    ] {
        let path = root().join(document);
        let folder = path.parent().expect("a file is in a folder").to_owned();
        let dead = documents::links(&sources::read(&path)).into_iter().filter(|link| !folder.join(link).exists());
        complaints.extend(dead.map(|link| format!("{document} links to {link}")));
    }
    check(&complaints);
}

#[test]
fn examples_are_short_and_listed_with_their_command() {
    let folder = root().join("server/examples");
    let list = sources::read(&folder.join("README.md"));
    let links = documents::links(&list);
    let mut complaints = Vec::new();
    for file in sources::rust_files(&folder) {
        let text = sources::read(&file);
        let length = text.lines().count();
        if length > LONGEST_EXAMPLE {
            complaints.push(format!("{} has {length} lines", file.display()));
        }
        let path = file.strip_prefix(&folder).expect("it was found there").display().to_string();
        let command = documents::commands(&text.replace("//! ", "")).into_iter().next().unwrap_or_default();
        if !links.contains(&path) || command.is_empty() || !list.contains(&format!("`{command}`")) {
            complaints.push(format!("server/examples/README.md does not tell of {path} and `{command}`"));
        }
    }
    check(&complaints);
}

/// Those on a cluster are run, and their output compared, by the tests on Kubernetes.
#[test]
fn commands_of_the_readme_are_those_that_are_run() {
    let (local, on_cluster) = documents::without_section(&sources::read(&root().join("README.md")), "On Kubernetes");
    assert!(on_cluster.contains("```sh\nhelm install "), "{on_cluster}");
    let told = documents::commands(&local);
    let run = documents::heredoc(&sources::read(&root().join("tests/readme")));
    assert!(!told.is_empty());
    assert_eq!(told, run, "README.md tells (left) what tests/readme does not run (right)");
}
