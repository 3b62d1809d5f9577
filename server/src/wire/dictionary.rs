//! The dictionary: two bytes instead of a route that is sent often.

use rustc_hash::FxHashMap;
use serde::{Serialize, Serializer};

use super::text::Text;

/// Routes and the codes that stand for them, declared by the application before it starts and told to each client in
/// the handshake. It never changes afterwards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dictionary {
    codes: FxHashMap<Text, u16>,
    routes: FxHashMap<u16, Text>,
}

/// Two entries contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DictionaryError {
    /// One route has two entries.
    #[error("the route {route:?} is in the dictionary twice, with the codes {first} and {second}")]
    Route {
        /// The route, trimmed.
        route: Text,
        /// The code that came first.
        first: u16,
        /// The code that came second.
        second: u16,
    },
    /// One code stands for two routes.
    #[error("the code {code} is in the dictionary twice, for the routes {first:?} and {second:?}")]
    Code {
        /// The code.
        code: u16,
        /// The route that came first.
        first: Text,
        /// The route that came second.
        second: Text,
    },
}

impl Dictionary {
    /// A dictionary of these entries. Routes are trimmed.
    ///
    /// ```
    /// let dictionary = cereus::wire::Dictionary::new([("room.room.join", 1), ("onMessage", 2)])?;
    /// assert_eq!(dictionary.code("onMessage"), Some(2));
    /// # Ok::<(), cereus::wire::DictionaryError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A route or a code that occurs twice; the error names both entries.
    pub fn new<R: AsRef<str>>(entries: impl IntoIterator<Item = (R, u16)>) -> Result<Self, DictionaryError> {
        let mut dictionary = Self::default();
        for (route, code) in entries {
            let route = Text::copied(route.as_ref().trim());
            if let Some(&first) = dictionary.codes.get(&route) {
                return Err(DictionaryError::Route { route, first, second: code });
            }
            if let Some(first) = dictionary.routes.get(&code) {
                return Err(DictionaryError::Code { code, first: first.clone(), second: route });
            }
            dictionary.codes.insert(route.clone(), code);
            dictionary.routes.insert(code, route);
        }
        Ok(dictionary)
    }

    /// The code that stands for a route.
    pub fn code(&self, route: &str) -> Option<u16> {
        if self.codes.is_empty() { None } else { self.codes.get(route).copied() }
    }

    /// The route that a code stands for.
    pub fn route(&self, code: u16) -> Option<&Text> {
        self.routes.get(&code)
    }

    /// How many routes have a code.
    pub fn len(&self) -> usize {
        self.codes.len()
    }

    /// Whether no route has a code.
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// All entries, sorted by route.
    pub fn sorted(&self) -> Vec<(&Text, u16)> {
        let mut entries: Vec<_> = self.codes.iter().map(|(route, &code)| (route, code)).collect();
        entries.sort_unstable();
        entries
    }
}

/// An object from route to code, sorted by route.
impl Serialize for Dictionary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.sorted())
    }
}
