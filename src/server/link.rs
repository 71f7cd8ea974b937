//! Bytes in and out of one peer, in steps that never block each other.
use super::outbox::{Outbox, PIECES_MAX};
use bytes::{Bytes, BytesMut};
use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A transport with what is still to be parsed and to be written. An idle link holds no buffer.
#[derive(Debug)]
pub(super) struct Link<S> {
    stream: S,
    /// The beginning of a packet whose rest has not come.
    partial: Bytes,
    pub out: Outbox,
}

/// Room for one read.
const READ_BYTES: usize = 64 << 10;

/// Fewer bytes than this are copied out of the buffer, so that a message that waits keeps its neighbours in memory, and
/// not the whole buffer.
const COPIED_BYTES: usize = 8 << 10;

/// The part of a read that may hold on to all of it: one in so many.
const KEPT_PART: usize = 16;

/// What a message that came in a read of so many bytes holds on to, bytes.
pub(super) const fn held_bytes(read: usize) -> usize {
    if read < COPIED_BYTES || read > READ_BYTES { read } else { READ_BYTES }
}

thread_local! {
    /// The buffer that links of this thread read into, lent for the time of one read.
    static SCRATCH: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, partial: Bytes::new(), out: Outbox::default() }
    }

    /// Whether the transport takes several pieces at once, so that large ones need not be copied together.
    pub fn takes_pieces(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Reads what is there. The bytes follow those kept by [`Self::keep`]; empty means that the peer has ended.
    pub fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<BytesMut>> {
        // The shorter of the two is copied: what was kept in front of what comes, or what comes behind what was kept.
        let in_front = if self.partial.len() <= READ_BYTES { self.partial.len() } else { 0 };
        let chunk = SCRATCH.with_borrow_mut(|scratch| {
            scratch.reserve(in_front + READ_BYTES);
            scratch.extend_from_slice(self.partial.get(..in_front).unwrap_or_default());
            let read = pin!(self.stream.read_buf(scratch)).poll(context);
            let Poll::Ready(Ok(count @ 1..)) = read else {
                scratch.clear();
                return read.map_ok(|_| BytesMut::new());
            };
            Poll::Ready(Ok(if in_front + count < COPIED_BYTES { copied(scratch) } else { scratch.split() }))
        });
        let chunk = ready!(chunk)?;
        let partial = std::mem::take(&mut self.partial);
        if in_front == partial.len() || chunk.is_empty() {
            return Poll::Ready(Ok(chunk));
        }
        // What has grown already grows on where it is, so that a long packet is not copied at every read.
        let mut whole = partial.try_into_mut().unwrap_or_else(|partial| BytesMut::from(partial.as_ref()));
        whole.extend_from_slice(&chunk);
        Poll::Ready(Ok(whole))
    }

    /// Keeps the beginning of a packet until its rest comes. `read` is how long the read was at whose end it stood: a small
    /// part of one gets bytes of its own, so that it does not hold on to the rest.
    pub fn keep(&mut self, rest: Bytes, read: usize) {
        let is_large_part = rest.len().saturating_mul(KEPT_PART) >= held_bytes(read);
        self.partial = if is_large_part { rest } else { Bytes::copy_from_slice(&rest) };
    }

    /// Bytes that came and were not handled.
    pub fn take_kept(&mut self) -> BytesMut {
        let kept = std::mem::take(&mut self.partial);
        kept.try_into_mut().unwrap_or_else(|kept| BytesMut::from(kept.as_ref()))
    }

    /// Writes as much as the peer takes; ready with the count once some is taken.
    pub fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
        let written = match self.out.whole() {
            Some(bytes) => stream.poll_write(context, bytes),
            None => {
                let mut pieces = [IoSlice::new(&[]); PIECES_MAX];
                let count = self.out.pieces(&mut pieces);
                stream.poll_write_vectored(context, pieces.get(..count).unwrap_or_default())
            }
        };
        let written = ready!(written)?;
        self.out.advance(written);
        Poll::Ready(Ok(written))
    }

    /// Writes the rest, ends our side, and reads until the peer has ended too, so that what was written last is not
    /// lost in a reset.
    pub async fn finish(mut self) {
        while !self.out.is_empty() {
            let written = poll_fn(|context| self.poll_write(context)).await;
            if !matches!(written, Ok(count) if count > 0) {
                return;
            }
        }
        if self.stream.flush().await.is_err() || self.stream.shutdown().await.is_err() {
            return;
        }
        let mut sink = [0; 4096];
        while matches!(self.stream.read(&mut sink).await, Ok(count) if count > 0) {}
    }
}

/// Empties a buffer into one of its own.
fn copied(scratch: &mut BytesMut) -> BytesMut {
    let copy = BytesMut::from(scratch.as_ref());
    scratch.clear();
    copy
}
