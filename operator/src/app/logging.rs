//! Logs go to standard error.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

use super::arguments::{Arguments, LogFormat};

/// Begin to log.
pub(super) fn start(arguments: &Arguments) {
    let filter = EnvFilter::try_new(&arguments.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_writer(io::stderr).with_env_filter(filter);
    let automatic = if io::stderr().is_terminal() { LogFormat::Text } else { LogFormat::Json };
    match arguments.log_format.unwrap_or(automatic) {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}
