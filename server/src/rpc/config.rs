//! Settings of the links.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::wire::at_least;

/// No link takes less: an announcement of channels, and what surrounds it.
pub(crate) const LEAST_FRAME: usize = (256 << 10) + SURROUNDINGS;

/// Room in a message for what surrounds a payload of the largest size: route, session, keys.
const SURROUNDINGS: usize = 64 << 10;

/// Section `link`: how this server and others talk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Where other servers reach this one. Port 0 lets the system choose.
    pub(crate) listen: SocketAddr,
    /// The folder with the certificate for links (`tls.crt`), its key (`tls.key`) and those of the authorities that are
    /// believed (`ca.crt`), which may be replaced while the server runs. A certificate has the name
    /// `cereus://NAMESPACE/SERVER-TYPE`. Not set: links are neither encrypted nor authenticated.
    pub(crate) certificates: Option<PathBuf>,
    /// Whether links may leave this machine without certificates.
    pub(crate) insecure: bool,
    /// The largest frame that is sent, in bytes, at least 327680, because channels are announced in such; a larger one fails
    /// its own request.
    #[serde(deserialize_with = "at_least::number::<LEAST_FRAME, _>")]
    pub(crate) max_frame: usize,
    /// Bytes that may wait to be sent on one link; then requests are refused and pushes wait.
    #[serde(deserialize_with = "at_least::number::<1, _>")]
    pub(crate) outbound: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 3260)),
            certificates: None,
            insecure: false,
            max_frame: 0xFF_FFFF + SURROUNDINGS,
            outbound: 4 << 20,
        }
    }
}

/// The largest batch that is received: a frame of the largest size, and some for the batch around it.
pub(super) const MAX_BATCH: usize = 0xFF_FFFF + 2 * SURROUNDINGS;

/// Small windows with small frames end in `GOAWAY too_many_data_frames`.
pub(super) const CONNECTION_WINDOW: u32 = 16 << 20;
pub(super) const STREAM_WINDOW: u32 = 8 << 20;

/// A ping goes out this often, also when nothing else does,
pub(super) const PING_INTERVAL: Duration = Duration::from_secs(2);
/// and the link is lost when it stays unanswered this long.
pub(super) const PING_TIMEOUT: Duration = Duration::from_secs(3);
/// The kernel gives up on unacknowledged bytes after this.
pub(super) const USER_TIMEOUT: Duration = Duration::from_secs(5);
/// For the connection, and once more for the greeting.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// So many accepted connections of one worker may be on their way to being encrypted, each no longer than `CONNECT_TIMEOUT`.
pub(super) const HANDSHAKES: usize = 256;
/// Between two log lines about peers that are refused.
pub(super) const REFUSALS: Duration = Duration::from_secs(10);
/// How long a link that is closed from this end waits for the other end to close too.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
