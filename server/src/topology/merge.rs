//! From Kubernetes objects to a snapshot, without any state: the same objects give the same view, in whatever order and
//! in however many slices they come.

use std::{
    cmp::Reverse,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use cereus_crds::names::{LINK_PORT, SERVER_TYPE_LABEL, VERSION_LABEL};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use rustc_hash::FxHashMap;

use super::snapshot::{Server, ServerId, ServerType, Skipped, Snapshot, TypeSettings};

/// Make the view that these objects describe.
///
/// - Only slices with the label `cereus.dev/server-type` count; its value is the type of their servers.
/// - A server is known by the uid of its `targetRef`, by that object's name when there is no uid, never by its address.
/// - It listens on the port named `link` of its slice, at the first address of its endpoint, IPv4 or IPv6.
/// - A missing `ready` means ready, a missing `serving` means the same as ready, a missing `terminating` means no.
///
/// A server may be listed several times: while the endpoint controller moves it between slices, and once for each IP
/// family. When the entries differ, one of them counts as a whole: a ready one before others, then one that is not
/// terminating, then a serving one, then IPv4 before IPv6, then the lowest address, type, zone and version. Of two
/// ServerTypes with one name the one with the lower settings counts (as [`TypeSettings`] are ordered).
///
/// What cannot be used is left out and counted in [`Snapshot::skipped`].
pub fn merge<'a>(
    slices: impl IntoIterator<Item = &'a EndpointSlice>,
    server_types: impl IntoIterator<Item = &'a cereus_crds::ServerType>,
) -> Snapshot {
    let mut skipped = Skipped::default();
    let mut servers: FxHashMap<ServerId, Server> = FxHashMap::default();
    for slice in slices {
        for server in servers_of(slice, &mut skipped) {
            match servers.get_mut(&server.id) {
                Some(known) if preference(&server) < preference(known) => *known = server,
                Some(_) => {}
                None => {
                    servers.insert(Arc::clone(&server.id), server);
                }
            }
        }
    }
    let mut types: FxHashMap<ServerType, TypeSettings> = FxHashMap::default();
    for resource in server_types {
        let Some(name) = resource.metadata.name.as_deref().filter(|name| !name.is_empty()) else {
            skipped.server_types += 1;
            continue;
        };
        let settings = settings(resource);
        match types.get_mut(name) {
            Some(known) => {
                skipped.server_types += 1;
                if settings < *known {
                    *known = settings;
                }
            }
            None => {
                types.insert(name.into(), settings);
            }
        }
    }
    Snapshot::new(servers.into_values(), types).with_skipped(skipped)
}

/// The order among different entries of one server; the least counts. It takes in every field, so that it is total.
fn preference(server: &Server) -> impl Ord + '_ {
    (
        Reverse(server.ready),
        server.terminating,
        Reverse(server.serving),
        // An IPv4 address is less than any IPv6 address.
        server.address,
        &server.server_type,
        &server.zone,
        &server.version,
    )
}

/// The usable servers of one slice.
fn servers_of<'a>(slice: &'a EndpointSlice, skipped: &'a mut Skipped) -> impl Iterator<Item = Server> + 'a {
    let server_type: Option<ServerType> = label(slice, SERVER_TYPE_LABEL);
    let version: Option<Arc<str>> = label(slice, VERSION_LABEL);
    let port = link_port(slice);
    // A slice without the label is not about game servers at all, which is nothing to count.
    let endpoints = if server_type.is_some() { slice.endpoints.as_deref() } else { None };
    endpoints.unwrap_or_default().iter().filter_map(move |endpoint| {
        let server_type = Arc::clone(server_type.as_ref()?);
        let Some(port) = port else {
            skipped.no_link_port += 1;
            return None;
        };
        let Some(ip) = address(slice, endpoint) else {
            skipped.no_address += 1;
            return None;
        };
        let Some(id) = target(endpoint) else {
            skipped.no_target += 1;
            return None;
        };
        let conditions = endpoint.conditions.as_ref();
        let ready = conditions.and_then(|conditions| conditions.ready).unwrap_or(true);
        Some(Server {
            id,
            server_type,
            address: SocketAddr::new(ip, port),
            zone: endpoint.zone.as_deref().filter(|zone| !zone.is_empty()).map(Arc::from),
            version: version.clone(),
            ready,
            serving: conditions.and_then(|conditions| conditions.serving).unwrap_or(ready),
            terminating: conditions.and_then(|conditions| conditions.terminating).unwrap_or(false),
        })
    })
}

fn label(slice: &EndpointSlice, key: &str) -> Option<Arc<str>> {
    let value = slice.metadata.labels.as_ref()?.get(key)?;
    (!value.is_empty()).then(|| value.as_str().into())
}

fn link_port(slice: &EndpointSlice) -> Option<u16> {
    let port = slice.ports.as_deref()?.iter().find(|port| {
        port.name.as_deref() == Some(LINK_PORT) && port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP")
    })?;
    port.port.and_then(|number| u16::try_from(number).ok()).filter(|number| *number != 0)
}

/// The first address; Kubernetes gives the others no meaning.
fn address(slice: &EndpointSlice, endpoint: &Endpoint) -> Option<IpAddr> {
    let address = endpoint.addresses.first()?;
    match slice.address_type.as_str() {
        "IPv4" => address.parse().ok().map(IpAddr::V4),
        "IPv6" => address.parse().ok().map(IpAddr::V6),
        _ => None,
    }
}

fn target(endpoint: &Endpoint) -> Option<ServerId> {
    let target = endpoint.target_ref.as_ref()?;
    let named = |text: &Option<String>| text.as_deref().filter(|text| !text.is_empty()).map(Arc::from);
    named(&target.uid).or_else(|| named(&target.name))
}

fn settings(resource: &cereus_crds::ServerType) -> TypeSettings {
    TypeSettings {
        routing: resource.spec.routing.clone(),
        protocol: resource.spec.protocol,
        frontend: resource.spec.frontend.is_some(),
    }
}
