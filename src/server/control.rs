//! Requests of this machine's operator to the running broker, through a socket in its data directory.
use crate::dump;
use parking_lot::Mutex;
use std::io::{BufRead, BufReader};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Exports that wait for the one before them; further ones are told to come again.
const WAITING_MAX: usize = 4;
/// How long one who asks may take for it, or for taking the answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Exports that were asked for. Users: the socket's thread (to add), the checkpointer (to take).
pub(super) type Exports = Arc<Mutex<Vec<UnixStream>>>;

/// The socket; it goes with this.
pub(super) struct Control {
    path: PathBuf,
}

impl Control {
    /// Opens the socket. Without one the broker serves all the same; only a backup has to wait until it ends.
    pub fn open(data_dir: &Path, exports: Exports, wake: impl Fn() + Send + 'static) -> Option<Self> {
        let path = data_dir.join(dump::CONTROL_SOCKET);
        // One that a crash left behind: the directory is ours alone.
        if path.exists() {
            let _ = std::fs::remove_file(&path);
        }
        let opened = UnixListener::bind(&path).and_then(|listener| {
            let serve = move || {
                for stream in listener.incoming().flatten() {
                    take(stream, &exports, &wake);
                }
            };
            std::thread::Builder::new().name("control".to_owned()).spawn(serve)
        });
        match opened {
            Ok(_) => Some(Self { path }),
            Err(error) => {
                let path = path.display();
                tracing::warn!(%path, %error, "`vowmq data export` will not work while the broker runs");
                None
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // If it stays, the next start removes it.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn take(stream: UnixStream, exports: &Exports, wake: &impl Fn()) {
    let limited = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
    let mut request = String::new();
    let read = limited.and_then(|()| BufReader::new(std::io::Read::take(&stream, 64)).read_line(&mut request));
    let mut waiting = exports.lock();
    if read.is_ok() && request == dump::EXPORT_REQUEST && waiting.len() < WAITING_MAX {
        waiting.push(stream);
        drop(waiting);
        wake();
    }
}
