//! Zstandard frames, decompressed with a context that the thread keeps.
//!
//! Invariant: a kept context is reset before use and is small, so that one batch with a large window does not make a
//! thread hold its memory for good. Input that ends within a frame is an error.
//! Called by the decompressor.

use std::cell::Cell;

use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, ResetDirective, get_error_name};

use super::{CHUNK_BYTES, DecompressError, Reason, make_room};
use crate::batch::Codec;

/// The largest window that is accepted: what level 22 of the reference library asks for, and its own default.
const WINDOW_LOG_MAX: u32 = 27;
/// A context that holds more than this is freed rather than kept for the next batch.
const KEPT_CONTEXT_BYTES_MAX: usize = 1 << 20;

thread_local! {
    /// Setting up a context costs more than decompressing a small batch.
    static SPARE_CONTEXT: Cell<Option<DCtx<'static>>> = const { Cell::new(None) };
}

pub(super) struct ZstdFrames<'a> {
    /// Taken only by `drop`.
    context: Option<DCtx<'static>>,
    input: InBuffer<'a>,
    is_within_frame: bool,
}

impl<'a> ZstdFrames<'a> {
    pub(super) fn new(input: &'a [u8]) -> Result<ZstdFrames<'a>, DecompressError> {
        let mut context = SPARE_CONTEXT.take().unwrap_or_else(DCtx::create);
        context
            .reset(ResetDirective::SessionAndParameters)
            .map_err(stream_error)?;
        context
            .set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))
            .map_err(stream_error)?;
        // Nothing at all is not a sequence of frames.
        Ok(ZstdFrames {
            context: Some(context),
            input: InBuffer::around(input),
            is_within_frame: true,
        })
    }

    /// Decompresses the next chunk into the front of `buffer`; 0 means the end of the input.
    pub(super) fn next_chunk(&mut self, buffer: &mut Vec<u8>) -> Result<usize, DecompressError> {
        let context = self.context.as_mut().expect("there until dropped");
        let room = make_room(buffer, CHUNK_BYTES);
        let mut output = OutBuffer::around(room);
        loop {
            let (pos_before, out_before) = (self.input.pos(), output.pos());
            let is_input_used_up = pos_before == self.input.src.len();
            if is_input_used_up && !self.is_within_frame || out_before == CHUNK_BYTES {
                return Ok(out_before);
            }
            // The hint is 0 exactly when a frame is complete and all of it has been put out.
            let hint = context
                .decompress_stream(&mut output, &mut self.input)
                .map_err(stream_error)?;
            self.is_within_frame = hint != 0;
            let is_stuck = self.input.pos() == pos_before && output.pos() == out_before;
            if is_stuck {
                return Err(DecompressError::Corrupt {
                    codec: Codec::Zstd,
                    reason: Reason::Truncated,
                });
            }
        }
    }
}

impl Drop for ZstdFrames<'_> {
    fn drop(&mut self) {
        if let Some(context) = self.context.take()
            && context.sizeof() <= KEPT_CONTEXT_BYTES_MAX
        {
            SPARE_CONTEXT.set(Some(context));
        }
    }
}

fn stream_error(code: usize) -> DecompressError {
    let reason = Reason::Stream(get_error_name(code).to_owned());
    DecompressError::Corrupt {
        codec: Codec::Zstd,
        reason,
    }
}
