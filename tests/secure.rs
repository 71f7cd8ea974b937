//! Listeners beyond plain TCP, with the real program: TLS, client certificates, reload, Unix sockets, PROXY headers.
mod common;

use common::broker::Broker;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion, crypto,
};

/// CONNECT of a 3.1.1 client without a name of its own, and the CONNACK it gets.
const CONNECT: &[u8] = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00";
const CONNACK: [u8; 4] = [0x20, 2, 0, 0];
const PINGREQ: &[u8] = b"\xc0\x00";
const WITHIN: Duration = Duration::from_secs(10);

/// Certificates as `vowmq certs` makes them.
struct Certs {
    directory: TempDir,
}

impl Certs {
    fn new(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let made = certs(&directory.path().join("certs"), arguments);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("certs").join(name)
    }

    /// The tables of a listener with TLS; `more` belongs to its last one.
    fn listener(&self, port: u16, more: &str) -> String {
        let (certificate, key) = (self.path("server.pem"), self.path("server.key"));
        format!(
            "[[listener]]\naddress = \"127.0.0.1:{port}\"\nallow_anonymous = true\n[listener.tls]\ncertificate = \"{}\"\n\
             key = \"{}\"\n{more}\n",
            certificate.display(),
            key.display()
        )
    }

    fn asks(&self, whether: &str) -> String {
        format!("client_ca = \"{}\"\nclient_certificate = \"{whether}\"\n", self.path("ca.pem").display())
    }
}

fn certs(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vowmq"))
        .args(["certs", "--out"])
        .arg(directory)
        .args(arguments)
        .output()
        .expect("the program starts")
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// A broker is waited for until its first port answers, which is a moment before the others do.
fn reach(port: u16) -> TcpStream {
    let mut reached = None;
    eventually("the port answers", || {
        reached = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok();
        reached.is_some()
    });
    reached.unwrap()
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

struct Client<'a> {
    ca: PathBuf,
    own: Option<(&'a Certs, &'a str)>,
    versions: &'static [&'static SupportedProtocolVersion],
    name: &'static str,
}

static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

impl<'a> Client<'a> {
    fn trusting(certs: &Certs) -> Self {
        Self { ca: certs.path("ca.pem"), own: None, versions: &BOTH, name: "localhost" }
    }

    fn with(self, certs: &'a Certs, name: &'a str) -> Self {
        Self { own: Some((certs, name)), ..self }
    }

    /// Shakes hands and connects; an error says what went wrong.
    fn connect(&self, port: u16) -> Result<Tls, String> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.ca).unwrap()).unwrap();
        let provider = Arc::new(crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(self.versions).unwrap();
        let builder = builder.with_root_certificates(roots);
        let config = match self.own {
            None => builder.with_no_client_auth(),
            Some((certs, name)) => {
                let certificate = CertificateDer::from_pem_file(certs.path(&format!("{name}.pem"))).unwrap();
                let key = PrivateKeyDer::from_pem_file(certs.path(&format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        };
        let name = ServerName::try_from(self.name).unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let socket = reach(port);
        socket.set_read_timeout(Some(WITHIN)).unwrap();
        let mut stream = StreamOwned::new(connection, socket);
        stream.write_all(CONNECT).map_err(|error| error.to_string())?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).map_err(|error| error.to_string())?;
        assert_eq!(answer, CONNACK);
        Ok(stream)
    }
}

fn certificate_of(stream: &Tls) -> CertificateDer<'static> {
    stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
}

fn is_alive(stream: &mut (impl Read + Write)) -> bool {
    let mut answer = [0; 2];
    stream.write_all(PINGREQ).is_ok() && stream.read_exact(&mut answer).is_ok() && answer == [0xd0, 0]
}

