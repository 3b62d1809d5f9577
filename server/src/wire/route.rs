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
        let mut dots = route.bytes().enumerate().filter_map(|(at, byte)| (byte == b'.').then_some(at));
        // Where the service begins, and the dot before the method.
        let (start, dot) = match (dots.next(), dots.next(), dots.next()) {
            (Some(dot), None, _) => (0, dot),
            (Some(first), Some(dot), None) => (first + 1, dot),
            _ if route.split('.').any(is_blank) => return Err(RouteError::EmptyField),
            _ => return Err(RouteError::Invalid),
        };
        let server_type = start.checked_sub(1).and_then(|end| route.get(..end));
        let parts = route.get(start..).zip(route.get(start..dot)).zip(route.get(dot + 1..));
        let ((tail, service), method) = parts.ok_or(RouteError::Invalid)?;
        if is_blank(service) || is_blank(method) || server_type.is_some_and(is_blank) {
            return Err(RouteError::EmptyField);
        }
        Ok(Self { server_type, service, method, tail })
    }

    /// The part that the registry of handlers knows: `service.method`.
    pub const fn service_method(&self) -> &'a str {
        self.tail
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
