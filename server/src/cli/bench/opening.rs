//! Opening many connections.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    cli::client::{Connection, Endpoint, Options},
    wire::ServerHandshake,
};

/// The address that the connection `number` comes from when `count` loopback addresses take turns; nothing when the
/// target is not an IPv4 loopback address, or there is nothing to take turns with.
pub(super) fn source(endpoint: &Endpoint, number: u64, count: u32) -> Option<IpAddr> {
    let loopback = endpoint.addresses().iter().all(|address| address.is_ipv4() && address.ip().is_loopback());
    let turn = u8::try_from(number % u64::from(count)).ok()?;
    (loopback && count > 1).then(|| Ipv4Addr::new(127, 0, 0, turn + 1).into())
}

/// Open `count` connections, `at_once` at the same time, over `sources` loopback addresses. The first that fails ends
/// it.
pub(super) async fn open(
    endpoint: &Endpoint,
    options: Options,
    count: u64,
    at_once: u64,
    sources: u32,
) -> anyhow::Result<Vec<(Connection, ServerHandshake)>> {
    let permits = Arc::new(Semaphore::new(at_once as usize));
    let mut opening = JoinSet::new();
    let mut opened = Vec::new();
    for number in 0..count {
        let permit = permits.clone().acquire_owned().await?;
        let endpoint = endpoint.clone();
        opening.spawn(async move {
            let options = Options { source: source(&endpoint, number, sources), ..options };
            let result = async {
                let (mut connection, answer) = Connection::open(&endpoint, &options).await?;
                connection.flush().await?;
                Ok((connection, answer))
            };
            let result: anyhow::Result<_> = result.await;
            drop(permit);
            result
        });
        while let Some(result) = opening.try_join_next() {
            opened.push(result??);
        }
    }
    while let Some(result) = opening.join_next().await {
        opened.push(result??);
    }
    Ok(opened)
}
