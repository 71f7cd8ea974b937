//! TLS of the admin listener.
use crate::common::broker::Broker;
use crate::peer::{PATIENCE, admin_address, eventually};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use tempfile::TempDir;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto};

struct Certs(TempDir);

impl Certs {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_vowmq"));
        assert!(command.arg("certs").arg("--out").arg(directory.path().join("c")).status().unwrap().success());
        Self(directory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("c").join(name)
    }

    /// Puts the server's certificate in the place of another's.
    fn replace(&self, other: &Self) {
        for name in ["server.pem", "server.key"] {
            std::fs::copy(self.path(name), other.path(name)).unwrap();
        }
    }
}

fn start(certs: &Certs, more: &str) -> Broker {
    let (certificate, key) = (certs.path("server.pem"), certs.path("server.key"));
    let (certificate, key) = (certificate.display(), key.display());
    Broker::start(&format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n[admin.tls]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n{more}"
    ))
}

fn ctl(broker: &Broker, arguments: &[&str]) -> Output {
    admin_address(broker);
    let mut command = Command::new(env!("CARGO_BIN_EXE_vowmq"));
    command.current_dir(broker.data_dir()).arg("--data-dir").arg(broker.data_dir()).arg("ctl");
    command.args(arguments).output().unwrap()
}

/// GET /healthz: the status line and the server's certificate.
fn healthz(broker: &Broker, ca: &Path, own: Option<&Certs>) -> Result<(String, CertificateDer<'static>), String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(certs) => {
            let certificate = CertificateDer::from_pem_file(certs.path("client.pem")).unwrap();
            let key = PrivateKeyDer::from_pem_file(certs.path("client.key")).unwrap();
            builder.with_client_auth_cert(vec![certificate], key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let connection = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let address = admin_address(broker);
    let socket = TcpStream::connect(address.strip_prefix("https://").expect("the file names the scheme")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = StreamOwned::new(connection, socket);
    let asked = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    asked.map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    // The end without a farewell of TLS is no error here.
    if let Err(error) = stream.read_to_end(&mut answer)
        && answer.is_empty()
    {
        return Err(error.to_string());
    }
    let line = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
    Ok((line, stream.conn.peer_certificates().unwrap()[0].clone().into_owned()))
}

#[test]
fn operators_are_answered_over_tls_and_not_without() {
    let certs = Certs::new();
    let broker = start(&certs, "");
    let (line, _) = healthz(&broker, &certs.path("ca.pem"), None).unwrap();
    assert_eq!(line, "HTTP/1.1 200 OK");
    let ca = certs.path("ca.pem").display().to_string();
    let seen = ctl(&broker, &["--ca-file", &ca, "status"]);
    assert!(seen.status.success(), "{}", String::from_utf8_lossy(&seen.stderr));
    let stranger = ctl(&broker, &["status"]);
    assert_eq!(stranger.status.code(), Some(3), "who signed it is not known without --ca-file");
    let told = String::from_utf8_lossy(&stranger.stderr).to_lowercase();
    assert!(told.contains("certificate") || told.contains("issuer"), "{told}");

    let address = admin_address(&broker).replace("https://", "");
    let mut plain = TcpStream::connect(address).unwrap();
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "nothing is said in the clear");
}

#[test]
fn client_certificates_stand_before_tokens() {
    let (certs, others) = (Certs::new(), Certs::new());
    let ca = certs.path("ca.pem");
    let asks = format!("client_ca = \"{}\"\nclient_certificate = \"required\"\n", ca.display());
    let broker = start(&certs, &asks);
    assert_eq!(healthz(&broker, &ca, Some(&certs)).unwrap().0, "HTTP/1.1 200 OK");
    assert!(healthz(&broker, &ca, None).is_err());
    assert!(healthz(&broker, &ca, Some(&others)).is_err());
    assert!(broker.log().contains("an operator's TLS handshake failed"));
}

#[test]
fn a_new_certificate_is_taken_and_a_bad_one_is_not() {
    let (certs, next) = (Certs::new(), Certs::new());
    let broker = start(&certs, "");
    let ca = certs.path("ca.pem");
    let (_, first) = healthz(&broker, &ca, None).unwrap();
    std::fs::write(certs.path("server.key"), "no key").unwrap();
    let told = ctl(&broker, &["--ca-file", &ca.display().to_string(), "reload"]);
    assert_eq!(told.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&told.stdout).contains("admin.tls.key"), "{told:?}");
    assert_eq!(healthz(&broker, &ca, None).unwrap().1, first);
    next.replace(&certs);
    broker.signal("HUP");
    let shown = || healthz(&broker, &next.path("ca.pem"), None).ok().filter(|(_, shown)| *shown != first);
    eventually("the new certificate", shown);
}
