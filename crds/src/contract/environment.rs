//! The environment that an image is started with.

use std::{
    net::{Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};

use crate::{
    Acceptor, Protocol, ServerTypeSpec,
    contract::{CERTIFICATES, TLS, tls_folder, variables},
    names::{ADMIN_PORT_NUMBER, LINK_PORT_NUMBER},
};

/// One variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: VariableValue,
}

/// What a variable is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VariableValue {
    /// This text.
    Text(String),
    /// The uid of the pod, which only the kubelet knows: a reference to the field `metadata.uid`.
    PodUid,
    /// The namespace of the pod: a reference to the field `metadata.namespace`.
    PodNamespace,
}

impl VariableValue {
    /// The text, where it is known.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::PodUid | Self::PodNamespace => None,
        }
    }
}

/// What a server is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Id {
    /// By a name such as `room-1`.
    Name(String),
    /// By the uid of its pod.
    PodUid,
}

/// What protects links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Security {
    /// They do not leave this machine.
    Loopback,
    /// Nothing, although they leave this machine.
    None,
    /// Certificates of the cluster, in this folder.
    Certificates(PathBuf),
}

/// Where a server runs: what of its environment does not follow from its manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What it is called.
    pub id: Id,
    /// Where it listens for other servers.
    pub link: SocketAddr,
    /// Where it listens for probes.
    pub admin: SocketAddr,
    /// The address on which it listens for clients, at the ports that the manifest gives; with `Some` port in
    /// `client_ports` another one.
    pub client_address: std::net::IpAddr,
    /// Ports that replace those of the manifest, by the name of the acceptor: for replicas that share one machine.
    pub client_ports: Vec<(String, u16)>,
    /// What protects its links.
    pub security: Security,
    /// The folder with a folder for each acceptor's certificate.
    pub tls: PathBuf,
    /// The folder that is its view of the cluster; none in Kubernetes.
    pub topology: Option<PathBuf>,
}

impl Place {
    /// A pod, whose links are protected by the cluster's certificates.
    ///
    /// It listens on the unspecified address of IPv6, which takes IPv4 as well.
    pub fn pod() -> Self {
        let any = |port| SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        Self {
            id: Id::PodUid,
            link: any(LINK_PORT_NUMBER),
            admin: any(ADMIN_PORT_NUMBER),
            client_address: Ipv6Addr::UNSPECIFIED.into(),
            client_ports: Vec::new(),
            security: Security::Certificates(CERTIFICATES.into()),
            tls: TLS.into(),
            topology: None,
        }
    }

    /// A process of this machine called `id`, which listens on loopback and finds others in a folder.
    pub fn process(id: &str, link: SocketAddr, admin: SocketAddr, topology: &Path) -> Self {
        Self {
            id: Id::Name(id.to_owned()),
            link,
            admin,
            client_address: link.ip(),
            client_ports: Vec::new(),
            security: Security::Loopback,
            tls: TLS.into(),
            topology: Some(topology.to_owned()),
        }
    }

    fn client(&self, acceptor: &Acceptor) -> SocketAddr {
        let replaced = self.client_ports.iter().find(|(name, _)| *name == acceptor.name);
        (self.client_address, replaced.map_or(acceptor.port, |(_, port)| *port)).into()
    }
}

/// The variables of a server of the type `name`, in the order of [`variables::SET`].
pub fn environment(name: &str, spec: &ServerTypeSpec, place: &Place) -> Vec<Variable> {
    let mut set = Vec::new();
    let mut text = |name, value: String| set.push(Variable { name, value: VariableValue::Text(value) });
    text(variables::SERVER_TYPE, name.to_owned());
    if let Id::Name(id) = &place.id {
        text(variables::SERVER_ID, id.clone());
    }
    if let Some(frontend) = spec.frontend.as_ref() {
        text(variables::FRONTEND, true.to_string());
        let listen = frontend.acceptors.iter().map(|acceptor| listen(acceptor, place));
        text(variables::ACCEPTOR_LISTEN, Value::Array(listen.collect()).to_string());
    }
    text(variables::LINK_LISTEN, place.link.to_string());
    match &place.security {
        Security::Loopback => {}
        Security::None => text(variables::LINK_INSECURE, true.to_string()),
        Security::Certificates(folder) => text(variables::LINK_CERTIFICATES, folder.display().to_string()),
    }
    if spec.protocol == Protocol::Cereus {
        text(variables::ADMIN_LISTEN, place.admin.to_string());
    }
    text(variables::DRAIN_LINGER, spec.drain.linger.to_string());
    text(variables::DRAIN_DEADLINE, spec.drain.deadline.to_string());
    if let Some(spread) = spec.drain.spread {
        text(variables::DRAIN_SPREAD, spread.to_string());
    }
    if let Some(folder) = &place.topology {
        text(variables::TOPOLOGY_DIRECTORY, folder.display().to_string());
    }
    if place.id == Id::PodUid {
        set.push(Variable { name: variables::SERVER_ID, value: VariableValue::PodUid });
        set.push(Variable { name: variables::NAMESPACE, value: VariableValue::PodNamespace });
    }
    set.sort_by_key(|variable| variables::SET.iter().position(|name| *name == variable.name));
    set
}

/// One acceptor, as the setting `acceptor.listen` has it.
fn listen(acceptor: &Acceptor, place: &Place) -> Value {
    let mut listen = Map::new();
    listen.insert("name".to_owned(), json!(acceptor.name));
    listen.insert("protocol".to_owned(), json!(acceptor.protocol));
    listen.insert("address".to_owned(), json!(place.client(acceptor).to_string()));
    if acceptor.tls.is_some() {
        let folder = tls_folder(&place.tls, &acceptor.name);
        let file = |name: &str| folder.join(name).display().to_string();
        listen.insert("tls".to_owned(), json!({ "certificate": file("tls.crt"), "key": file("tls.key") }));
    }
    if acceptor.proxy_protocol {
        listen.insert("proxy_protocol".to_owned(), json!(true));
        if !acceptor.trusted_proxies.is_empty() {
            listen.insert("trusted_proxies".to_owned(), json!(acceptor.trusted_proxies));
        }
    }
    Value::Object(listen)
}
