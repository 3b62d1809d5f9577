//! Ports of this machine.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, SocketAddr, TcpListener},
};

use anyhow::{Context as _, bail};
use rand::Rng as _;

/// The ports to choose from: above those of well-known services, below those that systems give to connections.
const LOWEST: u16 = 10_000;
const HIGHEST: u16 = 32_000;

/// Fail with one clear line when a port that clients are told of is taken. `remedy` says how to choose another.
pub(super) fn check(address: SocketAddr, remedy: &str) -> anyhow::Result<()> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            bail!("{address} is in use; stop what listens there, or {remedy}")
        }
        Err(error) => Err(error).with_context(|| format!("cannot listen on {address}")),
    }
}

/// Ports that nothing listens on now and that are not promised to somebody, all different. They stay with their servers
/// over restarts, as a pod keeps its address.
///
/// Below those that the system gives to connections, of which each would be in the way of a listener.
pub(super) fn free<const COUNT: usize>(ip: IpAddr, promised: &BTreeSet<u16>) -> io::Result<[SocketAddr; COUNT]> {
    let mut taken = promised.clone();
    let mut addresses = [SocketAddr::from((ip, 0)); COUNT];
    for address in &mut addresses {
        let port = next_free(ip, rand::rng().random_range(LOWEST..HIGHEST), &taken).ok_or(io::ErrorKind::AddrInUse)?;
        taken.insert(port);
        address.set_port(port);
    }
    Ok(addresses)
}

/// The one of these that somebody listens on.
pub(super) fn taken(addresses: [SocketAddr; 2]) -> Option<SocketAddr> {
    let in_use = |error: io::Error| error.kind() == io::ErrorKind::AddrInUse;
    addresses.into_iter().find(|address| TcpListener::bind(address).is_err_and(in_use))
}

/// The first port from `port` on that nothing listens on and that is not promised to somebody.
pub(super) fn next_free(ip: IpAddr, port: u16, promised: &BTreeSet<u16>) -> Option<u16> {
    (port..=u16::MAX).find(|port| !promised.contains(port) && TcpListener::bind((ip, *port)).is_ok())
}
