//! A function that is not async.

use cereus::Service;

fn hello() -> String {
    String::from("hello")
}

pub fn service() -> Service {
    Service::new().request("hello", hello) //~ cannot be registered as a handler //~ a handler is an `async fn`
}
