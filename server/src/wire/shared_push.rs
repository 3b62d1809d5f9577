//! One push for many clients.

use std::sync::OnceLock;

use bytes::{Bytes, BytesMut};

use super::dictionary::Dictionary;
use super::outbound::{EncodeError, Outbound, encode_push};
use super::text::Text;

/// A push that many clients of one server get. It is encoded once for each way in which they can read it, when the first
/// of them needs it, and the packet is shared by all.
#[derive(Debug)]
pub struct SharedPush {
    route: Text,
    body: Bytes,
    /// By style: compressed or not, with codes or without.
    packets: [OnceLock<Result<Bytes, EncodeError>>; 4],
}

impl SharedPush {
    /// A push of `body` on `route`.
    pub const fn new(route: Text, body: Bytes) -> Self {
        Self { route, body, packets: [const { OnceLock::new() }; 4] }
    }

    /// The route.
    pub const fn route(&self) -> &Text {
        &self.route
    }

    /// The payload.
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// The whole Data packet for clients of this style. The dictionary, and the threshold of the style where it has one,
    /// are those of the server: the same in all calls.
    ///
    /// # Errors
    ///
    /// As [`encode_push`].
    pub fn packet(&self, dictionary: &Dictionary, style: Outbound) -> Result<&Bytes, EncodeError> {
        // What makes no difference for this push makes no packet of its own.
        let compression = style.compression.filter(|threshold| self.body.len() >= *threshold);
        let dictionary_helps = style.dictionary && dictionary.code(&self.route).is_some();
        let [plain, compressed, coded, both] = &self.packets;
        let packet = match (compression.is_some(), dictionary_helps) {
            (false, false) => plain,
            (true, false) => compressed,
            (false, true) => coded,
            (true, true) => both,
        };
        let encoded = packet.get_or_init(|| {
            let mut packet = BytesMut::new();
            let style = Outbound { compression, dictionary: dictionary_helps };
            encode_push(&self.route, &self.body, dictionary, style, &mut packet)?;
            Ok(packet.freeze())
        });
        encoded.as_ref().map_err(|error| *error)
    }
}
