//! `cereus get`: what runs in a running `cereus dev`.

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::dev::{
    GameStatus,
    control::{Answer, Chosen, Request, ask},
    table,
};

/// How often a watched table is new.
const REFRESH: Duration = Duration::from_secs(1);

/// What to show, and how.
#[derive(Debug, Clone, Args)]
pub(crate) struct GetArguments {
    /// Only these; both when absent.
    #[arg(value_name = "WHAT", value_enum)]
    what: Option<What>,
    /// As a table with more columns, or for programs.
    #[arg(short, long, value_name = "FORMAT", value_enum)]
    output: Option<Format>,
    /// Show the table anew every second until Ctrl-C.
    #[arg(short, long, conflicts_with = "output")]
    watch: bool,
    #[command(flatten)]
    chosen: Chosen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Server types.
    #[value(alias = "type")]
    Types,
    /// Servers.
    #[value(alias = "server")]
    Servers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Wide,
    Json,
    Yaml,
}

/// Print it, once or for ever.
pub(crate) fn run(arguments: &GetArguments) -> anyhow::Result<ExitCode> {
    let mut output = io::stdout();
    loop {
        let mut text = None;
        ask(&arguments.chosen, &Request::Get {}, |answer| {
            if let Answer::Status(status) = answer {
                text = Some(arguments.text(&status)?);
            }
            Ok(())
        })?;
        if arguments.watch && output.is_terminal() {
            // Home, and nothing below it.
            write!(output, "\x1b[H\x1b[2J")?;
        }
        write!(output, "{}", text.unwrap_or_default())?;
        output.flush()?;
        if !arguments.watch {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(REFRESH);
    }
}

impl GetArguments {
    fn text(&self, status: &GameStatus) -> anyhow::Result<String> {
        let (types, servers) = (self.what != Some(What::Servers), self.what != Some(What::Types));
        let value = match self.what {
            None => json!(status),
            Some(What::Types) => json!(status.types),
            Some(What::Servers) => json!(status.servers),
        };
        match self.output {
            Some(Format::Json) => Ok(format!("{value:#}\n")),
            Some(Format::Yaml) => Ok(serde_yaml::to_string(&value)?),
            None | Some(Format::Wide) => {
                let types = types.then(|| table::types(status));
                let wide = self.output == Some(Format::Wide);
                let servers = servers.then(|| table::servers(&status.servers, wide));
                Ok([types, servers].into_iter().flatten().collect::<Vec<_>>().join("\n"))
            }
        }
    }
}
