//! The reasons that conditions and events give: all there are.

/// Why a condition is as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Reason {
    /// All servers that are to be there take messages.
    AllServersReady,
    /// Some do not yet.
    ServersNotReady,
    /// Nothing is being changed.
    Settled,
    /// Servers are being started.
    Starting,
    /// Servers are being replaced.
    RollingOut,
    /// Servers are taking their leave.
    Draining,
    /// Nothing is wrong.
    AsExpected,
    /// The manifest is wrong.
    InvalidManifest,
    /// The manifest names no image.
    ImageMissing,
    /// The image cannot be had.
    ImageNotPulled,
    /// A Secret that servers need is not there.
    SecretMissing,
    /// A container cannot be made as the manifest says.
    ContainerRefused,
    /// The servers do not take their configuration.
    ConfigRefused,
    /// A port that a server is to open is taken.
    PortInUse,
    /// A server may not open a port.
    PortForbidden,
    /// A server needed more memory than it may use.
    OutOfMemory,
    /// A server ended by itself.
    ServerFailed,
    /// The node of a server does not answer.
    NodeSilent,
    /// No node has room for a server.
    NoRoom,
    /// New servers do not get ready, and nothing says why.
    RolloutStuck,
    /// Somebody else's object has the name of ours.
    NameTaken,
    /// The authority cannot be read.
    CertificatesUnreadable,
    /// The API server does not take an object, or not from the operator.
    ObjectRefused,
    /// What the API server was asked for has failed many times.
    ApiFailing,
    /// A fault of the operator.
    OperatorFault,
    /// The manifest says that everything is to be left as it is.
    PausedByManifest,
    /// It does not.
    NotPaused,
}

impl Reason {
    /// As it is written.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::AllServersReady => "AllServersReady",
            Self::ServersNotReady => "ServersNotReady",
            Self::Settled => "Settled",
            Self::Starting => "Starting",
            Self::RollingOut => "RollingOut",
            Self::Draining => "Draining",
            Self::AsExpected => "AsExpected",
            Self::InvalidManifest => "InvalidManifest",
            Self::ImageMissing => "ImageMissing",
            Self::ImageNotPulled => "ImageNotPulled",
            Self::SecretMissing => "SecretMissing",
            Self::ContainerRefused => "ContainerRefused",
            Self::ConfigRefused => "ConfigRefused",
            Self::PortInUse => "PortInUse",
            Self::PortForbidden => "PortForbidden",
            Self::OutOfMemory => "OutOfMemory",
            Self::ServerFailed => "ServerFailed",
            Self::NodeSilent => "NodeSilent",
            Self::NoRoom => "NoRoom",
            Self::RolloutStuck => "RolloutStuck",
            Self::NameTaken => "NameTaken",
            Self::CertificatesUnreadable => "CertificatesUnreadable",
            Self::ObjectRefused => "ObjectRefused",
            Self::ApiFailing => "ApiFailing",
            Self::OperatorFault => "OperatorFault",
            Self::PausedByManifest => "PausedByManifest",
            Self::NotPaused => "NotPaused",
        }
    }
}

#[cfg(test)]
mod tests {
    /// The README's table and this file name the same.
    #[test]
    fn the_readme_tells_every_reason() {
        let file = include_str!("reason.rs");
        let names = file.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split('"').nth(1));
        let mut names: Vec<_> = names.collect();
        assert!(names.len() > 20, "only {names:?} were found");
        let readme = include_str!("../../README.md");
        let (_, table) = readme.split_once("| reason | meaning |\n|---|---|\n").expect("the README has the table");
        let rows = table.lines().take_while(|line| line.starts_with('|'));
        let mut told: Vec<_> = rows.filter_map(|row| row.split('`').nth(1)).collect();
        names.sort_unstable();
        told.sort_unstable();
        assert_eq!(told, names);
    }
}
