//! MQTT in WebSocket frames (section 6 of both versions).
use super::transport::Duplex;
use crate::config::Listener;
use bytes::Bytes;
use futures_util::{Sink, Stream};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

/// Who may come over WebSocket, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rules {
    path: String,
    /// Origins whose pages may connect; empty lets all.
    origins: Vec<String>,
    frame_bytes_max: usize,
}

/// Bytes of the request that begins a connection are limited by the library; those of one frame by this and the packet's.
const FRAME_BYTES_MIN: usize = 64 << 10;

impl Rules {
    pub fn of(listener: &Listener, packet_bytes_max: usize) -> Option<Self> {
        listener.websocket.then(|| Self {
            path: listener.websocket_path.clone().unwrap_or_else(|| "/mqtt".to_owned()),
            origins: listener.websocket_origins.clone(),
            frame_bytes_max: packet_bytes_max.max(FRAME_BYTES_MIN),
        })
    }

    /// Upgrades a connection; an error is the reason to close it.
    pub async fn upgrade<S: Duplex>(&self, stream: S) -> Result<Framed<S>, Error> {
        let config = WebSocketConfig::default()
            .max_message_size(Some(self.frame_bytes_max))
            .max_frame_size(Some(self.frame_bytes_max))
            .write_buffer_size(0);
        #[expect(clippy::result_large_err, reason = "the library asks for this type")]
        let check = |request: &Request, response| self.answer(request, response);
        let stream = tokio_tungstenite::accept_hdr_async_with_config(stream, check, Some(config)).await?;
        Ok(Framed { stream, read: Bytes::new(), is_ended: false })
    }

    #[expect(clippy::result_large_err, reason = "the library asks for this type")]
    fn answer(&self, request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
        if request.uri().path() != self.path {
            return Err(refusal(StatusCode::NOT_FOUND, "there is no MQTT at this path\n"));
        }
        if !self.welcomes(request.headers().get(header::ORIGIN)) {
            return Err(refusal(StatusCode::FORBIDDEN, "pages of this origin may not connect\n"));
        }
        // [MQTT-6.0.0-3], [MQTT-6.0.0-4]
        let Some(protocol) = offered(request.headers()) else {
            return Err(refusal(StatusCode::BAD_REQUEST, "the subprotocol mqtt was not offered\n"));
        };
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
        Ok(response)
    }

    /// Only browsers send an Origin, and they cannot be made to send a false one.
    fn welcomes(&self, origin: Option<&HeaderValue>) -> bool {
        let is_listed = |origin: &HeaderValue| {
            let origin = origin.as_bytes();
            self.origins.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(origin))
        };
        self.origins.is_empty() || origin.is_none_or(is_listed)
    }
}

/// The subprotocol to answer with: `mqtt`, or what clients of MQTT 3.1 offer.
fn offered(headers: &HeaderMap) -> Option<&'static str> {
    let lines = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|line| line.to_str().ok());
    let names: Vec<_> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    ["mqtt", "mqttv3.1"].into_iter().find(|known| names.contains(known))
}

fn refusal(status: StatusCode, why: &str) -> ErrorResponse {
    let mut response = ErrorResponse::new(Some(why.to_owned()));
    *response.status_mut() = status;
    response
}

/// A WebSocket as a stream of bytes: packets and frames need not begin together [MQTT-6.0.0-2].
pub(super) struct Framed<S> {
    stream: WebSocketStream<S>,
    read: Bytes,
    is_ended: bool,
}

fn broken(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        other => io::Error::other(other),
    }
}

impl<S: Duplex> AsyncRead for Framed<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.read.is_empty() && !this.is_ended {
            match ready!(Pin::new(&mut this.stream).poll_next(context)) {
                Some(Ok(Message::Binary(bytes))) => this.read = bytes,
                // Pings are answered by the library, with the next thing written or read.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_))) | None | Some(Err(Error::ConnectionClosed)) => this.is_ended = true,
                // [MQTT-6.0.0-1]
                Some(Ok(Message::Text(_) | Message::Frame(_))) => {
                    let why = "MQTT comes in binary frames, and this was a text frame";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)));
                }
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
            }
        }
        let count = this.read.len().min(buffer.remaining());
        buffer.put_slice(&this.read.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl<S: Duplex> AsyncWrite for Framed<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        // What an earlier write left must be out before the next is taken, so that nothing gathers here.
        ready!(Pin::new(&mut this.stream).poll_ready(context)).map_err(broken)?;
        ready!(Pin::new(&mut this.stream).poll_flush(context)).map_err(broken)?;
        let frame = Message::Binary(Bytes::copy_from_slice(bytes));
        Pin::new(&mut this.stream).start_send(frame).map_err(broken)?;
        match Pin::new(&mut this.stream).poll_flush(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(broken(error))),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(bytes.len())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context).map_err(broken)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.get_mut().stream).poll_close(context)) {
            Ok(()) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(broken(error))),
        }
    }
}
