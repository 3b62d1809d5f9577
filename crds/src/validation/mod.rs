//! Whether a manifest is right, as the API server would say it, without an API server.
//!
//! One walk over the generated definition does what the API server does with an object: it fills in defaults, checks
//! types and bounds, and runs the rules in CEL, those about changes as well when the old object is given. It is stricter
//! in one point: a field that does not exist is refused, where the API server drops it with a warning that nobody reads.
//!
//! Nothing here knows a field of the ServerType: what the types and their attributes say is all there is.

mod nearest;
mod path;
mod problem;
mod rules;
mod structure;

#[cfg(test)]
mod tests;

use serde::Deserialize as _;
use serde_json::Value;

#[cfg(test)]
pub(crate) use self::structure::KNOWN as KNOWN_KEYWORDS;
pub use self::{
    path::{Path, Segment},
    problem::Problem,
};
use self::{rules::Rules, structure::Structure};
use crate::{ServerType, definition, names::GROUP, schema};

/// The only version there is.
const VERSION: &str = "v1alpha1";
const KIND: &str = "ServerType";

/// Validates ServerTypes. It holds the compiled rules: make one and keep it.
#[derive(Debug)]
pub struct Validator {
    structure: Structure,
    rules: Rules,
}

impl Default for Validator {
    fn default() -> Self {
        Self::new()
    }
}

impl Validator {
    /// Compile the definition of this crate.
    pub fn new() -> Self {
        let versions = definition().spec.versions;
        let schema = versions.into_iter().find_map(|version| version.schema?.open_api_v3_schema);
        // Types that derive their own schema always become JSON; a definition without a schema would refuse everything.
        let schema = serde_json::to_value(schema).unwrap_or_default();
        Self { rules: Rules::compile(&schema), structure: Structure::new(with_metadata(schema)) }
    }

    /// Check a ServerType, and read it. `old` is what it replaces, if it replaces something.
    ///
    /// # Errors
    ///
    /// All that is wrong: of its structure if anything is, else of its rules.
    pub fn validate(&self, document: &Value, old: Option<&Value>) -> Result<ServerType, Vec<Problem>> {
        let mut problems = head(document);
        let mut complete = document.clone();
        self.structure.fill(&mut complete);
        self.structure.check(&complete, &Path::default(), &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let old = old.map(|old| {
            let mut old = old.clone();
            self.structure.fill(&mut old);
            old
        });
        self.rules.check(&complete, old.as_ref(), &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        ServerType::deserialize(&complete).map_err(|error| {
            // The types and their schema do not say the same; a test over all fields looks for that.
            vec![Problem::new(Path::default(), None, error.to_string())]
        })
    }
}

/// Check one ServerType; see [`Validator::validate`], which is cheaper for more than one.
pub fn validate(document: &Value, old: Option<&Value>) -> Result<ServerType, Vec<Problem>> {
    Validator::new().validate(document, old)
}

/// A definition says of `metadata` only what it adds; the rest is the same for all objects.
fn with_metadata(mut schema: Value) -> Value {
    let mut metadata = schema::metadata();
    let added = schema.pointer("/properties/metadata/properties").and_then(Value::as_object).cloned();
    if let Some(properties) = metadata.pointer_mut("/properties").and_then(Value::as_object_mut) {
        properties.extend(added.unwrap_or_default());
    }
    if let Some(place) = schema.pointer_mut("/properties/metadata") {
        *place = metadata;
    }
    schema
}

/// What is wrong with how an object says what it is.
fn head(document: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    let expected = [("apiVersion", format!("{GROUP}/{VERSION}")), ("kind", KIND.to_owned())];
    for (key, right) in expected {
        let path = Path::default().key(key);
        match document.get(key) {
            Some(Value::String(text)) if *text == right => {}
            Some(value) => problems.push(Problem::new(path, Some(value), format!("must be {right}"))),
            None => problems.push(Problem::new(path, None, format!("is missing; it must be {right}"))),
        }
    }
    if document.is_object() && document.pointer("/metadata/name").is_none() {
        let message = "is missing; it is the first part of the routes that these servers handle".to_owned();
        problems.push(Problem::new(Path::default().key("metadata").key("name"), None, message));
    }
    problems
}
