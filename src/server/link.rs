//! Bytes in and out of one peer, in steps that never block each other.
use bytes::{Buf, BytesMut};
use std::cell::RefCell;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A transport with what is still to be parsed and to be written. An idle link holds no buffer.
#[derive(Debug)]
pub(super) struct Link<S> {
    stream: S,
    /// The beginning of a packet whose rest has not come.
    partial: BytesMut,
    pub out: BytesMut,
}

/// Room for one read.
const READ_BYTES: usize = 64 << 10;

/// Fewer bytes than this are copied out of the buffer, so that a message that waits keeps its neighbours in memory, and
/// not the whole buffer.
const COPIED_BYTES: usize = 8 << 10;

thread_local! {
    /// The buffer that links of this thread read into, lent for the time of one read.
    static SCRATCH: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, partial: BytesMut::new(), out: BytesMut::new() }
    }

    /// Reads what is there. The bytes follow those kept by [`Self::keep`]; empty means that the peer has ended.
    pub fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<BytesMut>> {
        let chunk = SCRATCH.with_borrow_mut(|scratch| {
            scratch.reserve(READ_BYTES);
            let read = ready!(pin!(self.stream.read_buf(scratch)).poll(context));
            Poll::Ready(read.map(|count| if count < COPIED_BYTES { copied(scratch) } else { scratch.split() }))
        });
        let chunk = ready!(chunk)?;
        if self.partial.is_empty() || chunk.is_empty() {
            return Poll::Ready(Ok(chunk));
        }
        let mut whole = std::mem::take(&mut self.partial);
        whole.extend_from_slice(&chunk);
        Poll::Ready(Ok(whole))
    }

    /// Keeps the beginning of a packet until its rest comes, in bytes of its own: the read buffer is lent to others.
    pub fn keep(&mut self, rest: BytesMut) {
        // What has grown already is kept as it is, so that a long packet is not copied at every read.
        self.partial = if rest.len() > READ_BYTES { rest } else { BytesMut::from(rest.as_ref()) };
    }

    /// Bytes that came and were not handled.
    pub fn take_kept(&mut self) -> BytesMut {
        std::mem::take(&mut self.partial)
    }

    /// Writes as much as the peer takes; ready with the count once some is taken.
    pub fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let written = ready!(pin!(self.stream.write(&self.out)).poll(context))?;
        self.out.advance(written);
        if self.out.is_empty() {
            self.out = BytesMut::new();
        }
        Poll::Ready(Ok(written))
    }

    /// Writes the rest, ends our side, and reads until the peer has ended too, so that what was written last is not
    /// lost in a reset.
    pub async fn finish(mut self) {
        if self.stream.write_all(&self.out).await.is_err() || self.stream.shutdown().await.is_err() {
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
