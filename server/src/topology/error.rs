//! What can go wrong with a source.

use std::{io, path::PathBuf};

/// A source cannot be followed, or a directory of topology files not written.
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
    /// The process runs in a pod whose ServiceAccount cannot be used.
    #[error("cannot use the ServiceAccount of this pod")]
    ServiceAccount {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no kubeconfig, or it is not understood.
    #[error("this process does not run in a pod with a ServiceAccount, and there is no kubeconfig to use instead")]
    Kubeconfig {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The certificates or credentials for the API server are not usable.
    #[error("cannot make a client of the Kubernetes API")]
    Client {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
