//! Routes: a route is its parts with dots between them; nothing panics.
#![no_main]

use cereus::wire::{Route, RouteError};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let parts: Vec<_> = input.split('.').collect();
    match Route::parse(input) {
        Ok(route) => {
            let read: Vec<_> = route.server_type.into_iter().chain([route.service, route.method]).collect();
            assert_eq!(read, parts);
            assert_eq!(route.service_method(), format!("{}.{}", route.service, route.method));
        }
        Err(RouteError::EmptyField) => assert!(parts.iter().any(|part| part.trim().is_empty())),
        Err(RouteError::Invalid) => assert!(!(2..=3).contains(&parts.len())),
    }
});
