//! What can go wrong, whose fault it is, and what is done about it.

use std::time::Duration;

use kube::runtime::reflector::store::WriterDropped;
use prometheus_client::encoding::EncodeLabelValue;

use crate::{
    certificates::CertificateError,
    controller::{build::BuildError, reason::Reason},
};

/// One run failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Another operator has the lease.
    #[error("another operator leads, or the lease could not be renewed in time")]
    NotLeading,
    /// The API server did not do what it was asked for.
    #[error("cannot {action}")]
    Api {
        /// What it was asked for: `apply Deployment room`.
        action: String,
        /// Its answer.
        #[source]
        source: kube::Error,
    },
    /// The API server did not answer in time.
    #[error("cannot {action}: the API server did not answer in time")]
    Slow {
        /// What it was asked for.
        action: String,
    },
    /// Somebody else's object has the name of ours.
    #[error(
        "there is a {kind} {name} that was not made for this ServerType; rename or delete it, or give the ServerType \
         another name"
    )]
    NameTaken {
        /// Its kind.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// There are no certificates.
    #[error(transparent)]
    Certificates(#[from] CertificateError),
    /// An object could not be written down.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The operator is stopping.
    #[error("the watches have ended")]
    Stopping(#[from] WriterDropped),
}

/// Why a run failed, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Failure {
    /// Another operator leads.
    NotLeading,
    /// Something changed in between.
    Conflict,
    /// The API server has too much to do.
    Throttled,
    /// The operator may not do that.
    Forbidden,
    /// The API server does not take the object.
    Refused,
    /// The API server has a problem of its own.
    Server,
    /// The API server cannot be reached, or does not answer in time.
    Connection,
    /// Somebody else's object has the name of ours.
    NameTaken,
    /// There are no certificates.
    Certificates,
    /// A fault of the operator.
    Internal,
}

impl Error {
    /// Why, as one of few.
    pub(crate) fn failure(&self) -> Failure {
        match self {
            Self::NotLeading => Failure::NotLeading,
            Self::Api { source, .. } => match source {
                kube::Error::Api(status) => match status.code {
                    404 | 409 => Failure::Conflict,
                    429 => Failure::Throttled,
                    401 | 403 => Failure::Forbidden,
                    400..=499 => Failure::Refused,
                    _ => Failure::Server,
                },
                kube::Error::SerdeError(_) => Failure::Internal,
                _ => Failure::Connection,
            },
            Self::Slow { .. } => Failure::Connection,
            Self::NameTaken { .. } => Failure::NameTaken,
            Self::Certificates(_) => Failure::Certificates,
            Self::Build(_) | Self::Stopping(_) => Failure::Internal,
        }
    }

    /// What the ServerType's condition says of it; none for what passes by itself.
    pub(crate) fn reason(&self) -> Option<Reason> {
        match self.failure() {
            Failure::Forbidden | Failure::Refused => Some(Reason::ObjectRefused),
            Failure::NameTaken => Some(Reason::NameTaken),
            Failure::Certificates => Some(Reason::CertificatesUnreadable),
            Failure::Internal => Some(Reason::OperatorFault),
            Failure::NotLeading | Failure::Conflict | Failure::Throttled | Failure::Server | Failure::Connection => {
                None
            }
        }
    }

    /// How long the API server asked to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let Self::Api { source, .. } = self else { return None };
        let kube::Error::Api(status) = source else { return None };
        let seconds = status.details.as_ref()?.retry_after_seconds;
        (seconds > 0).then(|| Duration::from_secs(u64::from(seconds)))
    }

    /// The whole chain on one line. What the API server said is told in its own words.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            if let Some(kube::Error::Api(status)) = error.downcast_ref() {
                return format!("{text}: {}", status.message);
            }
            text = format!("{text}: {error}");
            source = error.source();
        }
        text
    }
}
