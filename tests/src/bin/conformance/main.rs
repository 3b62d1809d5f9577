//! The conformance server: what existing client test suites expect to find, and what the end-to-end tests drive.
//!
//! It takes the flags of `cereus serve`, shows itself in the topology's directory while it serves, and prints `ready`.
#![allow(clippy::print_stdout, reason = "whoever starts it waits for the word")]

mod bench;
mod members;
mod registration;
mod remote;
mod test_service;
mod trial;

use std::process::ExitCode;

use cereus::Phase;

use crate::{members::Members, registration::Registration};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // A pod says the word itself.
    let typed: Vec<String> = std::env::args().skip(1).skip_while(|word| word == "serve").collect();
    let words = ["conformance".to_owned(), "serve".to_owned()].into_iter().chain(typed.iter().cloned());
    let mut registration = match Registration::from_arguments(&typed) {
        Ok(registration) => registration,
        Err(error) => {
            complain(&error);
            return ExitCode::FAILURE;
        }
    };
    cereus::main_with(words, |app| {
        app.state(Members::default());
        app.service("testsvc", test_service::service());
        app.service("testremotesvc", remote::service());
        app.service("bench", bench::service());
        app.service("trial", trial::service());
        app.observe(move |phase, server| {
            if let Some(registration) = &mut registration
                && let Err(error) = registration.show(phase, server)
            {
                complain(&error);
            }
            if phase == Phase::Serving {
                println!("ready");
            }
        });
    })
}

/// Says on standard error what went wrong before or beside the server's own log.
fn complain(error: &anyhow::Error) {
    use std::io::Write as _;
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(std::io::stderr(), "conformance: {error:#}");
}
