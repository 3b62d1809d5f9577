//! One configuration from three places: a YAML file, the environment (`CEREUS__SECTION__KEY`), and flags; the later wins.
//!
//! The layers are merged as trees, checked against the schema of what they are read into, and deserialized once. So a key
//! that nothing reads is an error with the nearest key that exists, and a wrong value is an error with its place and what
//! is right. Where each value came from is kept.
//!
//! [`Settings`] is made of sections that belong to the modules they configure; only those of the server as a whole are
//! here. A game adds sections of its own with [`Loader::section`]. What stands where is told by [`Loader::keys`].

mod environment;
mod keys;
mod layers;
mod problem;
mod schema;
mod settings;

#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub(crate) use self::{
    keys::Key,
    layers::Origin,
    problem::{Problem, Report},
    settings::{SerializerName, Settings, Topology as TopologySettings},
};
use self::{layers::Layers, schema::Schema};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file is not there or not readable.
    #[error("{} cannot be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not YAML.
    #[error("{} is not a configuration: {message}", .path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        message: String,
    },
    /// Keys or values are wrong; all that were found, one a line.
    #[error("{}", problem::list(.0))]
    Invalid(Vec<Problem>),
}

impl ConfigError {
    /// Whether nothing is wrong but that keys are not set.
    pub(crate) fn is_incomplete(&self) -> bool {
        matches!(self, Self::Invalid(problems) if problems.iter().all(|p| matches!(p, Problem::Missing { .. })))
    }

    /// All that is wrong, for a program that asked.
    pub(crate) fn reports(&self) -> Vec<Report> {
        match self {
            Self::Invalid(problems) => problems.iter().map(Problem::report).collect(),
            Self::Parse { message, .. } => vec![Report::of_all(message.clone())],
            Self::Read { .. } => vec![Report::of_all(self.to_string())],
        }
    }
}

/// Collects the layers, lowest first.
#[derive(Debug)]
pub(crate) struct Loader {
    schema: Schema,
    sections: Vec<String>,
    layers: Layers,
    problems: Vec<Problem>,
}

impl Loader {
    /// For a configuration that is read into `T`.
    pub(crate) fn new<T: JsonSchema>() -> Self {
        Self { schema: Schema::of::<T>(), sections: Vec::new(), layers: Layers::default(), problems: Vec::new() }
    }

    /// Add a section of the game, read with [`Loaded::section`].
    pub(crate) fn section(&mut self, name: &str, schema: schemars::Schema) -> &mut Self {
        if self.schema.root().keys().contains(name) {
            self.problems.push(Problem::Taken { name: name.to_owned() });
        }
        self.schema.add(name, schema);
        self.sections.push(name.to_owned());
        self
    }

