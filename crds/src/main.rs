//! Prints what is generated from this crate: the CustomResourceDefinition, or with `contract` the image contract.

use std::{
    error::Error,
    io::{self, Write as _},
    process::ExitCode,
};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(code) => code,
        Err(error) => {
            // Nobody is left to tell when standard error is closed.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<ExitCode, Box<dyn Error>> {
    let text = match words {
        [] => cereus_crds::definition_yaml()?,
        ["contract"] => cereus_crds::contract::document(),
        _ => {
            writeln!(io::stderr(), "usage: cereus-crds [contract]")?;
            return Ok(ExitCode::from(2));
        }
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
