//! Everything the broker keeps, as `vowmq data export` writes it.
use crate::admin::Shared;
use crate::admin::problem::{Problem, Ready};
use crate::dump;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

const CHUNK_BYTES: usize = 64 << 10;

/// A backup of this moment as JSON lines; whole only if the last line is an `end`
#[cfg_attr(test, utoipa::path(get, path = "/api/v1/backup", tag = "operations", responses((status = 200, description = "JSON lines", content_type = "application/jsonl", body = String), (status = 404, description = "nothing is kept: persistence is off", body = Problem), (status = 503, body = Problem))))]
pub(super) async fn backup(State(shared): State<Arc<Shared>>, Ready(desk): Ready) -> Result<Response, Problem> {
    let place = shared.streams.clone().try_acquire_owned();
    let place = place.map_err(|_| Problem::unavailable("too many streams are open; try again later"))?;
    let directory = desk.data_dir.as_ref().ok_or_else(|| Problem::not_found("nothing is kept: persistence is off"))?;
    let failed = |error: io::Error| Problem::unavailable(format!("{}: {error}", dump::CONTROL_SOCKET));
    let mut socket = UnixStream::connect(directory.join(dump::CONTROL_SOCKET)).await.map_err(failed)?;
    socket.write_all(dump::EXPORT_REQUEST.as_bytes()).await.map_err(failed)?;
    // The first bytes are waited for, so that a refusal is told as one.
    let first = chunk(&mut socket).await.map_err(failed)?;
    let first = first.ok_or_else(|| Problem::unavailable("other exports are under way; try again later"))?;
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(4);
    tokio::spawn(async move {
        let mut next = Ok(Some(first));
        while let Some(part) = next.transpose() {
            let is_over = part.is_err();
            if sender.send(part).await.is_err() || is_over {
                break;
            }
            next = chunk(&mut socket).await;
        }
        drop(place);
    });
    let body = Body::from_stream(ReceiverStream::new(receiver));
    Ok(([(header::CONTENT_TYPE, "application/jsonl")], body).into_response())
}

/// What comes next; `None` at the end.
async fn chunk(socket: &mut UnixStream) -> io::Result<Option<Bytes>> {
    let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
    let count = socket.read_buf(&mut chunk).await?;
    Ok((count > 0).then(|| chunk.freeze()))
}
