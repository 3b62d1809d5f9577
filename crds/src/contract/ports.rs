//! The ports that an image opens.

use crate::{
    Protocol, ServerTypeSpec,
    names::{ADMIN_PORT, ADMIN_PORT_NUMBER, LINK_PORT, LINK_PORT_NUMBER},
};

/// A port of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its number.
    pub number: u16,
}

/// The ports of a server, all of them TCP: for servers, for probes unless it is in another language, and for clients.
pub fn ports(spec: &ServerTypeSpec) -> Vec<Port> {
    let port = |name: &str, number| Port { name: name.to_owned(), number };
    let mut ports = vec![port(LINK_PORT, LINK_PORT_NUMBER)];
    if spec.protocol == Protocol::Cereus {
        ports.push(port(ADMIN_PORT, ADMIN_PORT_NUMBER));
    }
    let acceptors = spec.frontend.iter().flat_map(|frontend| &frontend.acceptors);
    ports.extend(acceptors.map(|acceptor| port(&acceptor.name, acceptor.port)));
    ports
}