/// Asks again and again until something holds.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + WITHIN * 2;
    while !holds() {
        assert!(Instant::now() < deadline, "never came about: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn tls_clients_of_both_versions_are_served_and_wrong_ones_are_not() {
    let (certs, others) = (Certs::new(&[]), Certs::new(&[]));
    let (port, modern) = (free_port(), free_port());
    let _broker = Broker::start(&(certs.listener(port, "") + &certs.listener(modern, "version_min = \"1.3\"")));
    for versions in [&BOTH[..1], &BOTH[1..]] {
        assert!(is_alive(&mut Client { versions, ..Client::trusting(&certs) }.connect(port).unwrap()));
    }
    assert!(Client { versions: &BOTH[..1], ..Client::trusting(&certs) }.connect(modern).is_ok());
    assert!(Client { versions: &BOTH[1..], ..Client::trusting(&certs) }.connect(modern).is_err());
    let error = Client::trusting(&others).connect(port).unwrap_err();
    assert!(error.contains("certificate"), "{error}");
    // What is no TLS at all gets no answer.
    let mut plain = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    plain.write_all(CONNECT).unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert_ne!(answer.first(), Some(&0x20));
}

#[test]
fn client_certificates_are_asked_for_checked_and_revoked() {
    let (certs, others) = (Certs::new(&["--client", "sensor-7", "--client", "thief"]), Certs::new(&[]));
    let crl = revoke(&certs, "thief");
    let (required, optional) = (free_port(), free_port());
    let lists = format!("crl = \"{}\"\n", crl.display());
    let tables = certs.listener(required, &(certs.asks("required") + &lists))
        + &certs.listener(optional, &certs.asks("optional"));
    let _broker = Broker::start(&tables);
    let client = || Client::trusting(&certs);
    assert!(is_alive(&mut client().with(&certs, "sensor-7").connect(required).unwrap()));
    assert!(client().connect(required).is_err(), "without a certificate");
    assert!(client().with(&others, "client").connect(required).is_err(), "with one of somebody else's CA");
    assert!(client().with(&certs, "thief").connect(required).is_err(), "with a revoked one");
    assert!(client().connect(optional).is_ok());
    assert!(client().with(&others, "client").connect(optional).is_err());
}

#[test]
fn who_is_connected_with_a_certificate_that_is_revoked_has_to_go() {
    let certs = Certs::new(&["--client", "sensor-7", "--client", "thief"]);
    let crl = revoke_none(&certs);
    let port = free_port();
    let lists = format!("crl = \"{}\"\n", crl.display());
    let broker = Broker::start(&certs.listener(port, &(certs.asks("required") + &lists)));
    let mut thief = Client::trusting(&certs).with(&certs, "thief").connect(port).unwrap();
    let mut sensor = Client::trusting(&certs).with(&certs, "sensor-7").connect(port).unwrap();
    let mut plain = TcpStream::connect(broker.address).unwrap();
    plain.set_read_timeout(Some(WITHIN)).unwrap();
    plain.write_all(CONNECT).unwrap();
    plain.read_exact(&mut [0; 4]).unwrap();
    assert!(is_alive(&mut thief) && is_alive(&mut sensor));
    revoke(&certs, "thief");
    broker.signal("HUP");
    assert!(!matches!(thief.read(&mut [0]), Ok(1..)), "closed, and a 3.1.1 client is told nothing");
    assert!(is_alive(&mut sensor) && is_alive(&mut plain));
    assert!(Client::trusting(&certs).with(&certs, "thief").connect(port).is_err());
    assert_eq!(broker.log().matches("the certificate revoked").count(), 1);
    // Who passed once is looked at again when there is another list.
    revoke(&certs, "sensor-7");
    broker.signal("HUP");
    assert!(!matches!(sensor.read(&mut [0]), Ok(1..)));
    assert!(is_alive(&mut plain));
}

#[test]
fn a_certificate_with_two_names_or_none_is_nobodys() {
    let certs = Certs::new(&["--client", "sensor-7"]);
    let port = free_port();
    let _broker = Broker::start(&certs.listener(port, &certs.asks("required")));
    for (file, subject) in
        [("two", "/CN=sensor-7/CN=admin"), ("reversed", "/CN=admin/O=x/CN=sensor-7"), ("none", "/O=x")]
    {
        sign(&certs, file, subject);
        assert!(Client::trusting(&certs).with(&certs, file).connect(port).is_err(), "{subject}");
    }
    sign(&certs, "one", "/O=x/CN=sensor-9");
    assert!(Client::trusting(&certs).with(&certs, "one").connect(port).is_ok());
}

/// A client's certificate by the right CA, for any subject.
fn sign(certs: &Certs, file: &str, subject: &str) {
    let path = |end: &str| certs.path(&format!("{file}.{end}")).display().to_string();
    std::fs::write(path("ext"), "extendedKeyUsage = clientAuth\n").unwrap();
    let (ca, ca_key) = (certs.path("ca.pem").display().to_string(), certs.path("ca.key").display().to_string());
    let (key, request, signed, extensions) = (path("key"), path("csr"), path("pem"), path("ext"));
    let openssl = |arguments: &[&str]| {
        let done = Command::new("openssl").args(arguments).output().expect("openssl is installed");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let curve = "ec_paramgen_curve:P-256";
    openssl(&[
        "req", "-new", "-newkey", "ec", "-pkeyopt", curve, "-nodes", "-keyout", &key, "-out", &request, "-subj",
        subject,
    ]);
    openssl(&[
        "x509",
        "-req",
        "-in",
        &request,
        "-CA",
        &ca,
        "-CAkey",
        &ca_key,
        "-days",
        "3",
        "-extfile",
        &extensions,
        "-out",
        &signed,
    ]);
}

/// A list that revokes one client's certificate.
fn revoke(certs: &Certs, client: &str) -> PathBuf {
    list(certs, Some(client))
}

/// A list that revokes nothing.
fn revoke_none(certs: &Certs) -> PathBuf {
    list(certs, None)
}

fn list(certs: &Certs, revoked: Option<&str>) -> PathBuf {
    let (ca, key) = (certs.path("ca.pem"), certs.path("ca.key"));
    let config = certs.path("ca.cnf");
    let index = certs.path("index.txt");
    std::fs::write(&index, "").unwrap();
    std::fs::write(certs.path("crlnumber"), "01\n").unwrap();
    let text = format!(
        "[ca]\ndefault_ca = this\n[this]\ndatabase = {}\ncrlnumber = {}\ndefault_md = sha256\ndefault_crl_days = 30\n",
        index.display(),
        certs.path("crlnumber").display()
    );
    std::fs::write(&config, text).unwrap();
    let out = certs.path("crl.pem");
    let openssl = |arguments: &[&Path]| {
        let mut command = Command::new("openssl");
        command.args(["ca", "-config"]).arg(&config).arg("-cert").arg(&ca).arg("-keyfile").arg(&key).args(arguments);
        let done = command.output().expect("openssl is installed");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    if let Some(client) = revoked {
        openssl(&[Path::new("-revoke"), &certs.path(&format!("{client}.pem"))]);
    }
    openssl(&[Path::new("-gencrl"), Path::new("-out"), &out]);
    out
}

#[test]
fn the_certificate_is_chosen_by_the_name_that_is_asked_for() {
    let certs = Certs::new(&[]);
    let other = Certs::new(&["--name", "broker.example.org"]);
    let port = free_port();
    let pair = |name: &str| other.path(name).display().to_string();
    let more =
        format!("certificates = [{{ certificate = \"{}\", key = \"{}\" }}]", pair("server.pem"), pair("server.key"));
    let _broker = Broker::start(&certs.listener(port, &more));
    assert!(Client::trusting(&certs).connect(port).is_ok());
    let named = Client { name: "broker.example.org", ..Client::trusting(&other) };
    assert!(named.connect(port).is_ok());
}

#[test]
fn new_certificates_are_taken_without_dropping_anybody_and_bad_ones_are_not() {
    let (certs, next) = (Certs::new(&[]), Certs::new(&[]));
    let port = free_port();
    let broker = Broker::start(&certs.listener(port, ""));
    let mut early = Client::trusting(&certs).connect(port).unwrap();
    let first = certificate_of(&early);

    broker.signal("HUP");
    eventually("SIGHUP is told of", || broker.log().contains("SIGHUP"));
    std::fs::write(certs.path("server.pem"), "no certificate").unwrap();
    broker.signal("HUP");
    eventually("the bad certificate is told of", || broker.log().contains("stays in force"));
    assert_eq!(certificate_of(&Client::trusting(&certs).connect(port).unwrap()), first);

    for name in ["server.pem", "server.key"] {
        std::fs::copy(next.path(name), certs.path(name)).unwrap();
    }
    broker.signal("HUP");
    let after = || Client::trusting(&next).connect(port).ok().map(|stream| certificate_of(&stream));
    eventually("the new certificate is shown", || after().is_some_and(|shown| shown != first));
    assert!(is_alive(&mut early), "who was connected stays so");
    eventually("what changed is told of", || broker.log().contains("read again: certificate"));
    assert_eq!(broker.log().matches("read again: certificate").count(), 1, "what did not change is not told of");
}

#[test]
fn a_certificate_that_changes_is_noticed_without_a_signal() {
    let (certs, next) = (Certs::new(&[]), Certs::new(&[]));
    let port = free_port();
    let _broker = Broker::start(&certs.listener(port, ""));
    for name in ["server.pem", "server.key"] {
        std::fs::copy(next.path(name), certs.path(name)).unwrap();
    }
    eventually("the new certificate is shown", || Client::trusting(&next).connect(port).is_ok());
}

#[test]
fn a_start_with_a_key_of_another_certificate_says_so() {
    let (certs, others) = (Certs::new(&[]), Certs::new(&[]));
    std::fs::copy(others.path("server.key"), certs.path("server.key")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("vowmq.toml");
    let text =
        format!("data_dir = \"{}\"\n{}", directory.path().join("data").display(), certs.listener(free_port(), ""));
    std::fs::write(&file, text).unwrap();
    let ended = Command::new(env!("CARGO_BIN_EXE_vowmq")).arg("--config").arg(&file).output().unwrap();
    assert_eq!(ended.status.code(), Some(2));
    let told = String::from_utf8(ended.stderr).unwrap();
    assert!(told.contains("listener.tls.key: ") && told.contains("it is not the key of"), "{told}");
}

#[test]
fn handshakes_that_never_end_hold_up_nobody() {
    let certs = Certs::new(&[]);
    let port = free_port();
    let settings = "[limits]\ntls_handshakes_max = 8\nconnect_timeout_ms = 3000\n";
    let broker = Broker::start(&(certs.listener(port, "") + settings));
    let mut connected = Client::trusting(&certs).connect(port).unwrap();
    let stalled: Vec<_> = (0..200).map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap()).collect();
    assert!(is_alive(&mut connected));
    let mut plain = TcpStream::connect(broker.address).unwrap();
    plain.set_read_timeout(Some(WITHIN)).unwrap();
    plain.write_all(CONNECT).unwrap();
    let mut answer = [0; 4];
    plain.read_exact(&mut answer).unwrap();
    assert_eq!(answer, CONNACK);
    // Once they have timed out there is room again.
    eventually("a new TLS client is served", || Client::trusting(&certs).connect(port).is_ok());
    drop(stalled);
}

#[test]
fn mosquittos_clients_come_in_with_certificates() {
    let certs = Certs::new(&["--client", "sensor-7"]);
    let port = free_port();
    let _broker = Broker::start(&certs.listener(port, &certs.asks("required")));
    let client = |program: &str| {
        let mut command = Command::new(program);
        command.args(["-h", "localhost", "-V", "5", "-q", "1", "-t", "a/b", "-p"]).arg(port.to_string());
        command.arg("--cafile").arg(certs.path("ca.pem"));
        command.arg("--cert").arg(certs.path("sensor-7.pem")).arg("--key").arg(certs.path("sensor-7.key"));
        command
    };
    let published = client("mosquitto_pub").args(["-r", "-m", "hello"]).output().expect("mosquitto_pub is installed");
    assert!(published.status.success(), "{}", String::from_utf8_lossy(&published.stderr));
    let received = client("mosquitto_sub").args(["-C", "1", "-W", "10"]).output().expect("mosquitto_sub is installed");
    assert_eq!(String::from_utf8_lossy(&received.stdout), "hello\n");
}

#[test]
fn the_name_in_a_certificate_is_the_user_that_rules_and_sessions_know() {
    let certs = Certs::new(&["--client", "sensor-7", "--client", "sensor-8"]);
    let rules = certs.path("acl.toml");
    std::fs::write(&rules, "[[rule]]\nallow = \"all\"\nuser = \"sensor-*\"\ntopics = [\"devices/%u/#\"]\n").unwrap();
    let port = free_port();
    let listener = certs.listener(port, &certs.asks("required")).replace("allow_anonymous = true\n", "");
    let more = format!(
        "[[authenticator]]\nname = \"machines\"\nkind = \"certificate\"\n[access]\nfile = \"{}\"\n",
        rules.display()
    );
    let broker = Broker::start(&(listener + &more));
    let subscribe = |client: &str, topic: &str| {
        let mut stream = Client::trusting(&certs).with(&certs, client).connect(port).unwrap();
        let length = u8::try_from(topic.len()).unwrap();
        let packet = [&[0x82, length + 5, 0, 1, 0, length], topic.as_bytes(), &[1]].concat();
        stream.write_all(&packet).unwrap();
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).unwrap();
        answer[4]
    };
    assert_eq!(subscribe("sensor-7", "devices/sensor-7/#"), 1);
    assert_eq!(subscribe("sensor-7", "devices/sensor-8/#"), 0x80);
    assert_eq!(subscribe("sensor-8", "devices/sensor-8/#"), 1);
    // Rules that change are felt without a restart.
    std::fs::write(&rules, "[[rule]]\nallow = \"all\"\nuser = \"sensor-7\"\ntopics = [\"devices/%u/#\"]\n").unwrap();
    broker.signal("HUP");
    eventually("sensor-8 has lost its rights", || subscribe("sensor-8", "devices/sensor-8/#") == 0x80);
    assert_eq!(subscribe("sensor-7", "devices/sensor-7/#"), 1);
}

#[test]
fn a_unix_socket_has_its_mode_and_serves() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mqtt.sock");
    // What an earlier broker left there is no obstacle.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let listener =
        format!("[[listener]]\nunix = \"{}\"\nunix_mode = \"0600\"\nallow_anonymous = true\n", path.display());
    let broker = Broker::start(&listener);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(WITHIN)).unwrap();
    stream.write_all(CONNECT).unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, CONNACK);
    assert!(is_alive(&mut stream));
    broker.signal("TERM");
    eventually("the socket's file goes with the broker", || !path.exists());
}

