//! The service `testsvc`, which clients of the protocol test against.

use bytes::Bytes;
use cereus::{App, Error, Payload, Service, Session};
use cereus_tests::conformance::{TestRequest, TestResponse, TestRpcRequest, TestSendToUsers};

use crate::members::Group;

/// All of it.
pub(crate) fn service() -> Service {
    Service::new()
        .request("testrequestonlysessionreturnsptr", hello)
        .request("testrequestonlysessionreturnsptrnil", nothing_typed)
        .request("testrequestonlysessionreturnsrawnil", nothing)
        .request("testrequestreturnsptr", repeat)
        .request("testrequestreturnsraw", repeat_text)
        .request("testrequestreceivereturnsraw", echo)
        .request("testrequestreturnserror", fail)
        .request("testsendrpc", call)
        .request("testsendrpcnoargs", call_without_arguments)
        .request("testbind", bind)
        .request("testbindid", bind_as)
        .request("testrequestkickuser", kick_user)
        .request("testrequestkickme", kick_me)
        .notify("testsendgroupmsg", send_to_group)
        .notify("testsendgroupmsgptr", send_object_to_group)
        .notify("testsendtousers", send_to_users)
        .on_disconnect(leave)
}

fn response(msg: impl Into<String>) -> Payload<TestResponse> {
    Payload(TestResponse { code: 200, msg: msg.into() })
}

async fn hello(_session: Session) -> Payload<TestResponse> {
    response("hello")
}

async fn nothing_typed(_session: Session) -> Option<Payload<TestResponse>> {
    None
}

async fn nothing(_session: Session) {}

async fn repeat(Payload(request): Payload<TestRequest>) -> Payload<TestResponse> {
    response(request.msg)
}

async fn repeat_text(Payload(request): Payload<TestRequest>) -> Bytes {
    Bytes::from(request.msg)
}

async fn echo(body: Bytes) -> Bytes {
    body
}

async fn fail() -> Result<Bytes, Error> {
    Err(Error::new("PIT-555", "somerror"))
}

async fn call(app: App, Payload(request): Payload<TestRpcRequest>) -> Result<Payload<TestResponse>, Error> {
    app.rpc(&request.route, Payload(TestRequest { msg: request.data })).await
}

async fn call_without_arguments(
    app: App,
    Payload(request): Payload<TestRpcRequest>,
) -> Result<Payload<TestResponse>, Error> {
    app.rpc(&request.route, ()).await
}

async fn bind(app: App, session: Session, members: Group) -> Result<&'static str, Error> {
    members.0.join(&app, &session, &format!("{:016x}", rand::random::<u64>())).await?;
    Ok("ack")
}

async fn bind_as(app: App, session: Session, members: Group, uid: Bytes) -> Result<&'static str, Error> {
    members.0.join(&app, &session, &text(&uid)?).await?;
    Ok("ack")
}

async fn kick_user(members: Group, uid: Bytes) -> Result<Payload<TestResponse>, Error> {
    let member = members.0.get(&text(&uid)?).ok_or_else(|| Error::new("PIT-404", "session not found"))?;
    member.kick();
    Ok(response("ok"))
}

async fn kick_me(session: Session) -> Payload<TestResponse> {
    session.kick();
    response("ok")
}

async fn send_to_group(app: App, members: Group, body: Bytes) -> Result<(), Error> {
    members.0.broadcast(&app, "route.test", &body).await
}

async fn send_object_to_group(app: App, members: Group, Payload(message): Payload<TestRequest>) -> Result<(), Error> {
    members.0.broadcast(&app, "route.testptr", &app.serializer().encode_payload(&message)?).await
}

async fn send_to_users(members: Group, Payload(message): Payload<TestSendToUsers>) {
    members.0.send(&message.uids, "route.sendtousers", &Bytes::from(message.msg)).await;
}

async fn leave(session: Session, members: Group) {
    members.0.leave(&session);
}

fn text(body: &Bytes) -> Result<String, Error> {
    String::from_utf8(body.to_vec()).map_err(|error| Error::new("PIT-400", "a uid is UTF-8").caused_by(error))
}
