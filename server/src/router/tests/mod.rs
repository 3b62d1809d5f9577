//! The choice as a pure function, then the router of a server whose links run over in-memory connections.

mod choice;
mod service;
