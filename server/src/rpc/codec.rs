//! Between the outbound queue and tonic: a stream that says when there is something to send, an encoder that takes it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Buf;
use futures_core::Stream;
use prost::Message;
use tonic::{
    Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
};

use super::{Link, outbound::BATCH_FRAMES, proto};

/// The service's name and its method's path, as in `link.proto`.
pub(super) const SERVICE: &str = "cereus.link.v1.Link";
pub(super) const METHOD: PathAndQuery = PathAndQuery::from_static("/cereus.link.v1.Link/Exchange");

/// Encoded batches are handed to HTTP/2 from this size on, or when the queue is empty.
const SEND_BUFFER: usize = 32 << 10;
/// What is received is decoded from pieces of this size. Small, since a slice of one keeps all of it.
const RECEIVE_BUFFER: usize = 16 << 10;

/// The outbound queue of one connection as a stream: an item means that it is the queue's turn.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) link: Arc<Link>,
    pub(super) epoch: u64,
}

/// The queue's turn: one batch of it is to be encoded.
#[derive(Debug)]
pub(super) struct Turn {
    link: Arc<Link>,
    epoch: u64,
}

impl Stream for Outgoing {
    type Item = Turn;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Turn>> {
        let poll = self.link.outbound().lock().poll(self.epoch, context);
        poll.map(|turn| turn.map(|()| Turn { link: self.link.clone(), epoch: self.epoch }))
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LinkCodec;

impl Codec for LinkCodec {
    type Encode = Turn;
    type Decode = proto::Batch;
    type Encoder = BatchEncoder;
    type Decoder = BatchDecoder;

    fn encoder(&mut self) -> BatchEncoder {
        BatchEncoder
    }

    fn decoder(&mut self) -> BatchDecoder {
        BatchDecoder { expected: 1 }
    }
}

#[derive(Debug)]
pub(super) struct BatchEncoder;

impl Encoder for BatchEncoder {
    type Item = Turn;
    type Error = Status;

    fn encode(&mut self, turn: Turn, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        let common = turn.link.common();
        let taken = turn.link.outbound().lock().encode(turn.epoch, common.config.outbound, buffer);
        common.counts.sent(taken.frames);
        if taken.unblocked {
            turn.link.unblock();
        }
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(SEND_BUFFER, SEND_BUFFER)
    }
}

#[derive(Debug)]
pub(super) struct BatchDecoder {
    /// Frames in the batch before: room for as many is made at once.
    expected: usize,
}

impl Decoder for BatchDecoder {
    type Item = proto::Batch;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<proto::Batch>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        let mut batch = proto::Batch { frames: Vec::with_capacity(self.expected) };
        batch.merge(bytes).map_err(|error| Status::invalid_argument(error.to_string()))?;
        self.expected = batch.frames.len().min(BATCH_FRAMES);
        Ok(Some(batch))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(RECEIVE_BUFFER, RECEIVE_BUFFER)
    }
}
