//! The image contract: what an image is given by whoever runs it, and what it must honour.
//!
//! The operator runs images as pods and `cereus dev` runs binaries as processes; both ask here for arguments, environment,
//! files, ports, probes and the time to stop, so a server cannot tell them apart. `crds/CONTRACT.md` says the same to
//! people, and is generated from what is here.
//!
//! Variables of the environment follow the convention of the configuration: `CEREUS__SECTION__KEY` sets
//! `section.key`, so a server needs no other code for them than what reads its settings.

mod arguments;
mod bind;
mod document;
mod environment;
mod lifetime;
mod mounts;
mod ports;
mod probes;
#[cfg(test)]
mod tests;
pub mod variables;

pub use arguments::arguments;
pub use bind::bind;
pub use document::document;
pub use environment::{Id, Place, Security, Variable, VariableValue, environment};
pub use lifetime::{DRAIN_SIGNAL, ExitCode, RUN_AS_GROUP, RUN_AS_USER, termination_grace};
pub use mounts::{
    CERTIFICATES, CONFIG_FILE, CONFIG_FOLDER, FILES, Mount, MountSource, TEMPORARY, TLS, VOLUME_PREFIX, config_text,
    mounts, tls_folder,
};
pub use ports::{Port, ports};
pub use probes::{Probe, ProbeKind, Probes, probes};
