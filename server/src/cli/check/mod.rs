//! `cereus check`: whether manifests are right, as the API server of a cluster would say it, without a cluster.
//!
//! Files are read as `kubectl apply` reads them, ServerTypes are validated by what the operator uses too, and each problem
//! is told with its file and line. What the API server cannot know, whether the servers take their `config`, is asked of
//! the binary that is to run.

mod binary;
mod documents;
mod input;
mod marks;
mod report;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use cereus_crds::{Path, Protocol, ServerType, ServerTypeSpec, Validator, names::GROUP};
use clap::Args;
use serde_json::Value;

use self::{
    binary::Binary,
    documents::Document,
    input::Source,
    report::{Checked, PassedOver, Place, Report},
};

/// The exit code when nothing could be checked: a file cannot be read, the binary is none.
const CANNOT: u8 = 2;

/// The only kind of our group.
const API_VERSION: &str = "cereus.dev/v1alpha1";
const KIND: &str = "ServerType";

/// What to check, and how to say what was found.
#[derive(Debug, Clone, Args)]
pub(crate) struct CheckArguments {
    /// Manifests in YAML or JSON; of a folder, its files that end in .yaml, .yml or .json. `-` is standard input.
    #[arg(required = true, value_name = "FILE|FOLDER")]
    paths: Vec<PathBuf>,
    /// Check the `config` of each ServerType as this binary of the game would take it.
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// Print one JSON object, for programs.
    #[arg(long)]
    json: bool,
}

/// Check, and print what was found.
pub(crate) fn run(arguments: &CheckArguments) -> anyhow::Result<ExitCode> {
    let result = check(arguments);
    let report = match result {
        Ok(report) => report,
        Err(error) => {
            // Nobody is left to tell when standard error is closed.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            return Ok(ExitCode::from(CANNOT));
        }
    };
    let mut output = io::stdout().lock();
    if arguments.json {
        serde_json::to_writer(&mut output, &report)?;
        writeln!(output)?;
    } else {
        write!(output, "{report}")?;
    }
    Ok(if report.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn check(arguments: &CheckArguments) -> anyhow::Result<Report> {
    let sources = input::read(&arguments.paths)?;
    let mut check = Check::default();
    for source in &sources {
        check.source(source);
    }
    if let Some(path) = &arguments.binary {
        check.configs(&Binary::new(path))?;
    }
    check.report.sort(&sources);
    Ok(check.report)
}

/// Where manifests to run are.
#[derive(Debug, Clone)]
pub(super) enum Manifests {
    /// In these files and folders.
    Paths(Vec<PathBuf>),
    /// In this text.
    Text { name: &'static str, text: String },
}

/// Read manifests that are to run: each as it is written and as it was understood, or the report that says what is wrong.
/// `old` is what runs, by name: some of it cannot be changed. `binary` is asked about configurations.
pub(super) fn load(
    manifests: &Manifests,
    old: &BTreeMap<String, Value>,
    binary: &std::path::Path,
) -> anyhow::Result<Result<Vec<(Value, ServerType)>, String>> {
    let sources = match manifests {
        Manifests::Paths(paths) => input::read(paths)?,
        Manifests::Text { name, text } => vec![Source { name: (*name).to_owned(), text: text.clone() }],
    };
    let mut check = Check { old: old.clone(), ..Check::default() };
    for source in &sources {
        check.source(source);
    }
    let is_set = |spec: &ServerTypeSpec| !spec.config.is_empty() || !spec.template.env.is_empty();
    if check.right.iter().any(|(_, server_type)| is_set(&server_type.spec)) {
        check.configs(&Binary::new(binary))?;
    }
    if check.report.problems.is_empty() {
        return Ok(Ok(check.right.into_iter().map(|(document, read)| (document.value, read)).collect()));
    }
    check.report.passed_over.clear();
    check.report.sort(&sources);
    Ok(Err(check.report.to_string()))
}

/// A check on its way.
#[derive(Default)]
struct Check<'a> {
    validator: Validator,
    /// What is replaced, by name.
    old: BTreeMap<String, Value>,
    report: Report,
    /// The ServerTypes that are right so far.
    right: Vec<(Document<'a>, ServerType)>,
}

impl<'a> Check<'a> {
    fn source(&mut self, source: &'a Source) {
        match documents::read(source) {
            Ok(documents) => documents.into_iter().for_each(|document| self.document(document)),
            Err(problem) => self.report.problems.push(problem),
        }
    }

    fn document(&mut self, document: Document<'a>) {
        let field = |name: &str| document.value.get(name).and_then(Value::as_str);
        match (field("apiVersion"), field("kind")) {
            (Some(API_VERSION), Some(KIND)) => self.server_type(document),
            (Some(version), Some(kind)) if version.split('/').next() == Some(GROUP) => {
                let (name, value) = if kind == KIND { ("apiVersion", version) } else { ("kind", kind) };
                let message = format!("{GROUP} has {KIND} in version {API_VERSION} and nothing else");
                self.wrong(&document, &Path::default().key(name), Some(Value::from(value).to_string()), message);
            }
            (Some(_), Some(_)) => {
                self.report.passed_over.push(PassedOver { place: document.place(), object: document.object() });
            }
            (version, _) => {
                let name = if version.is_none() { "apiVersion" } else { "kind" };
                let message = "is missing; every object of Kubernetes says what it is".to_owned();
                self.wrong(&document, &Path::default().key(name), None, message);
            }
        }
    }

    fn server_type(&mut self, document: Document<'a>) {
        let name = document.name().unwrap_or_default().to_owned();
        let namespace = document.namespace().map(str::to_owned);
        let same = |known: &&Checked| known.name == name && known.namespace == namespace && !name.is_empty();
        if let Some(first) = self.report.checked.iter().find(same) {
            let message = format!("another {KIND} has this name, in {}", first.place);
            let path = Path::default().key("metadata").key("name");
            self.wrong(&document, &path, Some(Value::from(name.clone()).to_string()), message);
        }
        self.report.checked.push(Checked { place: document.place(), namespace, name: name.clone() });
        match self.validator.validate(&document.value, self.old.get(&name)) {
            Ok(server_type) => self.right.push((document, server_type)),
            Err(problems) => {
                for problem in problems {
                    let value = problem.shown_value();
                    self.wrong(&document, &problem.path, value, problem.message);
                }
            }
        }
    }

    /// Ask the binary about the configurations of all that is right otherwise.
    fn configs(&mut self, binary: &Binary<'_>) -> anyhow::Result<()> {
        let right = std::mem::take(&mut self.right);
        for (document, server_type) in &right {
            let name = document.name().unwrap_or_default();
            if server_type.spec.protocol == Protocol::Pitaya {
                let object = format!("the config of {name}, which runs another binary: its protocol is pitaya");
                self.report.passed_over.push(PassedOver { place: document.place(), object });
                continue;
            }
            for problem in binary.check(name, &server_type.spec)? {
                let (path, message) = binary::place(&problem, &document.value);
                self.wrong(document, &path, problem.value, message);
            }
        }
        self.right = right;
        Ok(())
    }

    fn wrong(&mut self, document: &Document<'_>, path: &Path, value: Option<String>, message: String) {
        let path = document.within(path);
        let place = Place { line: document.line(&path), ..document.place() };
        self.report.problems.push(report::Problem { place, path: path.to_string(), value, message });
    }
}