    /// Layer a YAML file.
    pub(crate) fn file(&mut self, path: &Path) -> Result<&mut Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        self.text_of_file(&text, path)
    }

    /// Layer the text of a YAML file that is called `path`.
    pub(crate) fn text_of_file(&mut self, text: &str, path: &Path) -> Result<&mut Self, ConfigError> {
        let parse = |message| ConfigError::Parse { path: path.to_owned(), message };
        let value = yaml(text).map_err(parse)?;
        match self.schema.root().without_needless_nulls(value) {
            Value::Object(_) if text.trim().is_empty() => {}
            value @ Value::Object(_) => self.layers.merge(value, &Origin::File(path.to_owned())),
            Value::Null => {}
            _ => return Err(parse("it must hold sections, such as `server:`".to_owned())),
        }
        Ok(self)
    }

    /// Layer the variables whose names begin with `CEREUS__`.
    pub(crate) fn environment(&mut self, variables: impl IntoIterator<Item = (OsString, OsString)>) -> &mut Self {
        for variable in environment::select(variables) {
            let Ok(value) = variable.value.into_string() else {
                self.problems.push(Problem::NotText { name: variable.name });
                continue;
            };
            let path = self.schema.root().spell(&variable.segments);
            self.text(&path, &value, &Origin::Environment(variable.name));
        }
        self
    }

    /// Layer one flag whose value is already typed.
    pub(crate) fn flag(&mut self, flag: &str, path: &[&str], value: Value) -> &mut Self {
        let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
        self.layers.merge(layers::nest(&path, value), &Origin::Flag(flag.to_owned()));
        self
    }

    /// Layer one `section.key=value`, as a flag such as `--set` takes it.
    pub(crate) fn set(&mut self, flag: &str, assignment: &str) -> &mut Self {
        match assignment.split_once('=') {
            Some((path, text)) if !path.is_empty() => {
                let path: Vec<String> = path.split('.').map(str::to_owned).collect();
                self.text(&path, text, &Origin::Flag(format!("{flag} {assignment}")));
            }
            _ => self.problems.push(Problem::NoAssignment { flag: flag.to_owned(), text: assignment.to_owned() }),
        }
        self
    }

    /// Every key there is, with what the layers say about it so far; whether that is right is not looked at.
    pub(crate) fn keys(&self) -> Vec<Key> {
        keys::list(&self.schema, &self.layers)
    }

    /// Check the keys of all layers.
    pub(crate) fn finish(self) -> Result<Loaded, ConfigError> {
        let Self { schema, sections, layers, mut problems } = self;
        schema.root().check(layers.tree(), &layers, &mut problems);
        if problems.is_empty() { Ok(Loaded { schema, sections, layers }) } else { Err(ConfigError::Invalid(problems)) }
    }

    /// Layer a value that was given as text: text stays text where the schema wants text, anything else is read as YAML.
    fn text(&mut self, path: &[String], text: &str, origin: &Origin) {
        let wants_text = self.schema.root().descend(path).is_some_and(|node| node.wants_text());
        let value = if wants_text { Value::from(text) } else { yaml(text).unwrap_or_else(|_| Value::from(text)) };
        self.layers.merge(layers::nest(path, value), origin);
    }
}

/// The merged configuration; every key in it is known.
#[derive(Debug)]
pub(crate) struct Loaded {
    schema: Schema,
    sections: Vec<String>,
    layers: Layers,
}

impl Loaded {
    /// Read everything but the sections of the game.
    pub(crate) fn settings<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        let mut tree = self.layers.tree().clone();
        if let Value::Object(root) = &mut tree {
            root.retain(|name, _| !self.sections.contains(name));
        }
        self.read(&tree, "")
    }

    /// Read one section of the game; an absent one is read as if it were empty.
    pub(crate) fn section<T: DeserializeOwned>(&self, name: &str) -> Result<T, ConfigError> {
        let section = self.layers.tree().get(name).cloned();
        self.read(&section.unwrap_or_else(|| Value::Object(Map::new())), name)
    }

    fn read<T: DeserializeOwned>(&self, tree: &Value, prefix: &str) -> Result<T, ConfigError> {
        serde_path_to_error::deserialize(tree).map_err(|error| {
            let inner = error.path().to_string();
            let inner = if inner == "." { String::new() } else { inner };
            let path = layers::join(prefix, &inner);
            let problem = self.wrong(path, &error.into_inner().to_string());
            ConfigError::Invalid(vec![problem])
        })
    }

    fn wrong(&self, path: String, message: &str) -> Problem {
        let node = self.schema.root().descend(&layers::split(&path));
        let secret = node.as_ref().is_some_and(schema::Node::is_secret);
        let value = self.layers.get(&path).filter(|_| !secret).map(Value::to_string);
        Problem::Wrong {
            origin: self.layers.origin(&path).cloned(),
            value,
            message: if secret { "the value is wrong".to_owned() } else { message.to_owned() },
            meaning: node.and_then(|node| node.meaning()),
            path,
        }
    }
}

/// Read YAML strictly: a key that stands twice is an error.
fn yaml(text: &str) -> Result<Value, String> {
    let value: serde_yaml::Value = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    serde_json::to_value(value).map_err(|error| error.to_string())
}
