//! More arguments than a handler may have.

use cereus::{App, Service};

async fn hello(_: App, _: App, _: App, _: App, _: App, _: App, _: App, _: App, _: App) {}

pub fn service() -> Service {
    Service::new().request("hello", hello) //~ cannot be registered as a handler //~ of up to 8 arguments
}
