//! The operator's binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    cereus_operator::app::main()
}
