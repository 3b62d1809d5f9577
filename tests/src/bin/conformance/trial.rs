//! The service `trial`: handlers that behave well and badly.

use std::time::{Duration, Instant};

use bytes::Bytes;
use cereus::{App, Error, Service, Session, concurrent};
use cereus_tests::conformance::trial;

/// All of it.
pub(crate) fn service() -> Service {
    Service::new()
        .request(method(trial::SLEEP), sleep)
        .request(method(trial::SLEEP_CONCURRENT), concurrent(sleep))
        .request(method(trial::PIN), pin)
        .request(method(trial::PUSH), push)
        .notify(method(trial::PUSH_NOTIFY), push_notify)
        .request(method(trial::PUSH_AFTER), push_after)
        .request(method(trial::SET), set)
        .request(method(trial::GET), get)
        .request(method(trial::SERVER), server)
        .request(method(trial::LARGE), large)
        .request(method(trial::NOISE), noise)
        .request(method(trial::KEEP), keep)
        .request(method(trial::PANIC), panic)
        .request(method(trial::COMPUTE), compute)
        .request(method(trial::NEVER), never)
}

/// The name within the service.
fn method(route: &'static str) -> &'static str {
    route.split_once('.').map_or(route, |(_, method)| method)
}

async fn sleep(body: Bytes) -> Result<Bytes, Error> {
    let text = text(&body)?;
    let milliseconds = number(text.split(' ').next().unwrap_or_default())?;
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    Ok(body)
}

async fn pin(session: Session, body: Bytes) -> Result<Bytes, Error> {
    session.pin().await?;
    sleep(body).await
}

async fn push(session: Session, body: Bytes) -> Result<&'static str, Error> {
    for count in 0..number(text(&body)?)? {
        let body = Bytes::from(count.to_string());
        session.push_bytes(trial::PUSHED, body).await.map_err(|error| Error::new("PIT-500", error.to_string()))?;
    }
    Ok("done")
}

async fn push_notify(session: Session, body: Bytes) -> Result<(), Error> {
    push(session, body).await.map(|_| ())
}

async fn push_after(app: App, session: Session, body: Bytes) -> &'static str {
    tokio::time::sleep(Duration::from_millis(1)).await;
    app.afterwards(async move {
        if let Err(error) = push(session, body).await {
            crate::complain(&error.into());
        }
    });
    "done"
}

async fn set(session: Session, body: Bytes) -> Result<&'static str, Error> {
    let text = text(&body)?;
    let (key, value) = text.split_once('=').ok_or_else(|| Error::new("PIT-400", "the body is KEY=TEXT"))?;
    session.set(key, value)?;
    session.save().await.map_err(|error| Error::new("PIT-500", error.to_string()))?;
    Ok("ok")
}

async fn get(session: Session, body: Bytes) -> Result<Bytes, Error> {
    let value = session.get::<String>(text(&body)?)?;
    Ok(value.map(Bytes::from).unwrap_or_default())
}

async fn server(app: App, body: Bytes) -> Result<String, Error> {
    if !body.is_empty() {
        sleep(body).await?;
    }
    Ok(format!("{} {}", app.server_type(), app.server_id()))
}

async fn large(body: Bytes) -> Result<Bytes, Error> {
    Ok(vec![b'x'; size(&body)?].into())
}

async fn noise(body: Bytes) -> Result<Bytes, Error> {
    // The steps of a generator whose period is longer than any answer.
    let mut state = 1_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_be_bytes()[0]
    };
    Ok(std::iter::repeat_with(&mut next).take(size(&body)?).collect::<Vec<_>>().into())
}

async fn keep(body: Bytes) -> Result<&'static str, Error> {
    // Written to, or the system would not give it.
    std::mem::forget(vec![1_u8; size(&body)?]);
    Ok("done")
}

fn size(body: &Bytes) -> Result<usize, Error> {
    Ok(usize::try_from(number(text(body)?)?).unwrap_or(usize::MAX))
}

#[allow(clippy::panic, reason = "it is what the test is about")]
async fn panic() -> Result<Bytes, Error> {
    panic!("a handler panics, as it was asked to");
}

async fn compute(body: Bytes) -> Result<&'static str, Error> {
    let end = Instant::now() + Duration::from_millis(number(text(&body)?)?);
    while Instant::now() < end {
        std::hint::spin_loop();
    }
    Ok("done")
}

async fn never() -> Result<Bytes, Error> {
    std::future::pending().await
}

fn text(body: &Bytes) -> Result<&str, Error> {
    std::str::from_utf8(body).map_err(|error| Error::new("PIT-400", "the body is no text").caused_by(error))
}

fn number(text: &str) -> Result<u64, Error> {
    text.parse().map_err(|_| Error::new("PIT-400", format!("`{text}` is not a number")))
}
