//! Hashes for routing. They are the same on every machine and in every release, because frontends must agree on where a
//! key lives; so none of the standard library's or of a crate's.

use std::{borrow::Cow, collections::HashMap};

use cereus_crds::HashKey;
use serde_json::value::RawValue;

use super::candidate::Question;

/// 2⁶⁴ divided by the golden ratio: spreads inputs that differ in few bits.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The finalizer of splitmix64: every bit of the input changes every bit of the result with probability one half.
const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// Hash of some bytes, as a key for the policy `hash`. To call the server that has a session's `data:room` without that
/// session, hash the room's text.
pub fn hash(bytes: &[u8]) -> u64 {
    let mut state = (bytes.len() as u64).wrapping_mul(GOLDEN);
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(chunk) {
            *to = *from;
        }
        state = mix(state.wrapping_add(GOLDEN) ^ u64::from_le_bytes(word));
    }
    mix(state)
}

/// How much a key belongs to a server: of several servers the one with the highest score owns the key (rendezvous
/// hashing). When one of n servers leaves, only its keys move, to all others alike; when one comes, it takes 1/n of them.
pub fn rendezvous_score(key: u64, server: &str) -> u64 {
    mix(key.wrapping_add(GOLDEN) ^ hash(server.as_bytes()))
}

/// The key of a message under the policy `hash`: what `key` names, or else the session's uid, or else its id. None when
/// there is no session.
pub fn session_key(key: &HashKey, question: &Question<'_>) -> Option<u64> {
    let value = match key {
        HashKey::Data(name) => data_key(question.data, name),
        HashKey::Uid | HashKey::Session => None,
    };
    let uid = match key {
        HashKey::Session => None,
        HashKey::Uid | HashKey::Data(_) => question.uid.filter(|uid| !uid.is_empty()),
    };
    value.or_else(|| uid.map(|uid| hash(uid.as_bytes()))).or_else(|| question.session.map(|id| hash(&id.to_le_bytes())))
}

/// One value of a JSON object. None for an absent value and for null.
pub(super) fn session_value<'a>(data: &'a [u8], name: &str) -> Option<&'a RawValue> {
    let mut values: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(data).ok()?;
    values.remove(name).filter(|value| value.get() != "null")
}

/// Hash of one value of a JSON object; of a string its text, so that escapes make no difference.
fn data_key(data: &[u8], name: &str) -> Option<u64> {
    let value = session_value(data, name)?.get();
    match serde_json::from_str::<String>(value) {
        Ok(text) => Some(hash(text.as_bytes())),
        Err(_) => Some(hash(value.as_bytes())),
    }
}
