//! The files that an image finds.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::{ServerTypeSpec, contract::Security, names::certificates};

/// The folder that holds all of them. Nothing in an image or a manifest may be there.
pub const FILES: &str = "/etc/cereus";

/// The folder of the configuration file.
pub const CONFIG_FOLDER: &str = "/etc/cereus/config";

/// The configuration file: `spec.config` as YAML.
pub const CONFIG_FILE: &str = "/etc/cereus/config/config.yaml";

/// The certificate for links: `ca.crt`, `tls.crt`, `tls.key`. They are replaced while the server runs.
pub const CERTIFICATES: &str = "/etc/cereus/certificates";

/// The certificates of acceptors: a folder with `tls.crt` and `tls.key` for each. They are replaced while the server runs.
pub const TLS: &str = "/etc/cereus/tls";

/// The only folder that can be written to. It is empty at the start and gone at the end.
pub const TEMPORARY: &str = "/tmp";

/// What the names of our volumes begin with.
pub const VOLUME_PREFIX: &str = "cereus-";

/// One volume, and where a server sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The name of the volume.
    pub volume: String,
    /// The folder.
    pub path: PathBuf,
    /// What is in it.
    pub source: MountSource,
}

/// What a volume is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountSource {
    /// This ConfigMap, read-only.
    ConfigMap(String),
    /// This Secret, read-only.
    Secret(String),
    /// An empty folder that can be written to.
    Empty,
}

/// The mounts of a server of the type `name`, whose configuration file is in this ConfigMap.
pub fn mounts(name: &str, spec: &ServerTypeSpec, config_map: &str, security: &Security) -> Vec<Mount> {
    let mount =
        |volume: &str, path: PathBuf, source| Mount { volume: format!("{VOLUME_PREFIX}{volume}"), path, source };
    let mut mounts = vec![
        mount("config", CONFIG_FOLDER.into(), MountSource::ConfigMap(config_map.to_owned())),
        mount("temporary", TEMPORARY.into(), MountSource::Empty),
    ];
    if let Security::Certificates(folder) = security {
        mounts.push(mount("certificates", folder.clone(), MountSource::Secret(certificates(name))));
    }
    for acceptor in spec.frontend.iter().flat_map(|frontend| &frontend.acceptors) {
        if let Some(tls) = &acceptor.tls {
            let folder = tls_folder(Path::new(TLS), &acceptor.name);
            let source = MountSource::Secret(tls.secret_name.clone());
            mounts.push(mount(&format!("tls-{}", acceptor.name), folder, source));
        }
    }
    mounts
}

/// The folder with an acceptor's certificate.
pub fn tls_folder(tls: &Path, acceptor: &str) -> PathBuf {
    tls.join(acceptor)
}

/// The text of the configuration file.
pub fn config_text(config: &Map<String, Value>) -> Result<String, serde_yaml::Error> {
    serde_yaml::to_string(config)
}
