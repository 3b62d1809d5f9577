//! The objects of one file: any number of YAML documents, each an object or a list of objects.

use cereus_crds::Path;
use serde::Deserialize as _;
use serde_json::Value;

use super::{
    input::Source,
    marks::{self, Marks},
    report::{Place, Problem},
};

/// One object, and where it stands.
#[derive(Debug)]
pub(super) struct Document<'a> {
    source: &'a Source,
    pub(super) value: Value,
    marks: std::rc::Rc<Marks>,
    /// Where the object stands in its document: at its root, or in a `List`.
    inside: Path,
}

impl Document<'_> {
    /// What the object is, in words.
    pub(super) fn object(&self) -> String {
        let field = |name: &str| self.value.get(name).and_then(Value::as_str);
        let words = [field("apiVersion"), field("kind"), self.name()];
        words.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.value.pointer("/metadata/name")?.as_str()
    }

    pub(super) fn namespace(&self) -> Option<&str> {
        self.value.pointer("/metadata/namespace")?.as_str()
    }

    /// Where the object begins.
    pub(super) fn place(&self) -> Place {
        Place { file: self.source.name.clone(), line: self.line(&self.inside) }
    }

    /// A path of the object as one of the document.
    pub(super) fn within(&self, path: &Path) -> Path {
        self.inside.join(path)
    }

    /// The line of what stands at a path of the document, or of what it would stand in.
    pub(super) fn line(&self, path: &Path) -> Option<usize> {
        self.marks.line(path)
    }
}

/// Read all objects. Empty documents are passed over.
pub(super) fn read(source: &Source) -> Result<Vec<Document<'_>>, Problem> {
    let mut values = Vec::new();
    for document in serde_yaml::Deserializer::from_str(&source.text) {
        values.push(value(document).map_err(|(line, message)| Problem {
            place: Place { file: source.name.clone(), line },
            path: String::new(),
            value: None,
            message,
        })?);
    }
    let mut marks = marks::read(&source.text).into_iter();
    let mut documents = Vec::new();
    for value in values {
        let marks = std::rc::Rc::new(marks.next().unwrap_or_default());
        expand(Document { source, value, marks, inside: Path::default() }, &mut documents);
    }
    Ok(documents)
}

fn value(document: serde_yaml::Deserializer<'_>) -> Result<Value, (Option<usize>, String)> {
    let mut value = serde_yaml::Value::deserialize(document)
        .map_err(|error| (error.location().map(|place| place.line()), error.to_string()))?;
    value.apply_merge().map_err(|error| (None, error.to_string()))?;
    serde_json::to_value(value).map_err(|error| (None, error.to_string()))
}

/// Take the objects of a `List` one by one.
fn expand<'a>(document: Document<'a>, documents: &mut Vec<Document<'a>>) {
    let is_list = document.value.get("kind").and_then(Value::as_str) == Some("List");
    match document.value.get("items").and_then(Value::as_array) {
        _ if document.value.is_null() => {}
        Some(items) if is_list => {
            for (index, item) in items.iter().enumerate() {
                let inside = document.inside.key("items").index(index);
                let marks = std::rc::Rc::clone(&document.marks);
                documents.push(Document { source: document.source, value: item.clone(), marks, inside });
            }
        }
        _ => documents.push(document),
    }
}
