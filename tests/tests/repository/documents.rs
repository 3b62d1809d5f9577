//! What the documents say, as far as it can be checked.

use std::path::Path;

use crate::sources;

/// The functions that a document names: inline code that ends in `()`, such as `handler::execute()`.
pub(crate) fn functions(text: &str) -> Vec<String> {
    let calls = inline_code(text).into_iter().filter_map(|code| code.strip_suffix("()").map(str::to_owned));
    calls.collect()
}

/// Whether a function is there: its first segment names the top module that has it, its last the function. A name
/// without segments may be anywhere.
pub(crate) fn function_exists(source: &Path, name: &str) -> bool {
    let segments: Vec<&str> = name.split("::").collect();
    let function = segments.last().copied().unwrap_or_default();
    let folder = match segments.as_slice() {
        [module, _, ..] if source.join(module).is_dir() => source.join(module),
        [_] => source.to_owned(),
        _ => return false,
    };
    let definition = format!("fn {function}");
    sources::rust_files(&folder).iter().any(|file| {
        let code = sources::code(&sources::read(file));
        code.match_indices(&definition).any(|(start, _)| {
            let rest = code.get(start + definition.len()..).unwrap_or_default();
            rest.starts_with(['(', '<'])
        })
    })
}

/// The paths that a document names: inline code that ends in `/` or in the name of a known kind of file.
pub(crate) fn paths(text: &str) -> Vec<String> {
    let is_path = |code: &String| {
        let file = [".rs", ".md", ".toml"].iter().any(|extension| code.ends_with(extension));
        code.contains('/')
            && (file || code.ends_with('/'))
            && !code.contains([' ', '<', '{', '*'])
            && !code.starts_with('/')
    };
    inline_code(text).into_iter().filter(is_path).collect()
}

/// The files that a document links to.
pub(crate) fn links(text: &str) -> Vec<String> {
    let targets = text.match_indices("](").filter_map(|(start, _)| {
        let target = text.get(start + 2..)?.split(')').next()?;
        let target = target.split('#').next()?;
        (!target.is_empty() && !target.contains("://")).then(|| target.to_owned())
    });
    targets.collect()
}

/// The commands of a document: the lines of its `sh` blocks, without comments.
pub(crate) fn commands(text: &str) -> Vec<String> {
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    lines(blocks.flat_map(str::lines))
}

/// A document without one of its sections, and that section.
pub(crate) fn without_section(text: &str, heading: &str) -> (String, String) {
    let (before, rest) = text.split_once(&format!("\n## {heading}\n")).unwrap_or((text, ""));
    let end = rest.find("\n## ").unwrap_or(rest.len());
    let (section, after) = rest.split_at(end);
    (format!("{before}{after}"), section.to_owned())
}

/// The lines of the first here-document of a shell script.
pub(crate) fn heredoc(script: &str) -> Vec<String> {
    let body = script.split("<<'END'\n").nth(1).and_then(|rest| rest.split("\nEND\n").next()).unwrap_or_default();
    lines(body.lines())
}

fn lines<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let told = lines.map(|line| line.split(" # ").next().unwrap_or(line).trim());
    told.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

fn inline_code(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

#[test]
fn documents_are_read() {
    let text = "See `a::b()` and `c` in `server/src/`.\n```sh\n# first\ncargo run   # what it does\n\ntests/run\n```\n\
                [x](y.md#z), [w](https://v) and `d()`\n```\n`no()`\n```\n";
    assert_eq!(functions(text), ["a::b", "d"]);
    assert_eq!(paths(text), ["server/src/"]);
    assert_eq!(commands(text), ["cargo run", "tests/run"]);
    assert_eq!(links(text), ["y.md"]);
    assert_eq!(without_section("a\n## b\nc\n## d\n", "b"), ("a\n## d\n".to_owned(), "c".to_owned()));
    assert_eq!(heredoc("x=$(cat <<'END'\na b\n# c\nd\nEND\n)\n"), ["a b", "d"]);
}

#[test]
fn functions_are_found_where_they_are_said_to_be() {
    let source = crate::root().join("server/src");
    assert!(function_exists(&source, "wire::duration::parse"));
    assert!(function_exists(&source, "parse"));
    assert!(!function_exists(&source, "session::no_such_function"));
    assert!(!function_exists(&source, "no_such_module::parse"));
    assert!(!function_exists(&source, "wire::duration::par"));
}
