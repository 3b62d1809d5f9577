//! Why files cannot be used.

use std::path::{Path, PathBuf};

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file cannot be used.
    #[error("{} cannot be used as {part}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What it is needed for.
        part: &'static str,
        /// What is wrong with it.
        #[source]
        cause: Cause,
    },
    /// The operating system does not tell of changes.
    #[error("changes of certificates cannot be followed")]
    Watch(#[from] notify::Error),
    /// The caller is outside of a runtime.
    #[error("nobody is there to follow changes of certificates")]
    NoRuntime(#[from] tokio::runtime::TryCurrentError),
    /// What is asked for is not in the library.
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
}

impl Error {
    pub(crate) fn new(path: &Path, part: &'static str, cause: impl Into<Cause>) -> Self {
        Self::File { path: path.to_owned(), part, cause: cause.into() }
    }

    /// In one line, with its cause.
    pub(super) fn line(&self) -> String {
        std::error::Error::source(self).map_or_else(|| self.to_string(), |cause| format!("{self}: {cause}"))
    }
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    /// It is not there, or may not be read.
    #[error("it cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// Nothing of what is needed is in it.
    #[error("it holds no {0}: PEM text is expected, with a block that begins with -----BEGIN {1}-----")]
    Nothing(&'static str, &'static str),
    /// A block in it is broken.
    #[error("it is not PEM text: {0}")]
    Pem(rustls::pki_types::pem::Error),
    /// The certificate is another key's.
    #[error("it is not the key of the certificate in {}", .0.display())]
    OtherKey(PathBuf),
    /// What it holds is of no use.
    #[error("{0}")]
    Unusable(#[from] rustls::Error),
    /// The certificate does not say whose it is, or is somebody else's.
    #[error("it is for {found}, expected is {expected} as a URI among the alternative names")]
    Name {
        /// Who it should be for.
        expected: String,
        /// Who it is for.
        found: String,
    },
}
