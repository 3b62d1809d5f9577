//! `cereus scale`: how many servers of a type a running `cereus dev` has.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Args;

use super::dev::control::{Answer, Chosen, Request, ask};

/// What to scale.
#[derive(Debug, Clone, Args)]
pub(crate) struct ScaleArguments {
    /// The server type.
    #[arg(value_name = "TYPE")]
    server_type: String,
    /// How many servers there are to be. Of those that are too many the emptiest leave, when their sessions have ended.
    #[arg(value_name = "COUNT")]
    replicas: u32,
    /// Wait until it is so: new servers are ready, and those that leave are gone.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    chosen: Chosen,
}

/// Ask for it, and say what is done.
pub(crate) fn run(arguments: &ScaleArguments) -> anyhow::Result<ExitCode> {
    let ScaleArguments { server_type, replicas, wait, chosen } = arguments;
    let request = Request::Scale { server_type: server_type.clone(), replicas: *replicas, wait: *wait };
    ask(chosen, &request, |answer| {
        if let Answer::Said(text) = answer {
            writeln!(io::stdout(), "{text}")?;
        }
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}
