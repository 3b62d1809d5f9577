//! What can go wrong with a directory of topology files.

use std::{io, path::PathBuf};

/// A directory of topology files cannot be watched or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The directory is missing, is no directory, or may not be read.
    #[error("cannot read the topology directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The operating system does not tell about changes of the directory.
    #[error("cannot watch the topology directory {}", path.display())]
    Watch {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: notify::Error,
    },
    /// A directory can only be watched from within a tokio runtime.
    #[error("a topology directory is watched by a task, and there is no runtime to run it")]
    NoRuntime(#[source] tokio::runtime::TryCurrentError),
    /// A file could not be written, replaced or removed.
    #[error("cannot write the topology file {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The server's object could not be written as YAML.
    #[error("cannot encode the EndpointSlice of server {id:?}")]
    Encode {
        /// The server's id.
        id: String,
        /// Why.
        source: serde_yaml::Error,
    },
    /// The id cannot be part of a file name.
    #[error(
        "server id {id:?} cannot name a file: letters, digits, '-', '_' and '.' are allowed, and at most 200 of them"
    )]
    IllegalId {
        /// The server's id.
        id: String,
    },
}
