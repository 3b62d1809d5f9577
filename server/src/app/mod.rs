//! The composition root: settings, threads, the admin server, telemetry, and the life of a server from start to stop.
//!
//! Only the command line imports it; it alone sees every other module. It promises that what it starts it also stops,
//! in the reverse order and within a deadline. It decides nothing about messages.

mod admin;
mod application;
mod config;
mod node;
mod run;
mod server;
mod signals;
mod sockets;
mod source;
mod status;
mod telemetry;
#[cfg(test)]
mod tests;
mod workers;

pub use admin::Phase;
pub use application::{Application, Running};
pub(crate) use config::{ConfigError, Key, Loader, Origin, Report, Settings};
pub(crate) use run::run;
pub(crate) use signals::{StopRequests, StopStage};
pub(crate) use telemetry::{LogFormat, install as install_telemetry};
