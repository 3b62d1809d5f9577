//! The service `bench`, which load is put on.

use bytes::Bytes;
use cereus::{Payload, Service};
use cereus_tests::conformance::{TestRequest, TestResponse};

/// All of it.
pub(crate) fn service() -> Service {
    Service::new().request("echo", echo).request("echoobj", echo_object)
}

async fn echo(body: Bytes) -> Bytes {
    body
}

async fn echo_object(Payload(request): Payload<TestRequest>) -> Payload<TestResponse> {
    Payload(TestResponse { code: 200, msg: request.msg })
}
