//! The first frame in each direction: who speaks.

use super::{Error, Identity, proto};

/// The versions of the link protocol that this release speaks: its own and that of the release before.
const PROTOCOL_MIN: u32 = 1;
const PROTOCOL_MAX: u32 = 2;
/// The version from which on servers know channels.
pub(super) const CHANNELS: u32 = 2;

/// The greeting of this server.
pub(super) fn greeting(identity: &Identity, draining: bool) -> proto::Hello {
    proto::Hello {
        server_id: identity.server_id.to_string(),
        incarnation: identity.incarnation,
        server_type: identity.server_type.to_string(),
        protocol_min: PROTOCOL_MIN,
        protocol_max: PROTOCOL_MAX,
        serializer: identity.serializer.to_string(),
        draining,
    }
}

/// The newest version that both know.
pub(super) fn version(hello: &proto::Hello) -> u32 {
    hello.protocol_max.min(PROTOCOL_MAX)
}

/// Splits the first batch into the greeting and what follows it.
pub(super) fn split(batch: proto::Batch) -> Result<(proto::Hello, Vec<proto::Frame>), Error> {
    let mut frames = batch.frames.into_iter();
    match frames.next().and_then(|frame| frame.kind) {
        Some(proto::frame::Kind::Hello(hello)) => Ok((hello, frames.collect())),
        _ => Err(Error::NoHello),
    }
}

/// Whether the peer says that it is what its certificate says, if it has one.
pub(super) fn check_name(hello: &proto::Hello, certified: Option<&str>) -> Result<(), Error> {
    match certified {
        Some(found) if found != hello.server_type => {
            Err(Error::WrongName { expected: format!("type {}", hello.server_type), found: format!("type {found}") })
        }
        _ => Ok(()),
    }
}

/// Whether the two can talk; `promised` is who the topology says is there.
pub(super) fn check(hello: &proto::Hello, ours: &Identity, promised: Option<&str>) -> Result<Identity, Error> {
    if let Some(promised) = promised.filter(|promised| *promised != hello.server_id) {
        return Err(Error::WrongServer { promised: promised.to_owned(), reached: hello.server_id.clone() });
    }
    if hello.protocol_max < PROTOCOL_MIN || hello.protocol_min > PROTOCOL_MAX {
        return Err(Error::Protocol { min: hello.protocol_min, max: hello.protocol_max });
    }
    if *hello.serializer != *ours.serializer {
        return Err(Error::Serializer { theirs: hello.serializer.clone(), ours: ours.serializer.to_string() });
    }
    Ok(Identity {
        server_id: hello.server_id.as_str().into(),
        incarnation: hello.incarnation,
        server_type: hello.server_type.as_str().into(),
        serializer: ours.serializer.clone(),
    })
}