#[test]
fn a_trusted_proxy_says_who_is_behind_it_and_others_are_refused() {
    let (trusted, distrusted) = (free_port(), free_port());
    let listener = |port: u16, network: &str| {
        format!(
            "[[listener]]\naddress = \"127.0.0.1:{port}\"\nallow_anonymous = true\nproxy_protocol = true\n\
             proxy_trusted = [\"{network}\"]\n"
        )
    };
    let broker = Broker::start(&(listener(trusted, "127.0.0.0/8") + &listener(distrusted, "192.0.2.0/24")));
    let header = b"PROXY TCP4 198.51.100.9 127.0.0.1 4711 1883\r\n";
    let talk = |port: u16, bytes: &[u8]| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(WITHIN)).unwrap();
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let mut chunk = [0; 64];
        while answer.len() < 4
            && let Ok(count @ 1..) = stream.read(&mut chunk)
        {
            answer.extend_from_slice(&chunk[..count]);
        }
        (answer, stream)
    };
    let (answer, mut stream) = talk(trusted, &[header, CONNECT].concat());
    assert_eq!(answer, CONNACK);
    // A second CONNECT is a breach, and is told of with the address.
    stream.write_all(CONNECT).unwrap();
    eventually("the log names the client's own address", || broker.log().contains("198.51.100.9:4711"));
    assert_eq!(talk(trusted, CONNECT).0, [], "without a header");
    assert_eq!(talk(distrusted, &[header, CONNECT].concat()).0, [], "from an address that is not trusted");
}

