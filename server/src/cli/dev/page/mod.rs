//! The page for people: a chat, and the servers of the game to watch, scale and kill, in a browser.
//!
//! It is a door like [`super::control`]: what is asked is done by [`super::game`], through the same [`Desk`]. The files that
//! browsers get are part of the executable. The chat itself does not pass here: the page is a client like any other and
//! connects to the frontends.

mod answers;
mod events;
mod files;
mod guard;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
};

use anyhow::{Context as _, bail};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{get, post},
};

use super::{control::Desk, ports};

/// Where it is when nobody says otherwise,
const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// or at one of so many ports from there, when that is in use.
const PORTS: u16 = 20;
/// Most bytes of a request.
const LARGEST: usize = 4096;

/// The page, bound and not yet served.
#[derive(Debug)]
pub(super) struct Page {
    listener: TcpListener,
    address: SocketAddr,
    /// It is not where people expect it.
    moved: bool,
}

impl Page {
    /// Listen at this address. Frontends will listen at the promised ports.
    pub(super) fn at(address: SocketAddr, promised: &BTreeSet<u16>) -> anyhow::Result<Self> {
        if promised.contains(&address.port()) {
            bail!("{address} is for a frontend; choose another address with --http");
        }
        ports::check(address, "choose another address with --http")?;
        Self::bind(address).with_context(|| format!("cannot listen on {address}"))
    }

    /// Listen where people expect it, or near by.
    pub(super) fn anywhere(promised: &BTreeSet<u16>) -> anyhow::Result<Self> {
        let near = (ADDRESS.port()..ADDRESS.port() + PORTS).filter(|port| !promised.contains(port));
        // At last any port that is free.
        let mut addresses = near.chain([0]).map(|port| SocketAddr::new(ADDRESS.ip(), port));
        let found = addresses.find_map(|address| Self::bind(address).ok());
        let found = found.map(|page| Self { moved: page.address != ADDRESS, ..page });
        found.context("no free port on 127.0.0.1 for the page; leave it out with --no-http")
    }

    fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, moved: false })
    }

    /// Where it is, as a person would type it, and why it is not where it usually is.
    pub(super) fn shown(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        let why = if self.moved { format!(" ({} is in use)", ADDRESS.port()) } else { String::new() };
        format!("http://{address}{why}")
    }

    /// Answer for ever.
    pub(super) async fn serve(self, desk: Desk) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        axum::serve(listener, router(desk)).await
    }
}

fn router(desk: Desk) -> Router {
    Router::new()
        .route("/api/status", get(answers::status))
        .route("/api/events", get(events::follow))
        .route("/api/scale", post(answers::scale))
        .route("/api/kill", post(answers::kill))
        .fallback(get(files::file))
        .layer(DefaultBodyLimit::max(LARGEST))
        .layer(middleware::from_fn(guard::check))
        .with_state(answers::Shared::new(desk))
}
