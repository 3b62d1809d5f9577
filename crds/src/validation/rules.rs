//! Rules in CEL, run in this process.

use std::fmt;

use kube::core::cel::{self, CompiledSchema, RootContext};
use serde_json::Value;

use super::{KIND, Path, Problem, VERSION};
use crate::names::GROUP;

/// The rules of a schema, compiled.
pub(super) struct Rules {
    schema: CompiledSchema,
    engine: cel::Validator,
}

impl fmt::Debug for Rules {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Rules").finish_non_exhaustive()
    }
}

impl Rules {
    pub(super) fn compile(schema: &Value) -> Self {
        Self { schema: cel::compile_schema(schema), engine: cel::Validator::new() }
    }

    /// Run the rules that hold for every object, and with `old` those about changes. A rule that cannot be run is a
    /// problem too, as it is for the API server.
    pub(super) fn check(&self, document: &Value, old: Option<&Value>, problems: &mut Vec<Problem>) {
        let root = RootContext { api_version: VERSION.to_owned(), api_group: GROUP.to_owned(), kind: KIND.to_owned() };
        let result = self.engine.validate_compiled_with_context(&self.schema, document, old, Some(&root));
        let mut errors: Vec<_> = result.err().into_iter().flat_map(cel::ValidationErrors::into_vec).collect();
        // They come in another order in each process.
        errors.sort_by(|one, other| (&one.field_path, &one.message).cmp(&(&other.field_path, &other.message)));
        for error in errors {
            let path = Path::parse(&error.field_path, document);
            let value = path.find(document).cloned();
            problems.push(Problem { path, value, message: error.message });
        }
    }
}
