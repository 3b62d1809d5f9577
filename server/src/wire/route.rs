//! Routes: `[serverType.]service.method`.

use super::error::{Error, codes};

/// A parsed route, borrowed from its text. Parts are compared exactly and are never trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route<'a> {
    /// The server type that must handle it; `None` means the type the client is connected to.
    pub server_type: Option<&'a str>,
    /// The service of that type.
    pub service: &'a str,
    /// The method of that service.
    pub method: &'a str,
    tail: &'a str,
}

/// Text that is no route. What it says goes to clients as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// A part is blank.
    #[error("route field can not be empty")]
    EmptyField,
    /// There are not two or three parts.
    #[error("invalid route")]
    Invalid,
}

impl<'a> Route<'a> {
    /// Parses a route. A blank part is reported before a wrong number of parts.
    pub fn parse(route: &'a str) -> Result<Self, RouteError> {
        let mut parts = route.split('.');
        let first = field(&mut parts)?.ok_or(RouteError::EmptyField)?;
        let Some(second) = field(&mut parts)? else { return Err(RouteError::Invalid) };
        let Some(third) = field(&mut parts)? else {
            return Ok(Self { server_type: None, service: first, method: second, tail: route });
        };
        if field(&mut parts)?.is_some() {
            while field(&mut parts)?.is_some() {}
            return Err(RouteError::Invalid);
        }
        let tail = route.get(first.len() + 1..).ok_or(RouteError::Invalid)?;
        Ok(Self { server_type: Some(first), service: second, method: third, tail })
    }

    /// The part that the registry of handlers knows: `service.method`.
    pub const fn service_method(&self) -> &'a str {
        self.tail
    }
}

fn field<'a>(parts: &mut std::str::Split<'a, char>) -> Result<Option<&'a str>, RouteError> {
    match parts.next() {
        Some(part) if is_blank(part) => Err(RouteError::EmptyField),
        part => Ok(part),
    }
}

fn is_blank(part: &str) -> bool {
    // Nearly every part begins with a letter: no need to search it for what is not blank.
    !part.as_bytes().first().is_some_and(u8::is_ascii_graphic) && part.trim().is_empty()
}

impl From<RouteError> for Error {
    fn from(error: RouteError) -> Self {
        Self::new(codes::BAD_REQUEST, error.to_string())
    }
}
