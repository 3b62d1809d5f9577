//! Finding and reading source files.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The folders of our code.
const CRATES: [&str; 4] = ["server", "operator", "crds", "tests"];

/// Folders of what nobody writes by hand.
const GENERATED: [&str; 3] = ["target", "generated", "corpus"];

pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The top modules of a crate: its folders and files.
pub(crate) fn modules(source: &Path) -> Vec<String> {
    let names = entries(source).into_iter().filter_map(|path| {
        let name = path.file_stem()?.to_str()?.to_owned();
        let is_module = path.is_dir() || path.extension().is_some_and(|extension| extension == "rs");
        (is_module && name != "lib" && name != "main").then_some(name)
    });
    names.collect()
}

/// The source files of all crates.
pub(crate) fn all_rust_files(root: &Path) -> Vec<PathBuf> {
    CRATES.iter().flat_map(|name| rust_files(&root.join(name))).collect()
}

/// The source files below a folder, without generated ones.
pub(crate) fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in entries(folder) {
        let generated = path.file_name().is_some_and(|name| GENERATED.iter().any(|generated| name == *generated));
        if path.is_dir() && !generated {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a folder can be listed").path()).collect();
    paths.sort();
    paths
}

/// Rust source without comments and the contents of strings, so that what is left is code.
pub(crate) fn code(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    for line in source.lines() {
        let mut in_string = false;
        let mut characters = line.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '\\' if in_string => drop(characters.next()),
                '"' => in_string = !in_string,
                '/' if !in_string && characters.peek() == Some(&'/') => break,
                _ if in_string => {}
                other => code.push(other),
            }
        }
        code.push('\n');
    }
    code
}

#[test]
fn comments_and_strings_are_no_code() {
    assert_eq!(code("use a; // use b;\n/// [`c`]\nlet d = \"e \\\" // f\"; g"), "use a; \n\nlet d = ; g\n");
}
