//! Which top modules a file imports, and which of them it must not.

use std::path::Path;

use crate::sources;

/// The composition root sees everything but the command line.
const COMPOSITION_ROOT: &str = "app";
/// The command line sees everything, and nothing sees it.
const COMMAND_LINE: &str = "cli";

/// The modules that this file imports and must not. `path` is below `src`.
pub(crate) fn wrong(path: &Path, source: &str, modules: &[String]) -> Vec<String> {
    let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
    // lib.rs and main.rs hold the crate together.
    let Some(own) =
        parts.first().map(|part| part.trim_end_matches(".rs")).filter(|own| *own != "lib" && *own != "main")
    else {
        return Vec::new();
    };
    // How many `super` lead from this file to the root of the crate.
    let depth = if parts.last() == Some(&"mod.rs") { parts.len() - 1 } else { parts.len() };
    let code = sources::code(source);
    let mut names = after(&code, "crate::");
    names.extend(after(&code, &"super::".repeat(depth)));
    let mut wrong: Vec<String> = names
        .into_iter()
        .filter(|name| modules.contains(name) && !may_import(own, name) && !declares(&code, name))
        .collect();
    wrong.sort();
    wrong.dedup();
    wrong
}

fn may_import(own: &str, other: &str) -> bool {
    match (own, other) {
        _ if own == other => true,
        (COMMAND_LINE, _) => true,
        (_, COMMAND_LINE) => false,
        (COMPOSITION_ROOT, _) => true,
        (_, COMPOSITION_ROOT) => false,
        _ => own < other,
    }
}

/// A submodule may be called what a top module is called.
fn declares(code: &str, name: &str) -> bool {
    code.contains(&format!("mod {name};"))
}

/// The names that follow a path, also those in braces: `a` and `d` in `crate::{a::{b, c}, d}`.
fn after(code: &str, path: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (start, _) in code.match_indices(path) {
        let before = code.get(..start).unwrap_or_default();
        // The end of a longer word (`my_crate::`) or path (`$crate::` is our own macro, and means the root as well).
        if before.ends_with(|c: char| c.is_alphanumeric() || c == '_') || before.ends_with("super::") {
            continue;
        }
        let rest = code.get(start + path.len()..).unwrap_or_default();
        match rest.strip_prefix('{') {
            Some(group) => names.extend(group_names(group)),
            None => names.push(identifier(rest)),
        }
    }
    names
}

fn group_names(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 1;
    let mut expected = true;
    for (index, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => expected = true,
            character if depth == 1 && expected && !character.is_whitespace() => {
                names.push(identifier(group.get(index..).unwrap_or_default()));
                expected = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn upward_imports_are_found_however_they_are_written() {
    let modules = ["acceptor", "agent", "app", "cli", "dispatch", "request", "router", "wire"].map(str::to_owned);
    let table: [(&str, &str, &[&str]); 15] = [
        ("agent/mod.rs", "use crate::wire::Packet;", &[]),
        ("agent/mod.rs", "use crate::agent::Other;", &[]),
        ("agent/mod.rs", "use crate::acceptor::Permit;", &["acceptor"]),
        (
            "wire/packet.rs",
            "use crate::{\n    agent::{a, dispatch},\n    request,\n    wire::b,\n};",
            &["agent", "request"],
        ),
        ("wire/packet.rs", "fn f() { crate::router::g() }", &["router"]),
        ("wire/packet.rs", "// crate::router is not imported\nlet text = \"crate::router\";", &[]),
        ("router/mod.rs", "use super::agent::X;", &["agent"]),
        ("router/mod.rs", "use super::wire::X;", &[]),
        ("router/policy/random.rs", "use super::super::super::agent::X;", &["agent"]),
        ("router/policy/random.rs", "use super::super::agent::X;", &[]),
        ("app/run.rs", "use crate::{acceptor, wire}; use crate::cli;", &["cli"]),
        ("cli/mod.rs", "mod request; use crate::{app, acceptor}; use self::request::R;", &[]),
        ("dispatch/mod.rs", "use crate::app::Settings;", &["app"]),
        ("dispatch/mod.rs", "use other_crate::agent;", &[]),
        ("lib.rs", "pub use crate::acceptor::A;", &[]),
    ];
    for (path, source, expected) in table {
        assert_eq!(wrong(Path::new(path), source, &modules), expected, "{path}: {source}");
    }
}
