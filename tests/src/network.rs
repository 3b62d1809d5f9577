//! Servers at the far end of a network that can lose packets: a network namespace behind a router of its own.
//!
//! Needs root and iproute2. What is lost is lost silently, as behind a dead switch: nobody is told.

use std::{
    net::Ipv4Addr,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, bail};

/// Networks of this process so far.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A namespace in which servers can run, and the router between it and everybody else. Both go when this is dropped.
#[derive(Debug)]
pub struct Network {
    name: String,
    address: Ipv4Addr,
}

impl Network {
    /// Make one that loses nothing.
    ///
    /// # Errors
    ///
    /// When `ip` is missing or this is not root.
    pub fn new() -> anyhow::Result<Network> {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // Interfaces have at most 15 letters. Several test processes may run at a time.
        let name = format!("ct{}x{count}", std::process::id());
        let subnet = u8::try_from((std::process::id().wrapping_mul(7) + count) % 251).unwrap_or_default();
        let network = Network { name, address: Ipv4Addr::new(10, 231, subnet, 6) };
        network.build(subnet)?;
        Ok(network)
    }

    fn build(&self, subnet: u8) -> anyhow::Result<()> {
        let (here, router, far) = (&self.name, self.router(), &self.name);
        let at = |last: u8| format!("10.231.{subnet}.{last}");
        for command in [
            format!("netns add {router}"),
            format!("netns add {far}"),
            format!("link add {here} type veth peer name near netns {router}"),
            format!("-n {router} link add far type veth peer name eth netns {far}"),
            format!("address add {}/30 dev {here}", at(1)),
            format!("-n {router} address add {}/30 dev near", at(2)),
            format!("-n {router} address add {}/30 dev far", at(5)),
            format!("-n {far} address add {}/30 dev eth", at(6)),
            format!("link set {here} up"),
            format!("-n {router} link set near up"),
            format!("-n {router} link set far up"),
            format!("-n {far} link set eth up"),
            format!("-n {far} link set lo up"),
            format!("route add {}/30 via {}", at(4), at(2)),
            format!("-n {far} route add default via {}", at(5)),
        ] {
            ip(&command)?;
        }
        self.forward(true)
    }

    fn router(&self) -> String {
        format!("{}r", self.name)
    }

    /// The address of servers in there.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The words to put before a command so that it runs in there.
    pub fn prefix(&self) -> [&str; 4] {
        ["ip", "netns", "exec", &self.name]
    }

    /// Lose all packets from now on, or no more.
    pub fn forward(&self, forward: bool) -> anyhow::Result<()> {
        let set = format!("echo {} > /proc/sys/net/ipv4/ip_forward", u8::from(forward));
        run(Command::new("ip").args(["netns", "exec", &self.router(), "sh", "-c", &set]))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Whatever is missing was never made.
        let _ = ip(&format!("link delete {}", self.name));
        let _ = ip(&format!("netns delete {}", self.name));
        let _ = ip(&format!("netns delete {}", self.router()));
    }
}

fn ip(arguments: &str) -> anyhow::Result<()> {
    run(Command::new("ip").args(arguments.split(' ')))
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().context("`ip` cannot be run: install iproute2")?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
