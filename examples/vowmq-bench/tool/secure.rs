//! Clients that speak TLS, and what a broker needs to answer them.
use super::brokers::free_address;
use super::link::Hello;
use super::problem::{Problem, Tried, Trying};
use super::wire::CONNACK;
use bytes::BytesMut;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::client::Resumption;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::ServerName;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use vowmq::codec;

/// A place to listen with TLS, and the certificates for it.
pub struct Secure {
    pub address: SocketAddr,
    files: TempDir,
    config: Arc<ClientConfig>,
}

/// A client that was welcomed.
pub struct Welcomed {
    stream: StreamOwned<ClientConnection, TcpStream>,
}

impl Secure {
    pub fn new() -> Tried<Self> {
        let files = tempfile::tempdir()?;
        let making = || "making certificates".to_owned();
        let mut ca = CertificateParams::new(Vec::new()).trying(making)?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_key = KeyPair::generate().trying(making)?;
        let root = ca.self_signed(&ca_key).trying(making)?;
        let key = KeyPair::generate().trying(making)?;
        let server = CertificateParams::new(vec!["localhost".to_owned()]).trying(making)?;
        let server = server.signed_by(&key, &Issuer::new(ca, ca_key)).trying(making)?;
        fs::write(files.path().join("server.pem"), server.pem())?;
        fs::write(files.path().join("server.key"), key.serialize_pem())?;
        let mut roots = RootCertStore::empty();
        roots.add(root.der().clone()).trying(making)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = config.trying(making)?.with_root_certificates(roots).with_no_client_auth();
        // Each is a client of its own.
        config.resumption = Resumption::disabled();
        Ok(Self { address: free_address()?, files, config: Arc::new(config) })
    }

    /// Where `server.pem` and `server.key` are.
    pub fn certificates(&self) -> &Path {
        self.files.path()
    }

    /// Connects, and waits for the welcome.
    pub fn connect(&self, hello: &Hello) -> Tried<Welcomed> {
        let trying = || format!("connecting to {} with TLS", self.address);
        let socket = TcpStream::connect(self.address).trying(trying)?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").expect("a name");
        let connection = ClientConnection::new(self.config.clone(), name).trying(trying)?;
        let mut welcomed = Welcomed { stream: StreamOwned::new(connection, socket) };
        let mut bytes = BytesMut::new();
        codec::encode(&hello.packet(), hello.version, &mut bytes).expect("packets of ours are legal");
        match welcomed.ask(&bytes).trying(trying)? {
            answer if answer.first() == Some(&CONNACK) && answer.get(3) == Some(&0) => Ok(welcomed),
            answer => Err(Problem::new(format!("instead of a welcome comes {answer:02x?}"))),
        }
    }
}

impl Welcomed {
    /// Sends a packet and returns what comes back first.
    pub fn ask(&mut self, packet: &[u8]) -> std::io::Result<Vec<u8>> {
        self.stream.write_all(packet)?;
        self.stream.flush()?;
        let mut answer = [0; 256];
        let read = self.stream.read(&mut answer)?;
        Ok(answer.get(..read).unwrap_or_default().to_vec())
    }
}
