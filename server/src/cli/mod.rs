//! The command line: one file or folder for each subcommand, the same for the stock binary and for a game's own.
//!
//! What was typed is turned into what it means and handed on; nothing is decided here about servers. Results go to
//! standard output; logs and errors to standard error.

mod bench;
mod check;
mod client;
mod config;
mod dev;
mod get;
mod logs;
mod request;
mod scale;
mod serve;
mod settings;

use std::{
    ffi::OsString,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};

use crate::app::{Application, LogFormat};

/// Runs multiplayer game servers, one at a time or a whole game.
#[derive(Debug, Parser)]
#[command(name = "cereus", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    logging: Logging,
}

/// What is logged, and how it looks.
#[derive(Debug, Clone, Args)]
struct Logging {
    /// What is logged: a level, or `target=level` separated by commas. Not given: `RUST_LOG`, or `info`.
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
    /// How log lines look; `auto` is human on a terminal and JSON otherwise.
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value = "auto")]
    log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one server.
    Serve(Box<serve::ServeArguments>),
    /// Run a game on this machine: what ServerType manifests say, or the built-in game of one frontend and two rooms.
    Dev(dev::DevArguments),
    /// Show the types and servers of a running `cereus dev`.
    Get(get::GetArguments),
    /// Have more or fewer servers of a type in a running `cereus dev`.
    Scale(scale::ScaleArguments),
    /// Print what servers of a running `cereus dev` wrote.
    Logs(logs::LogsArguments),
    /// Print every setting with its meaning, its default, and what holds; the arguments are those of `serve`.
    Config(Box<config::ConfigArguments>),
    /// Check ServerType manifests as a cluster would.
    ///
    /// Exit code 0: all is right; 1: something is wrong; 2: something could not be checked.
    Check(check::CheckArguments),
    /// Send one request, as a client does, and print the answer.
    ///
    /// On the standard output: for each push that came before the answer a line `push ROUTE BODY`, then the answer's body. On a
    /// terminal JSON is indented, and above an answer that is a JSON object with a text `server`, as those of the built-in
    /// game are, stands `answered by SERVER`. An answer that is an error goes to the standard error as `CODE: MESSAGE`, with
    /// exit code 1.
    Request(request::RequestArguments),
    /// Put load on servers and measure them.
    Bench(Box<bench::BenchArguments>),
}

/// The whole command line of a game: reads the arguments of the process and does what they say.
///
/// `build` says what the game consists of.
///
/// ```no_run
/// async fn hello(name: bytes::Bytes) -> String {
///     format!("hello, {}", String::from_utf8_lossy(&name))
/// }
///
/// fn main() -> std::process::ExitCode {
///     cereus::main(|app| {
///         app.service("room", cereus::Service::new().request("hello", hello));
///     })
/// }
/// ```
pub fn main(build: impl FnOnce(&mut Application)) -> ExitCode {
    main_with(std::env::args_os(), build)
}

/// As [`main`], with the words of a command line from elsewhere; the first is the name of the program.
pub fn main_with<W: Into<OsString> + Clone>(
    words: impl IntoIterator<Item = W>,
    build: impl FnOnce(&mut Application),
) -> ExitCode {
    let arguments = Arguments::parse_from(words);
    let mut application = Application::default();
    build(&mut application);
    match run(arguments, application) {
        Ok(code) => code,
        Err(error) => {
            // Nobody is left to tell when standard error is closed.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments, application: Application) -> anyhow::Result<ExitCode> {
    let Arguments { command, logging } = arguments;
    match command {
        Command::Serve(arguments) => serve::run(&arguments, &logging, application).map(|()| ExitCode::SUCCESS),
        Command::Dev(arguments) => dev::run(&arguments, &logging, &application),
        Command::Get(arguments) => get::run(&arguments),
        Command::Scale(arguments) => scale::run(&arguments),
        Command::Logs(arguments) => logs::run(&arguments),
        Command::Config(arguments) => config::run(&arguments, application),
        Command::Check(arguments) => check::run(&arguments),
        Command::Request(arguments) => request::run(&arguments, application.own_serializer()),
        Command::Bench(arguments) => bench::run(&arguments).map(|()| ExitCode::SUCCESS),
    }
}
