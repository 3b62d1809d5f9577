//! Ports of this machine.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
};

use anyhow::{Context as _, bail};

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

/// Ports that nothing listens on now, all different. They stay with their servers over restarts, as a pod keeps its
/// address.
pub(super) fn free<const COUNT: usize>(ip: IpAddr) -> io::Result<[SocketAddr; COUNT]> {
    // All are held until all are known.
    let held: Vec<TcpListener> = (0..COUNT).map(|_| TcpListener::bind((ip, 0))).collect::<io::Result<_>>()?;
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); COUNT];
    for (address, listener) in addresses.iter_mut().zip(&held) {
        *address = listener.local_addr()?;
    }
    Ok(addresses)
}

/// The first port from `port` on that nothing listens on and that is not promised to somebody.
pub(super) fn next_free(ip: IpAddr, port: u16, promised: &BTreeSet<u16>) -> Option<u16> {
    (port..=u16::MAX).find(|port| !promised.contains(port) && TcpListener::bind((ip, *port)).is_ok())
}
