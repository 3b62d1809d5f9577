//! The stock binary: the library's command line with the built-in game.

mod game;

use std::process::ExitCode;

/// The system's allocator costs a few to some twenty per cent more here.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cereus::main(game::build)
}
