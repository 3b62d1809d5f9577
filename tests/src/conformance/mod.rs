//! The conformance server's contract with its clients: its messages, and what it answers.
//!
//! The server is the binary `conformance`; frontends and backends alike run the services `testsvc`, `testremotesvc`,
//! `bench` and `trial`. The messages are what its handlers take and give. The rows are data: a test runs each of them
//! with every serializer, over every transport, on the server that the client is connected to and through it.

mod messages;
mod rows;
#[cfg(test)]
mod tests;
pub mod trial;

pub use messages::{TestRequest, TestResponse, TestRpcRequest, TestSendToUsers};
pub use rows::{Expected, Payload, Row, rows};
