//! Where something stands in a document.

use std::fmt;

use serde_json::Value;

/// A place in a document, from its root; written `spec.frontend.acceptors[0].port`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Vec<Segment>);

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// Into an object.
    Key(String),
    /// Into a list.
    Index(usize),
}

impl Path {
    /// The place of a key here.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.with(Segment::Key(key.to_owned()))
    }

    /// The place of an item here.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    /// The steps from the root.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// The place that this one is in; none at the root.
    pub fn parent(&self) -> Option<Self> {
        let (_, rest) = self.0.split_last()?;
        Some(Self(rest.to_vec()))
    }

    /// The place `inner` below this one.
    #[must_use]
    pub fn join(&self, inner: &Self) -> Self {
        Self([self.0.as_slice(), inner.0.as_slice()].concat())
    }

    /// What stands there.
    pub fn find<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(document, |value, segment| match segment {
            Segment::Key(key) => value.get(key),
            Segment::Index(index) => value.get(index),
        })
    }

    /// Read `a.b[0].c`. Keys that contain dots are taken from the document, where it has them.
    pub fn parse(text: &str, document: &Value) -> Self {
        let mut path = Self::default();
        let mut value = Some(document);
        let mut rest = text;
        while !rest.is_empty() {
            if let Some((index, tail)) = bracket(rest) {
                value = value.and_then(|value| value.get(index));
                path = path.index(index);
                rest = tail;
                continue;
            }
            rest = rest.strip_prefix('.').unwrap_or(rest);
            let key = longest_key(rest, value).unwrap_or_else(|| {
                let end = rest.char_indices().skip(1).find(|(_, c)| matches!(c, '.' | '[')).map(|(index, _)| index);
                end.and_then(|end| rest.get(..end)).unwrap_or(rest).to_owned()
            });
            rest = rest.get(key.len()..).unwrap_or_default();
            value = value.and_then(|value| value.get(&key));
            path = path.key(&key);
        }
        path
    }

    fn with(&self, segment: Segment) -> Self {
        let mut path = self.clone();
        path.0.push(segment);
        path
    }
}

/// The index that a text begins with, and what follows.
fn bracket(text: &str) -> Option<(usize, &str)> {
    let (number, tail) = text.strip_prefix('[')?.split_once(']')?;
    Some((number.parse().ok()?, tail))
}

/// The longest key of an object that the text begins with.
fn longest_key(text: &str, value: Option<&Value>) -> Option<String> {
    let keys = value?.as_object()?.keys().filter(|key| {
        let follows = text.strip_prefix(key.as_str());
        follows.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '['])) && !key.is_empty()
    });
    keys.max_by_key(|key| key.len()).cloned()
}

impl fmt::Display for Path {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(out, "[{index}]")?,
                Segment::Key(key) if key.contains(['.', '[', '/']) || key.is_empty() => write!(out, "[{key:?}]")?,
                Segment::Key(key) if number == 0 => out.write_str(key)?,
                Segment::Key(key) => write!(out, ".{key}")?,
            }
        }
        Ok(())
    }
}
