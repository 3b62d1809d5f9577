//! Who is in the cluster: which servers of which type exist, where they listen, and how their type wants to be routed.
//!
//! Last but one on the path: everything above asks it and it asks nobody. It promises immutable [`Snapshot`]s that are
//! replaced in whole; [`Topology`] is the handle on the latest. A source reads EndpointSlices and ServerTypes, [`merge`]
//! makes a snapshot of them, and a [`Publisher`] shows it. The source here is a directory of files
//! ([`Topology::directory`], filled with a [`DirectoryWriter`]); a cluster's API server uses the same merge.
//!
//! It leaves out links, what a server itself says about its state, and every choice: see `router`.

mod directory;
mod documents;
mod error;
mod files;
mod merge;
mod snapshot;
#[cfg(test)]
mod tests;
mod watch;
mod writer;

pub use directory::DirectoryWatch;
pub use error::Error;
pub use merge::merge;
pub use snapshot::{Server, ServerId, ServerType, Skipped, Snapshot, TypeSettings};
pub use watch::{Publisher, Topology};
pub use writer::DirectoryWriter;
