//! A reply that cannot be one.

use cereus::Service;

pub struct Greeting;

async fn hello() -> Greeting {
    Greeting
}

pub fn service() -> Service {
    Service::new().request("hello", hello) //~ `Greeting` cannot be the result of a handler //~ return `Json<Greeting>`
}
