//! Objects as they change.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::io::AsyncReadExt as _;

/// Run a `kubectl` that writes events with objects, one JSON text after the other, until an object gives something.
pub(super) async fn until<T>(
    command: Command,
    timeout: Duration,
    mut wanted: impl FnMut(&Value) -> Option<T>,
) -> anyhow::Result<T> {
    let mut command = tokio::process::Command::from(command);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let mut output = child.stdout.take().context("the standard output is piped")?;
    let mut last = Value::Null;
    let look = async {
        let mut text = Vec::new();
        while output.read_buf(&mut text).await? > 0 {
            for object in take(&mut text)? {
                if let Some(found) = wanted(&object) {
                    return Ok(found);
                }
                last = object;
            }
        }
        bail!("kubectl ended")
    };
    let found = tokio::time::timeout(timeout, look).await;
    found.unwrap_or_else(|_| bail!("not within {timeout:?}; the last was {last}"))
}

/// Take the objects of all complete events out of `text`.
fn take(text: &mut Vec<u8>) -> anyhow::Result<Vec<Value>> {
    let mut events = serde_json::Deserializer::from_slice(text).into_iter::<Value>();
    let (mut objects, mut end) = (Vec::new(), 0);
    while let Some(event) = events.next() {
        match event {
            Ok(mut event) => objects.push(event.get_mut("object").map(Value::take).unwrap_or_default()),
            Err(error) if error.is_eof() => break,
            Err(error) => return Err(error.into()),
        }
        end = events.byte_offset();
    }
    text.drain(..end);
    Ok(objects)
}

#[cfg(test)]
mod tests;