#[test]
fn who_is_behind_a_proxy_is_counted_and_not_the_proxy() {
    let port = free_port();
    let _broker = Broker::start(&format!(
        "[[listener]]\naddress = \"127.0.0.1:{port}\"\nallow_anonymous = true\nproxy_protocol = true\n\
         proxy_trusted = [\"127.0.0.0/8\"]\n[abuse]\nburst_s = 1\n[abuse.address]\nconnects_per_second_max = 1\n"
    ));
    let comes_in = |from: &str| {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_read_timeout(Some(WITHIN)).unwrap();
        let header = format!("PROXY TCP4 {from} 127.0.0.1 4711 1883\r\n");
        let _ = stream.write_all(&[header.as_bytes(), CONNECT].concat());
        stream.read_exact(&mut [0; 4]).is_ok()
    };
    assert!(comes_in("198.51.100.9"));
    let again: Vec<_> = (0..4).map(|_| comes_in("198.51.100.9")).collect();
    assert!(again.contains(&false), "its second in a second");
    assert!(comes_in("198.51.100.10"), "another behind the same proxy");
}

#[test]
fn certificates_are_never_written_over_and_keys_are_for_their_owner() {
    let certs = Certs::new(&[]);
    let mode = |name: &str| std::fs::metadata(certs.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode("ca.key"), mode("server.key"), mode("client.key")], [0o600; 3]);
    let key = std::fs::read(certs.path("server.key")).unwrap();
    let again = crate::certs(&certs.directory.path().join("certs"), &[]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("choose another directory with --out"));
    assert_eq!(std::fs::read(certs.path("server.key")).unwrap(), key);
}

