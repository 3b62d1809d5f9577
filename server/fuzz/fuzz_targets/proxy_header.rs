//! A PROXY header: however it is cut, the same is found, and what follows it is not part of it.
#![no_main]

use cereus::acceptor::proxy::{Found, LONGEST, find};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let whole = find(input);
    if let Ok(Found::Header { length, .. }) = whole {
        assert!(length <= input.len() && length <= LONGEST);
        assert_eq!(find(&input[..length]), whole);
        for cut in 0..length {
            assert_eq!(find(&input[..cut]), Ok(Found::Beginning));
        }
    }
    if whole == Ok(Found::Beginning) {
        assert!(input.len() < LONGEST);
    }
});
