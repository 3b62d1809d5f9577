//! The stock binary: the library's command line with the built-in game.

fn main() {}
