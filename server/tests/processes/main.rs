//! Programs as those meet them who write or run a game: the examples, servers under pressure, the compiler.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod client;
mod process;

mod compile_errors;
mod examples;
mod files;
mod unix_acceptor;

use std::time::Duration;

/// How long starting, answering and stopping may take.
const PATIENCE: Duration = Duration::from_secs(20);
