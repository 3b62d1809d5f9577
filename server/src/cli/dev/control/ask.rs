//! The side of the other commands.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
};

use anyhow::{Context as _, bail};
use clap::Args;

use super::{Answer, Request, place};

/// Which game is meant.
#[derive(Debug, Clone, Args)]
pub(crate) struct Chosen {
    /// The name of the game, when several `cereus dev` run.
    #[arg(long, value_name = "NAME", env = "CEREUS_DEV_NAME")]
    pub(crate) name: Option<String>,
}

/// Ask the chosen game; `each` gets the answers.
pub(crate) fn ask(
    chosen: &Chosen,
    request: &Request,
    mut each: impl FnMut(Answer) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let path = place::find(chosen.name.as_deref())?;
    let mut stream =
        UnixStream::connect(&path).with_context(|| format!("the game does not answer on {}", path.display()))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    for line in BufReader::new(stream).lines() {
        match serde_json::from_str(&line?).context("the game is of another release")? {
            Answer::Error(error) => bail!("{error}"),
            answer => each(answer)?,
        }
    }
    Ok(())
}
