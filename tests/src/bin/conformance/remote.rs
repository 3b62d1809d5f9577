//! The remote service `testremotesvc`, which other servers call.

use cereus::{Error, Payload, Service};
use cereus_tests::conformance::{TestRequest, TestResponse};

/// All of it.
pub(crate) fn service() -> Service {
    Service::new()
        .remote("rpctestrawptrreturnsptr", repeat)
        .remote("rpctestptrreturnsptr", repeat)
        .remote("rpctestreturnserror", fail)
        .remote("rpctestnoargs", without_arguments)
}

async fn repeat(Payload(request): Payload<TestRequest>) -> Payload<TestResponse> {
    Payload(TestResponse { code: 200, msg: format!("got {}", request.msg) })
}

async fn fail() -> Result<Payload<TestResponse>, Error> {
    Err(Error::new("PIT-433", "test error").with("some", "meta"))
}

async fn without_arguments() -> Payload<TestResponse> {
    Payload(TestResponse { code: 200, msg: "got nothing".to_owned() })
}
