//! The admin socket: connections within limits, each served HTTP/1.1.
//!
//! Behind TLS where `[admin.tls]` asks for it.
use super::guard::{Peer, guard};
use super::{Credentials, Desk, Shared, api};
use crate::tls::Guard;
use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tower::ServiceExt;
use tower_http::timeout::TimeoutLayer;

/// How long a peer may take for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of the head of a request.
const HEAD_BYTES_MAX: usize = 32 << 10;

/// The admin listener, at work.
#[derive(Debug)]
pub struct Opened {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Opened {
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Hands over the broker; from now on it is ready.
    pub fn begin(&self, desk: Desk) {
        if let Err(error) = super::leave_word(&self.shared) {
            tracing::warn!(%error, "`vowmq ctl` needs a token by --token-file, as none can be kept in data_dir");
        }
        let (address, tls) = (self.shared.address, self.shared.guard.is_some());
        tracing::info!(%address, tls, "operators are answered");
        // The first one stands: there is one broker to a process.
        let _ = self.shared.desk.set(desk);
    }

    /// The tokens in force, to be read again.
    pub fn credentials(&self) -> Arc<Credentials> {
        self.shared.credentials.clone()
    }

    /// Its TLS, if it has one, to be read again.
    pub fn guard(&self) -> Option<Arc<Guard>> {
        self.shared.guard.clone()
    }

    /// Ends all connections.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        // It ends as soon as it is told.
        let _ = self.task.await;
        if self.shared.desk.get().is_some() {
            // If it stays, whoever asks there finds nobody.
            let _ = std::fs::remove_file(self.shared.data_dir.join(super::ADDRESS_FILE));
        }
    }
}

pub(super) fn start(shared: Arc<Shared>, socket: std::net::TcpListener) -> std::io::Result<Opened> {
    let listener = TcpListener::from_std(socket)?;
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(accept(shared.clone(), listener, stopped));
    Ok(Opened { shared, stop, task })
}

fn router(shared: &Arc<Shared>) -> Router {
    let timeout = Duration::from_millis(shared.settings.request_timeout_ms);
    api::router(shared)
        .layer(DefaultBodyLimit::max(shared.settings.body_bytes_max))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, timeout))
        .layer(axum::middleware::from_fn_with_state(shared.clone(), guard))
        .with_state(shared.clone())
}

async fn accept(shared: Arc<Shared>, listener: TcpListener, mut stopped: watch::Receiver<bool>) {
    let router = router(&shared);
    let places = Arc::new(Semaphore::new(shared.settings.connections_max));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, address)) = accepted else {
                    // Out of file descriptors, most often: connections that end make room.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                };
                // One too many is closed without a word.
                if let Ok(place) = places.clone().try_acquire_owned() {
                    let (router, guard) = (router.clone(), shared.guard.clone());
                    connections.spawn(async move {
                        admit(stream, guard, Peer(address), router).await;
                        drop(place);
                    });
                }
            }
            Some(_) = connections.join_next() => {}
            _ = stopped.changed() => break,
        }
    }
    connections.shutdown().await;
}

/// Does the TLS handshake, if there is to be one, and serves.
async fn admit(stream: TcpStream, guard: Option<Arc<Guard>>, peer: Peer, router: Router) {
    let Some(guard) = guard else { return serve(stream, peer, router).await };
    let failure = match tokio::time::timeout(HEAD_TIMEOUT, guard.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => return serve(stream, peer, router).await,
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("not done within {HEAD_TIMEOUT:?}"),
    };
    tracing::info!(address = %peer.0, error = failure, "an operator's TLS handshake failed");
}

/// Serves one connection until it ends.
async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, peer: Peer, router: Router) {
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.clone().oneshot(request.map(Body::new))
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(address = %peer.0, %error, "an admin connection broke");
    }
}
