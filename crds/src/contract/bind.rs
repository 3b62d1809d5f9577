//! Where a server listens when the kernel has no IPv6.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use rustix::io::Errno;

/// Bind `address` with `bind`; where the kernel has no IPv6, its unspecified address, which is what pods are given, means
/// that of IPv4.
///
/// # Errors
/// Those of `bind`.
pub fn bind<T>(address: SocketAddr, mut bind: impl FnMut(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let is_missing = |error: &io::Error| error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error());
    match bind(address) {
        Err(error) if address.ip() == IpAddr::from(Ipv6Addr::UNSPECIFIED) && is_missing(&error) => {
            bind((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        result => result,
    }
}
