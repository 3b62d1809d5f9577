//! On which lines the parts of a YAML document stand.
//!
//! Values are read by the parser that the servers read manifests with; it forgets where they stood. So the text is gone
//! through a second time, for the lines only. Where the two disagree, a line is missing and nothing else.

use std::collections::BTreeMap;

use cereus_crds::Path;
use saphyr_parser::{Event, Parser, Span};

/// The lines of one document.
#[derive(Debug, Default)]
pub(super) struct Marks(BTreeMap<Path, usize>);

impl Marks {
    /// The line of what stands at a path, or of what it would stand in, counted from one.
    pub(super) fn line(&self, path: &Path) -> Option<usize> {
        let mut path = path.clone();
        loop {
            if let Some(line) = self.0.get(&path) {
                return Some(*line);
            }
            path = path.parent()?;
        }
    }
}

/// The marks of each document, up to the first that cannot be read.
pub(super) fn read(text: &str) -> Vec<Marks> {
    let mut documents = Vec::new();
    let mut reader = Reader::default();
    for event in Parser::new_from_str(text) {
        let Ok((event, span)) = event else { break };
        match event {
            Event::DocumentEnd => documents.push(std::mem::take(&mut reader).marks),
            event => reader.event(&event, span),
        }
    }
    documents
}

#[derive(Debug, Default)]
struct Reader {
    marks: Marks,
    /// What is open, the innermost last.
    open: Vec<Open>,
}

/// A mapping or a sequence that has begun.
#[derive(Debug)]
struct Open {
    path: Path,
    next: Next,
}

/// What comes next in it.
#[derive(Debug)]
enum Next {
    Item(usize),
    Key,
    Value(String),
}

impl Reader {
    fn event(&mut self, event: &Event<'_>, span: Span) {
        match event {
            Event::Scalar(text, ..) => {
                self.place(span, text);
            }
            // A key that is no text is no key of JSON; what stands below it is not asked for.
            Event::Alias(_) => {
                self.place(span, "");
            }
            Event::MappingStart(..) => {
                let path = self.place(span, "");
                self.open.push(Open { path, next: Next::Key });
            }
            Event::SequenceStart(..) => {
                let path = self.place(span, "");
                self.open.push(Open { path, next: Next::Item(0) });
            }
            Event::MappingEnd | Event::SequenceEnd => {
                self.open.pop();
            }
            _ => {}
        }
    }

    /// The path of what begins here: `text` is the key that it is, if it is a key.
    fn place(&mut self, span: Span, text: &str) -> Path {
        let line = span.start.line();
        let Some(open) = self.open.last_mut() else {
            self.marks.0.insert(Path::default(), line);
            return Path::default();
        };
        match std::mem::replace(&mut open.next, Next::Key) {
            Next::Item(index) => {
                open.next = Next::Item(index + 1);
                let path = open.path.index(index);
                self.marks.0.insert(path.clone(), line);
                path
            }
            Next::Key => {
                let path = open.path.key(text);
                open.next = Next::Value(text.to_owned());
                self.marks.0.insert(path.clone(), line);
                path
            }
            // The line of a value is that of its key.
            Next::Value(key) => open.path.key(&key),
        }
    }
}
