//! What travels beside the argument of a call, as a JSON object.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rand::Rng as _;
use serde::Serialize;
use serde_json::Value;

use super::duration;
use crate::rpc::Identity;

/// The remaining time of a call.
const TIMEOUT: &str = "reqTimeout";

/// A request id has as many characters as a uuid of Pitaya's has in base 62.
const ID_LENGTH: usize = 22;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The metadata of a call is not what it has to be.
#[derive(Debug, thiserror::Error)]
#[error("the metadata of a call is no JSON object")]
pub(crate) struct NotAnObject(#[source] serde_json::Error);

/// What a caller sent; nothing at all is an empty object.
pub(crate) fn read(metadata: &[u8]) -> Result<BTreeMap<String, Value>, NotAnObject> {
    if metadata.is_empty() {
        return Ok(BTreeMap::new());
    }
    serde_json::from_slice(metadata).map_err(NotAnObject)
}

/// How long the caller waits, if it says so in a way that Go would understand.
pub(crate) fn timeout(metadata: &BTreeMap<String, Value>) -> Option<Duration> {
    duration::parse(metadata.get(TIMEOUT)?.as_str()?)
}

/// What this server sends with a call. The names are Pitaya's.
#[derive(Serialize)]
struct Sent<'a> {
    #[serde(rename = "peer.id")]
    peer_id: &'a str,
    #[serde(rename = "peer.service")]
    peer_service: &'a str,
    #[serde(rename = "req-route")]
    route: &'a str,
    #[serde(rename = "req-start-time")]
    start_time: u64,
    #[serde(rename = "reqTimeout")]
    timeout: String,
    #[serde(rename = "request.id")]
    request_id: String,
}

/// The metadata of a call that `caller` begins now and waits for as long as `timeout`.
pub(crate) fn write(route: &str, timeout: Duration, caller: &Identity) -> Bytes {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let sent = Sent {
        peer_id: &caller.server_id,
        peer_service: &caller.server_type,
        route,
        start_time: u64::try_from(since.as_nanos()).unwrap_or(u64::MAX),
        timeout: duration::format(timeout),
        request_id: request_id(),
    };
    // Texts and numbers always have a JSON form.
    serde_json::to_vec(&sent).map(Bytes::from).unwrap_or_default()
}

fn request_id() -> String {
    let mut random = rand::rng();
    (0..ID_LENGTH).filter_map(|_| BASE62.get(random.random_range(0..BASE62.len())).copied().map(char::from)).collect()
}
