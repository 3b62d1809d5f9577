mod behaviour;
mod errors;
mod handshake;
mod properties;
mod vectors;

use super::*;

/// A plain dictionary for tests that need none.
fn no_dictionary() -> Dictionary {
    Dictionary::default()
}

fn hex(text: &str) -> Vec<u8> {
    assert_eq!(text.len() % 2, 0, "hex with half a byte: {text}");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
