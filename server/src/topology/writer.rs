//! Writing a directory of topology files: the part of the endpoint controller, where there is none.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use cereus_crds::names::{LINK_PORT, SERVER_TYPE_LABEL, VERSION_LABEL};
use k8s_openapi::{
    api::{
        core::v1::ObjectReference,
        discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::{error::Error, snapshot::Server};

/// Longest server id that still makes a file name everywhere.
const MAX_ID: usize = 200;

/// Writes servers into a directory that [`Topology::directory`](super::Topology::directory) watches, as one EndpointSlice
/// file per server. Each file appears, changes and goes at once; readers never see half of one.
#[derive(Debug, Clone)]
pub struct DirectoryWriter {
    directory: PathBuf,
}

impl DirectoryWriter {
    /// A writer for this directory, which is made when it does not exist.
    pub fn new(directory: impl Into<PathBuf>) -> Result<Self, Error> {
        let directory = directory.into();
        fs::create_dir_all(&directory).map_err(|source| Error::Write { path: directory.clone(), source })?;
        Ok(Self { directory })
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Show this server, or its new state when it is shown already. It touches the disk, if only shortly.
    pub fn write(&self, server: &Server) -> Result<(), Error> {
        let path = self.path(&server.id)?;
        let text = serde_yaml::to_string(&slice(server))
            .map_err(|source| Error::Encode { id: server.id.to_string(), source })?;
        // The name is nobody else's, so that two writers of one server do not mix their files.
        let draft = self.directory.join(format!(".{}.{:016x}.draft", server.id, rand::random::<u64>()));
        fs::write(&draft, text).and_then(|()| fs::rename(&draft, &path)).map_err(|source| {
            // It may not even exist; there is nothing more to be done about it.
            let _ = fs::remove_file(&draft);
            Error::Write { path, source }
        })
    }

    /// Show this server no longer. That it is not shown is no error.
    pub fn remove(&self, id: &str) -> Result<(), Error> {
        let path = self.path(id)?;
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::Write { path, source }),
            _ => Ok(()),
        }
    }

    fn path(&self, id: &str) -> Result<PathBuf, Error> {
        let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(is_legal) {
            return Err(Error::IllegalId { id: id.to_owned() });
        }
        Ok(self.directory.join(format!("endpointslice-{id}.yaml")))
    }
}

/// The slice that the endpoint controller would make if this server were alone in it.
fn slice(server: &Server) -> EndpointSlice {
    let mut labels = vec![(SERVER_TYPE_LABEL.to_owned(), server.server_type.to_string())];
    labels.extend(server.version.as_deref().map(|version| (VERSION_LABEL.to_owned(), version.to_owned())));
    EndpointSlice {
        metadata: ObjectMeta {
            name: Some(format!("{}-{}", server.server_type, server.id)),
            labels: Some(labels.into_iter().collect()),
            ..ObjectMeta::default()
        },
        address_type: if server.address.is_ipv4() { "IPv4" } else { "IPv6" }.to_owned(),
        ports: Some(vec![EndpointPort {
            name: Some(LINK_PORT.to_owned()),
            port: Some(server.address.port().into()),
            protocol: Some("TCP".to_owned()),
            ..EndpointPort::default()
        }]),
        endpoints: Some(vec![Endpoint {
            addresses: vec![server.address.ip().to_string()],
            conditions: Some(EndpointConditions {
                ready: Some(server.ready),
                serving: Some(server.serving),
                terminating: Some(server.terminating),
            }),
            target_ref: Some(ObjectReference {
                kind: Some("Pod".to_owned()),
                name: Some(server.id.to_string()),
                uid: Some(server.id.to_string()),
                ..ObjectReference::default()
            }),
            zone: server.zone.as_deref().map(str::to_owned),
            ..Endpoint::default()
        }]),
    }
}
