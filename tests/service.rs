//! The program under a service manager: what it tells, and the sockets that it is given.
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(15);

/// CONNECT of an anonymous 3.1.1 client, and the CONNACK that lets it in.
const CONNECT: [u8; 14] = [0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, 0];
const CONNACK: [u8; 4] = [0x20, 2, 0, 0];

/// A service manager for one service. Dropping it ends the service.
struct Manager {
    directory: TempDir,
    /// What the service tells comes here.
    told: UnixDatagram,
    service: Option<Child>,
}

impl Drop for Manager {
    fn drop(&mut self) {
        if let Some(mut service) = self.service.take() {
            // It may have ended already.
            let _ = service.kill();
            let _ = service.wait();
        }
    }
}

impl Manager {
    fn new(listener: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let told = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        told.set_read_timeout(Some(PATIENCE)).unwrap();
        let text =
            format!("data_dir = \"data\"\n[admin]\naddress = \"\"\n[[listener]]\n{listener}\nallow_anonymous = true\n");
        std::fs::write(directory.path().join("vowmq.toml"), text).unwrap();
        Self { directory, told, service: None }
    }

    /// Starts the program, with `socket` as the first descriptor that is passed on.
    fn start(&mut self, socket: Option<OwnedFd>, environment: &[(&str, &str)]) {
        // Only a shell knows the number of the process before the program begins.
        let passing = if socket.is_some() {
            "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\" 3<&0 </dev/null"
        } else {
            "exec \"$0\" \"$@\""
        };
        let mut command = Command::new("sh");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("VOWMQ_")) {
            command.env_remove(name);
        }
        command.args(["-c", passing, env!("CARGO_BIN_EXE_vowmq"), "--config", "vowmq.toml"]);
        command.current_dir(self.directory.path()).env("NOTIFY_SOCKET", self.directory.path().join("notify"));
        command.envs(environment.iter().copied());
        command.stdin(socket.map_or_else(Stdio::null, Stdio::from)).stderr(Stdio::null());
        self.service = Some(command.spawn().unwrap());
    }

    /// The next thing that is told.
    fn hear(&self) -> String {
        let mut buffer = [0; 512];
        let length = self.told.recv(&mut buffer).expect("the service tells how it is");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    fn hear_until(&self, wanted: &str) {
        while !self.hear().contains(wanted) {}
    }

    fn terminate(&mut self) {
        let pid = self.service.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn is_served(mut stream: impl Read + Write) -> bool {
    let mut answer = [0; 4];
    stream.write_all(&CONNECT).is_ok() && stream.read_exact(&mut answer).is_ok() && answer == CONNACK
}

#[test]
fn the_service_manager_is_told_of_readiness_life_and_end() {
    let port = free_port();
    let mut manager = Manager::new(&format!("address = \"127.0.0.1:{port}\""));
    manager.start(None, &[("WATCHDOG_USEC", "100000")]);
    assert!(manager.hear().starts_with("READY=1\n"));
    // Ready means that nobody has to try again.
    assert!(is_served(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap()));
    manager.hear_until("WATCHDOG=1");
    manager.hear_until("WATCHDOG=1");
    manager.terminate();
    manager.hear_until("STOPPING=1");
    assert!(manager.service.as_mut().unwrap().wait().unwrap().success());
}

#[test]
fn without_a_watchdog_no_signs_of_life_are_sent() {
    let port = free_port();
    let mut manager = Manager::new(&format!("address = \"127.0.0.1:{port}\""));
    manager.start(None, &[]);
    assert!(manager.hear().starts_with("READY=1\n"));
    manager.terminate();
    assert!(manager.hear().starts_with("STOPPING=1\n"));
}

#[test]
fn a_listener_takes_the_socket_that_is_open_already() {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    let mut manager = Manager::new(&format!("address = \"{address}\""));
    // It connects before there is a broker, and is not refused.
    let early = TcpStream::connect(address).unwrap();
    early.set_read_timeout(Some(PATIENCE)).unwrap();
    manager.start(Some(socket.try_clone().unwrap().into()), &[]);
    assert!(is_served(early));
    // The socket is still ours, so that without it a second broker could not have listened there.
    drop(socket);
    assert!(is_served(TcpStream::connect(address).unwrap()));
}

#[test]
fn a_unix_socket_that_was_passed_on_stays_when_the_broker_ends() {
    let mut manager = Manager::new("unix = \"mqtt.sock\"");
    let path = manager.path().join("mqtt.sock");
    let text = std::fs::read_to_string(manager.path().join("vowmq.toml")).unwrap();
    std::fs::write(manager.path().join("vowmq.toml"), text.replace("mqtt.sock", path.to_str().unwrap())).unwrap();
    let socket = UnixListener::bind(&path).unwrap();
    manager.start(Some(socket.into()), &[]);
    assert!(is_served(UnixStream::connect(&path).unwrap()));
    manager.terminate();
    manager.service.as_mut().unwrap().wait().unwrap();
    assert!(path.exists(), "whoever made it takes it away");
}

#[test]
fn a_socket_that_no_listener_asks_for_is_closed() {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    let mut manager = Manager::new(&format!("address = \"127.0.0.1:{}\"", free_port()));
    manager.start(Some(socket.into()), &[]);
    assert!(manager.hear().starts_with("READY=1\n"));
    let refused = TcpStream::connect(address).map_err(|error| error.kind()).err();
    assert_eq!(refused, Some(std::io::ErrorKind::ConnectionRefused));
}
