//! `cereus logs`: what servers of a running `cereus dev` wrote.

use std::{io::Write as _, process::ExitCode};

use clap::Args;

use super::dev::control::{Answer, Chosen, Request, ask};

/// Whose lines, and how many.
#[derive(Debug, Clone, Args)]
pub(crate) struct LogsArguments {
    /// A server such as `room-1`, or a server type for all of its servers.
    #[arg(value_name = "TYPE|SERVER")]
    of: String,
    /// Go on with the lines that come.
    #[arg(short, long)]
    follow: bool,
    /// How many of the last lines; up to 1000 of each server are kept.
    #[arg(long, value_name = "LINES", default_value_t = 100)]
    tail: usize,
    #[command(flatten)]
    chosen: Chosen,
}

/// Print lines, each with the name of its server when they may be of several.
pub(crate) fn run(arguments: &LogsArguments) -> anyhow::Result<ExitCode> {
    let LogsArguments { of, follow, tail, chosen } = arguments;
    // Servers write in colours when `cereus dev` runs on a terminal; here there may be none, or NO_COLOR.
    let mut output = anstream::stdout();
    ask(chosen, &Request::Logs { of: of.clone(), tail: *tail, follow: *follow }, |answer| {
        if let Answer::Line(line) = answer {
            if *line.server == **of {
                writeln!(output, "{}", line.text)?;
            } else {
                writeln!(output, "{} | {}", line.server, line.text)?;
            }
        }
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}
