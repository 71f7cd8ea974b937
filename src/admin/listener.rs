//! The admin socket: connections within limits, each served HTTP/1.1.
//!
//! [`serve`] takes any stream, so that a TLS acceptor can stand before it.
use super::guard::{Peer, guard};
use super::{Desk, Shared, api};
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
use tokio::net::TcpListener;
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
        let Shared { address, data_dir, credentials, .. } = &*self.shared;
        if let Err(error) = super::leave_word(data_dir, *address, credentials) {
            tracing::warn!(%error, "`vowmq ctl` needs a token by --token-file, as none can be kept in data_dir");
        }
        tracing::info!(%address, "operators are answered");
        // The first one stands: there is one broker to a process.
        let _ = self.shared.desk.set(desk);
    }

    /// Loads the tokens anew; see [`super::Credentials::reload`].
    pub fn reload_tokens(&self) -> Result<bool, String> {
        self.shared.credentials.reload()
    }

    /// A handle for reloading tokens that outlives a borrow.
    pub fn tokens(&self) -> impl Fn() -> Result<bool, String> + Send + Sync + use<> {
        let shared = self.shared.clone();
        move || shared.credentials.reload()
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
                    let router = router.clone();
                    connections.spawn(async move {
                        serve(stream, Peer(address), router).await;
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
