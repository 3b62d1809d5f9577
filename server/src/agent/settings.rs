//! What all connections of a server share and that never changes while it runs.

use bytes::{Bytes, BytesMut};

use super::config::Config;
use crate::{
    session::Frontend,
    wire::{self, Dictionary, EncodeError, Error, Handshake, HandshakeResponse, Outbound, Serializer},
};

/// A check that every handshake has to pass, by name.
pub struct Validator {
    name: String,
    check: Box<Check>,
}

type Check = dyn Fn(&Handshake) -> Result<(), Error> + Send + Sync;

impl Validator {
    /// A validator that refuses the handshakes for which `check` fails. Its name is for the log.
    pub fn new<E>(name: impl Into<String>, check: impl Fn(&Handshake) -> Result<(), E> + Send + Sync + 'static) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let check = move |handshake: &Handshake| check(handshake).map_err(|error| Error::from(error.into()));
        Self { name: name.into(), check: Box::new(check) }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn check(&self, handshake: &Handshake) -> Result<(), Error> {
        (self.check)(handshake)
    }
}

impl std::fmt::Debug for Validator {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Validator").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What [`Settings`] are made of.
#[derive(Debug)]
pub(crate) struct SettingsParts {
    pub(crate) config: Config,
    pub(crate) wire: wire::Config,
    pub(crate) dictionary: Dictionary,
    pub(crate) serializer: Serializer,
    /// Run in this order; the first failure refuses the client.
    pub(crate) validators: Vec<Validator>,
    /// This server.
    pub(crate) frontend: Frontend,
}

/// What all connections of a server share, with the answers to handshakes already encoded.
#[derive(Debug)]
pub(crate) struct Settings {
    parts: SettingsParts,
    plain: Answers,
    compressed: Answers,
}

#[derive(Debug)]
struct Answers {
    accepted: Bytes,
    refused: Bytes,
}

impl Settings {
    /// Fails when the dictionary is too large for a packet.
    pub(crate) fn new(parts: SettingsParts) -> Result<Self, EncodeError> {
        let answer = |code, style| {
            let response = HandshakeResponse {
                code,
                dictionary: &parts.dictionary,
                heartbeat: parts.config.heartbeat,
                serializer: parts.serializer.name(),
            };
            let mut packet = BytesMut::new();
            response.encode(style, &mut packet).map(|()| packet.freeze())
        };
        let answers = |style| {
            let accepted = answer(HandshakeResponse::OK, style)?;
            Ok(Answers { accepted, refused: answer(HandshakeResponse::REFUSED, style)? })
        };
        let plain = answers(Outbound::PLAIN)?;
        let compression = &parts.wire.compression;
        let threshold = compression.enabled.then_some(compression.threshold);
        let compressed = answers(Outbound { compression: threshold, dictionary: false })?;
        Ok(Self { parts, plain, compressed })
    }

    pub(super) fn accepted(&self, style: Outbound) -> Bytes {
        self.answers(style).accepted.clone()
    }

    pub(super) fn refused(&self, style: Outbound) -> Bytes {
        self.answers(style).refused.clone()
    }

    fn answers(&self, style: Outbound) -> &Answers {
        if style.compression.is_some() { &self.compressed } else { &self.plain }
    }
}

impl std::ops::Deref for Settings {
    type Target = SettingsParts;

    fn deref(&self) -> &SettingsParts {
        &self.parts
    }
}
