//! Certificates and keys from files: what clients' and servers' connections are encrypted with.
//!
//! The acceptors and the links both take theirs from here. A file that is replaced counts for the connections that are
//! made afterwards; a replacement that cannot be used is logged once, and what was there before stays. At the start such
//! a file is an error that says which one it is and what should be in it.
//!
//! Left out: who may connect. That is for those who use a certificate to decide.

mod error;
mod pem;
mod reload;
mod server;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};

pub(crate) use self::{
    error::{Cause, Error},
    pem::{CERTIFICATE, KEY, ROOTS, key_pair, roots},
    reload::Reloading,
    server::acceptor,
};

/// The cryptography of all connections.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
