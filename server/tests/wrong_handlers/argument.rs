//! An argument that is no extractor.

use cereus::Service;

pub struct Hello;

async fn hello(_hello: Hello) -> String {
    String::from("hello")
}

pub fn service() -> Service {
    Service::new().request("hello", hello) //~ `Hello` cannot be an argument of a handler //~ take `Json<Hello>`
}
