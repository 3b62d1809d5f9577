//! Who is in the cluster: which servers of which type exist, where they listen, and how their type wants to be routed.
//!
//! Last but one on the path: everything above asks it and it asks nobody. It promises immutable [`Snapshot`]s that are
//! replaced in whole; [`Topology`] is the handle on the latest. A source reads EndpointSlices and ServerTypes, [`merge`]
//! makes a snapshot of them, and a [`Publisher`] shows it. The sources are a directory of files
//! ([`Topology::directory`], filled with a [`DirectoryWriter`]) and a cluster's API server ([`Topology::kubernetes`]); what they
//! have in common is [`Source`].
//!
//! It leaves out links, what a server itself says about its state, and every choice: see `router`.

mod directory;
mod documents;
mod error;
mod files;
mod kubernetes;
mod merge;
mod snapshot;
mod source;
#[cfg(test)]
mod tests;
mod watch;
mod writer;

pub use directory::DirectoryWatch;
pub use error::Error;
pub use kubernetes::{Access, KubernetesWatch};
pub use merge::merge;
pub use snapshot::{Server, ServerId, ServerType, Skipped, Snapshot, TypeSettings};
pub use source::{Source, SourceStatus};
pub use watch::{Publisher, Topology};
pub use writer::DirectoryWriter;
