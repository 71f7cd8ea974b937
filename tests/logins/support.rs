//! A broker with authenticators, and a client that says who it is.
use bytes::{Bytes, BytesMut};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use vowmq::codec;
use vowmq::packet::{Connect, ConnectProperties, Packet, Version};
use vowmq::types::{ReasonCode, Text};

pub const PATIENCE: Duration = Duration::from_secs(15);

/// A directory for the files of one test, and the broker's.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Runs `vowmq passwd` on a file of this place, with something on standard input.
    pub fn passwd(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = program();
        command.current_dir(self.0.path()).arg("passwd").args(arguments);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A command that needs no input may have ended.
        let _ = process.stdin.take().unwrap().write_all(input.as_bytes());
        process.wait_with_output().unwrap()
    }

    /// Users with passwords, in the file "users".
    pub fn users(&self, users: &[(&str, &str)]) {
        let lines: String = users.iter().map(|(user, password)| format!("{user}:{password}\n")).collect();
        let output = self.passwd(&["users", "batch"], &lines);
        assert!(output.status.success(), "{output:?}");
    }
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vowmq"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("VOWMQ_")) {
        command.env_remove(name);
    }
    command
}

pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

pub struct Broker {
    pub port: u16,
    process: Child,
    log: PathBuf,
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the configuration has beside its one listener, whose further settings come first.
pub fn start(place: &Place, listener: &str, settings: &str) -> Broker {
    let port = free_port();
    let mut process = command(place, port, listener, settings).spawn().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        let log = std::fs::read_to_string(place.path("log")).unwrap_or_default();
        assert!(process.try_wait().unwrap().is_none() && Instant::now() < deadline, "it does not start: {log}");
        std::thread::sleep(Duration::from_millis(5));
    }
    Broker { port, process, log: place.path("log") }
}

/// A broker that should refuse to start; what it says.
pub fn fails_to_start(place: &Place, settings: &str) -> String {
    let status = command(place, free_port(), "", settings).status().unwrap();
    assert_eq!(status.code(), Some(2));
    std::fs::read_to_string(place.path("log")).unwrap()
}

fn command(place: &Place, port: u16, listener: &str, settings: &str) -> Command {
    let listener = format!("[[listener]]\naddress = \"127.0.0.1:{port}\"\n{listener}\n");
    place.write("vowmq.toml", format!("{listener}{settings}\n[log]\nlevel = \"trace\"\n"));
    let log = std::fs::File::options().create(true).append(true).open(place.path("log")).unwrap();
    let mut command = program();
    let data = place.path(&format!("data{port}"));
    command.current_dir(place.0.path()).args(["--config", "vowmq.toml", "--data-dir"]).arg(data);
    command.stdout(Stdio::null()).stderr(log);
    command
}

impl Broker {
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Makes it read its files again.
    pub fn hang_up(&self) {
        let sent = Command::new("kill").args(["-s", "HUP", &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for something in the log.
    pub fn wait_for_log(&self, part: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.log().contains(part) {
            assert!(Instant::now() < deadline, "{part} is not told in {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn link(&self) -> Link {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Link::over(stream)
    }

    /// What CONNACK says to this CONNECT.
    pub fn answer(&self, connect: Connect) -> ReasonCode {
        let mut link = self.link();
        link.send_connect(connect);
        link.code()
    }

    /// What CONNACK says to this user with this password.
    pub fn login(&self, user: &str, password: &str) -> ReasonCode {
        self.answer(connect(Version::V5, Some(user), Some(password.as_bytes())))
    }
}

pub fn connect(version: Version, user: Option<&str>, password: Option<&[u8]>) -> Connect {
    Connect {
        version,
        clean_start: true,
        keep_alive_s: 0,
        client_id: Text::try_from(format!("c{}", free_port()).as_str()).unwrap(),
        will: None,
        user_name: user.map(|user| Text::try_from(user).unwrap()),
        password: password.map(Bytes::copy_from_slice),
        properties: ConnectProperties::default(),
    }
}

pub struct Link {
    pub stream: TcpStream,
    version: Version,
}

impl Link {
    pub fn over(stream: TcpStream) -> Self {
        Self { stream, version: Version::V5 }
    }

    pub fn send_connect(&mut self, connect: Connect) {
        self.version = connect.version;
        self.send(&Packet::Connect(Box::new(connect)));
    }

    pub fn send(&mut self, packet: &Packet) {
        assert!(self.try_send(packet), "the broker closed the connection");
    }

    /// Whether the packet could be written.
    pub fn try_send(&mut self, packet: &Packet) -> bool {
        let mut bytes = BytesMut::new();
        codec::encode(packet, self.version, &mut bytes).unwrap();
        self.stream.write_all(&bytes).is_ok()
    }

    /// The next packet, or `None` when the broker has closed the connection.
    pub fn next(&mut self) -> Option<Packet> {
        let mut bytes = BytesMut::new();
        loop {
            let length = codec::frame_len(&bytes, Some(self.version), &codec::Limits::default()).unwrap();
            if length == Some(bytes.len()) {
                return Some(codec::decode(bytes.freeze(), Some(self.version), &codec::Limits::default()).unwrap());
            }
            let mut byte = [0];
            match self.stream.read(&mut byte) {
                Ok(1) => bytes.extend_from_slice(&byte),
                Ok(_) => return None,
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
                    return None;
                }
            }
        }
    }

    /// The code of the CONNACK or DISCONNECT that comes next.
    pub fn code(&mut self) -> ReasonCode {
        match self.next() {
            Some(Packet::ConnAck(connack)) => connack.code,
            Some(Packet::Disconnect(disconnect)) => disconnect.code,
            Some(other) => panic!("{} was not expected", other.name()),
            None => panic!("the connection was closed without a word"),
        }
    }
}

/// The settings of an authenticator with a file.
pub fn authenticator(name: &str, kind: &str, file: &Path) -> String {
    format!("[[authenticator]]\nname = \"{name}\"\nkind = \"{kind}\"\nfile = \"{}\"\n", file.display())
}
