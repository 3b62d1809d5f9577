//! The service `bench`, which load is put on.

use bytes::Bytes;
use cereus::{App, Error, Payload, Service, Session};
use cereus_tests::conformance::{TestRequest, TestResponse};

/// All of it.
pub(crate) fn service() -> Service {
    Service::new()
        .request("echo", echo)
        .request("echoobj", echo_object)
        .request("bind", bind)
        .request("join", join)
        .request("leave", leave)
        .notify("say", say)
}

async fn echo(body: Bytes) -> Bytes {
    body
}

async fn echo_object(Payload(request): Payload<TestRequest>) -> Payload<TestResponse> {
    Payload(TestResponse { code: 200, msg: request.msg })
}

async fn bind(session: Session, uid: Bytes) -> Result<&'static str, Error> {
    session.bind(text(&uid)?.to_owned()).await?;
    Ok("ack")
}

async fn join(session: Session, body: Bytes) -> Result<&'static str, Error> {
    let (group, uid) = group(&body)?;
    session.bind(uid.to_owned()).await?;
    session.subscribe(group).await?;
    Ok("ack")
}

async fn leave(session: Session, group: Bytes) -> Result<&'static str, Error> {
    session.unsubscribe(text(&group)?);
    Ok("ack")
}

async fn say(app: App, body: Bytes) -> Result<(), Error> {
    let published = app.publish_bytes(group(&body)?.0, "onSay", body.clone())?;
    if published.not_queued.is_empty() {
        return Ok(());
    }
    Err(Error::new("PIT-503", format!("{} frontends did not take the message", published.not_queued.len())))
}

/// `GROUP|REST`.
fn group(body: &Bytes) -> Result<(&str, &str), Error> {
    text(body)?.split_once('|').ok_or_else(|| Error::new("PIT-400", "the body is GROUP|REST"))
}

fn text(body: &Bytes) -> Result<&str, Error> {
    std::str::from_utf8(body).map_err(|error| Error::new("PIT-400", "the body is no text").caused_by(error))
}
