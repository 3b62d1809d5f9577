//! What a server writes about itself: lines for a person on a terminal, JSON for everything else, on standard error.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    env,
    io::{self, IsTerminal as _},
    panic::{self, PanicHookInfo},
    str::FromStr,
    thread,
};

use tracing::Level;
use tracing_subscriber::{EnvFilter, fmt::time::SystemTime};

/// What is logged when nothing else is said.
const DEFAULT_FILTER: &str = "info";

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// Human on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// One line for a person.
    Human,
    /// One JSON object a line.
    Json,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TelemetryError {
    /// The filter is not one.
    #[error("{origin} {text:?} is not a log filter; write a level, or target=level separated by commas")]
    Filter {
        /// The flag or the variable.
        origin: &'static str,
        /// What it says.
        text: String,
        /// What is wrong with it.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// A second subscriber in one process.
    #[error("logging is already set up")]
    Twice(#[source] tracing::subscriber::SetGlobalDefaultError),
}

/// Set up logging for the process, panics included: `filter` from the command line, else `RUST_LOG`, else `info`.
pub(crate) fn install(filter: Option<&str>, format: LogFormat) -> Result<(), TelemetryError> {
    let variable = env::var("RUST_LOG").ok().filter(|text| !text.is_empty());
    let filter = parse(filter, variable.as_deref())?;
    let terminal = io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_timer(SystemTime)
        // It would tell of a broken standard error on standard error, and panic over it.
        .log_internal_errors(false);
    let twice = TelemetryError::Twice;
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Human => false,
        LogFormat::Json => true,
    };
    if json {
        let builder = builder.json().flatten_event(true);
        tracing::subscriber::set_global_default(builder.finish()).map_err(twice)?;
    } else {
        tracing::subscriber::set_global_default(builder.with_ansi(colours(terminal)).finish()).map_err(twice)?;
    }
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        // A panic is never lost: what the filter keeps out is told as it would be without a log.
        if tracing::enabled!(Level::ERROR) { log_panic(panic) } else { default(panic) }
    }));
    Ok(())
}

/// Panics are lines of the log like all others. The backtrace is there when `RUST_BACKTRACE` asks for it.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(
        message = "a panic",
        panic = panic.payload_as_str().unwrap_or("not a text"),
        location = panic.location().map(tracing::field::display),
        thread = thread::current().name(),
        backtrace,
    );
}

/// The usual conventions: `NO_COLOR` turns colours off, `CLICOLOR_FORCE` turns them on without a terminal.
fn colours(terminal: bool) -> bool {
    let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
    !set("NO_COLOR") && (terminal || set("CLICOLOR_FORCE"))
}

fn parse(flag: Option<&str>, variable: Option<&str>) -> Result<EnvFilter, TelemetryError> {
    let (origin, text) = match (flag, variable) {
        (Some(text), _) => ("--log", text),
        (None, Some(text)) => ("RUST_LOG", text),
        (None, None) => ("default", DEFAULT_FILTER),
    };
    EnvFilter::from_str(text).map_err(|source| TelemetryError::Filter { origin, text: text.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn the_flag_wins_over_the_environment() {
        assert_eq!(parse(Some("debug"), Some("warn")).unwrap().to_string(), "debug");
        assert_eq!(parse(None, Some("cereus::rpc=trace,warn")).unwrap().to_string(), "cereus::rpc=trace,warn");
        assert_eq!(parse(None, None).unwrap().to_string(), "info");
    }

    #[test]
    fn a_wrong_filter_is_named() {
        let error = parse(Some("cereus=loud"), None).unwrap_err().to_string();
        assert!(error.starts_with("--log \"cereus=loud\" is not a log filter"), "{error}");
    }
}
