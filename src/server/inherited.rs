//! Sockets that a service manager opened for us (LISTEN_FDS), so that clients find them open before we are there.
use listenfd::ListenFd;
use socket2::Socket;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What was passed on, until a listener with the same address takes it.
#[derive(Debug, Default)]
pub struct Inherited {
    addresses: Vec<(SocketAddr, Socket)>,
    paths: Vec<(PathBuf, Socket)>,
}

impl Inherited {
    /// Takes what was passed on to this process; afterwards nobody else does.
    ///
    /// IMPORTANT: to be called before there are threads, as it changes the environment.
    pub fn take() -> Self {
        let mut passed = ListenFd::from_env();
        let mut inherited = Self::default();
        for index in 0..passed.len() {
            if let Ok(Some(listener)) = passed.take_tcp_listener(index) {
                if let Ok(address) = listener.local_addr() {
                    inherited.addresses.push((address, listener.into()));
                }
            } else if let Ok(Some(listener)) = passed.take_unix_listener(index)
                && let Ok(address) = listener.local_addr()
                && let Some(path) = address.as_pathname()
            {
                inherited.paths.push((path.to_owned(), listener.into()));
            }
        }
        inherited
    }

    pub(super) fn at(&mut self, address: SocketAddr) -> Option<Socket> {
        let index = self.addresses.iter().position(|(other, _)| *other == address)?;
        Some(self.addresses.swap_remove(index).1)
    }

    pub(super) fn at_path(&mut self, path: &Path) -> Option<Socket> {
        let index = self.paths.iter().position(|(other, _)| other == path)?;
        Some(self.paths.swap_remove(index).1)
    }

    /// Clients that find an open socket which nobody serves would wait for ever, so that it is closed.
    pub(super) fn close_unused(self) {
        for (address, _) in self.addresses {
            tracing::warn!(%address, "no listener has the address of this socket, which was passed on; it is closed");
        }
        for (path, _) in self.paths {
            tracing::warn!(path = %path.display(), "no listener has the path of this socket, which was passed on; it is closed");
        }
    }
}
