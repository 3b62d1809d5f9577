//! Ports of this machine.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use anyhow::{Context as _, bail};

/// Fail with one clear line when a port that clients are told of is taken.
pub(super) fn check(addresses: &[(&str, SocketAddr)]) -> anyhow::Result<()> {
    for (flag, address) in addresses {
        match TcpListener::bind(address) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                bail!("{address} is in use; stop what listens there, or choose another address with {flag}")
            }
            Err(error) => return Err(error).with_context(|| format!("cannot listen on {address} ({flag})")),
        }
    }
    Ok(())
}

/// Ports that nothing listens on now, all different. They stay with their servers over restarts, as a pod keeps its
/// address.
pub(super) fn free(count: usize) -> io::Result<Vec<SocketAddr>> {
    // All are held until all are known.
    let held: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<io::Result<_>>()?;
    held.iter().map(TcpListener::local_addr).collect()
}
