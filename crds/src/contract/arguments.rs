//! The arguments that an image is started with.

use crate::{Protocol, contract::CONFIG_FILE};

/// The arguments of a server, after the image's own entrypoint.
///
/// An image in another language (`protocol: pitaya`) gets none: what it needs is in its environment.
///
/// ```
/// use cereus_crds::{Protocol, contract};
/// assert_eq!(contract::arguments(Protocol::Cereus, "/tmp/room.yaml"), ["serve", "--config", "/tmp/room.yaml"]);
/// ```
pub fn arguments(protocol: Protocol, config_file: &str) -> Vec<String> {
    match protocol {
        Protocol::Cereus => ["serve", "--config", config_file].map(str::to_owned).to_vec(),
        Protocol::Pitaya => Vec::new(),
    }
}

/// The arguments as the document shows them.
pub(super) fn shown() -> String {
    arguments(Protocol::Cereus, CONFIG_FILE).join(" ")
}
