//! Addresses that are taken, so that a port in use is told before anything else is touched, and listened on later.
use super::ServerError;
use super::inherited::Inherited;
use super::listeners::{Kind, Open, SocketFile};
use super::peer::Entrance;
use crate::config::{Config, Listener};
use crate::identity::Authenticators;
use arc_swap::ArcSwap;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::{TcpListener, UnixListener};

/// A socket with its address taken, on which nobody listens yet.
pub(super) struct Bound {
    socket: Socket,
    at: At,
    pub settings: Listener,
    entrance: Entrance,
}

enum At {
    Address,
    Path(PathBuf),
    /// A path that somebody else made, and takes away.
    ForeignPath,
}

/// Connections that the system keeps until they are accepted.
const BACKLOG: i32 = 1024;

/// Takes every listener's address, but for one of this machine's own IPv6 address where there is no IPv6.
pub(super) fn bind(
    config: &Config,
    authenticators: &Authenticators,
    mut inherited: Inherited,
) -> Result<Vec<Bound>, ServerError> {
    let mut bound = Vec::new();
    for listener in &config.listeners {
        let entrance = Entrance::open(listener, authenticators, config.limits.packet_bytes_max);
        let entrance = entrance.map_err(ServerError::Listener)?;
        match bind_one(listener, entrance, &mut inherited) {
            Ok(one) => bound.push(one),
            Err(ServerError::Bind { address, source }) if is_without_ipv6(listener, &source) && !bound.is_empty() => {
                tracing::warn!(%address, "this machine has no IPv6, so that this listener is left out");
            }
            Err(error) => return Err(error),
        }
    }
    inherited.close_unused();
    Ok(bound)
}

/// Takes the address of one listener.
pub(super) fn bind_one(
    listener: &Listener,
    entrance: Entrance,
    inherited: &mut Inherited,
) -> Result<Bound, ServerError> {
    let (bound, at) = match (listener.address, &listener.unix) {
        (Some(address), _) => match inherited.at(address) {
            Some(socket) => (socket.set_nonblocking(true).map(|()| socket), At::Address),
            None => (bind_address(address), At::Address),
        },
        (None, Some(path)) => match inherited.at_path(path) {
            Some(socket) => (socket.set_nonblocking(true).map(|()| socket), At::ForeignPath),
            None => (bind_path(path, listener.unix_mode.as_deref()), At::Path(path.clone())),
        },
        (None, None) => (Err(io::ErrorKind::InvalidInput.into()), At::Path(PathBuf::new())),
    };
    let socket = bound.map_err(|source| ServerError::Bind { address: listener.to_string(), source })?;
    Ok(Bound { socket, at, settings: listener.clone(), entrance })
}

/// Whether it is an address that this machine does not have and needs not.
pub(super) fn is_without_ipv6(listener: &Listener, source: &io::Error) -> bool {
    /// EAFNOSUPPORT on Linux, which has no name in the standard library.
    const NO_SUCH_FAMILY: i32 = 97;
    let is_missing = source.kind() == io::ErrorKind::AddrNotAvailable || source.raw_os_error() == Some(NO_SUCH_FAMILY);
    listener.address.is_some_and(|address| address.is_ipv6() && address.ip().is_loopback()) && is_missing
}

fn bind_address(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// A socket's file that nobody listens on any more is replaced; anything else that is there is not.
fn bind_path(path: &Path, mode: Option<&str>) -> io::Result<Socket> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    if is_socket {
        match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
            Err(_) => std::fs::remove_file(path)?,
        }
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    set_mode(path, mode)?;
    Ok(socket)
}

/// Gives the file of a Unix socket its mode, in octal digits.
pub(super) fn set_mode(path: &Path, mode: Option<&str>) -> io::Result<()> {
    match mode.and_then(|mode| u32::from_str_radix(mode, 8).ok()) {
        Some(mode) => std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)),
        None => Ok(()),
    }
}

impl Bound {
    /// Takes connections from here on; to be called where there is a runtime.
    pub fn listen(self) -> Result<Open, ServerError> {
        let Self { socket, at, settings, entrance } = self;
        let file = match &at {
            At::Address | At::ForeignPath => None,
            At::Path(path) => Some(SocketFile(path.clone())),
        };
        let opened = socket.listen(BACKLOG).and_then(|()| match at {
            At::Address => TcpListener::from_std(socket.into()).map(Kind::Tcp),
            At::Path(_) | At::ForeignPath => UnixListener::from_std(socket.into()).map(Kind::Unix),
        });
        match opened {
            Ok(socket) => Ok(Open { socket, _file: file, entrance: Arc::new(ArcSwap::from_pointee(entrance)) }),
            Err(source) => Err(ServerError::Bind { address: settings.to_string(), source }),
        }
    }
}