#[test]
fn mqttjs_in_a_browser_talks_over_wss_from_listed_origins_only() {
    let certs = Certs::new(&[]);
    let (port, page) = (free_port(), free_port());
    let websocket = format!("websocket = true\nwebsocket_origins = [\"http://127.0.0.1:{page}\"]\n[listener.tls]");
    let _broker = Broker::start(&certs.listener(port, "").replace("[listener.tls]", &websocket));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/browser.mjs");
    let url = format!("wss://localhost:{port}/mqtt");
    let ended = Command::new("node").arg(script).args([url, page.to_string()]).output().expect("node is installed");
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{said}\n{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(said.lines().filter(|line| line.starts_with("ok ")).count(), 2, "{said}");
}

#[test]
fn pages_of_other_origins_and_other_paths_are_refused() {
    let port = free_port();
    let listener = format!(
        "[[listener]]\naddress = \"127.0.0.1:{port}\"\nallow_anonymous = true\nwebsocket = true\n\
         websocket_path = \"/ws\"\nwebsocket_origins = [\"https://app.example.org\"]\n"
    );
    let _broker = Broker::start(&listener);
    let upgrade = |path: &str, headers: &str| {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_read_timeout(Some(WITHIN)).unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        String::from_utf8(answer.to_vec()).unwrap()
    };
    let mqtt = "Sec-WebSocket-Protocol: mqtt\r\n";
    assert_eq!(upgrade("/ws", mqtt), "HTTP/1.1 101");
    assert_eq!(upgrade("/ws", &format!("{mqtt}Origin: https://app.example.org\r\n")), "HTTP/1.1 101");
    assert_eq!(upgrade("/ws", &format!("{mqtt}Origin: https://evil.example.org\r\n")), "HTTP/1.1 403");
    assert_eq!(upgrade("/mqtt", mqtt), "HTTP/1.1 404");
    assert_eq!(upgrade("/ws", ""), "HTTP/1.1 400");
}
