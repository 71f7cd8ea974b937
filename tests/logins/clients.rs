//! Logins as people do them: with mosquitto_pub and paho-mqtt; and mosquitto itself beside us with the same file.
use crate::support::{Broker, Place, authenticator, connect, free_port, start};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use vowmq::packet::Version;
use vowmq::types::ReasonCode;

const HOW_TO_INSTALL: &str = "install the clients with: tests/setup.sh";

fn publishes(port: u16, version: &str, credentials: &[&str]) -> bool {
    let mut command = Command::new("mosquitto_pub");
    let port = port.to_string();
    command.args(["-h", "127.0.0.1", "-p", &port, "-V", version, "-q", "1", "-t", "t", "-m", "x"]).args(credentials);
    let output = command.stderr(Stdio::null()).stdin(Stdio::null()).status();
    output.unwrap_or_else(|error| panic!("mosquitto_pub: {error}; {HOW_TO_INSTALL}")).success()
}

#[test]
fn mosquitto_pub_gets_in_with_user_and_password() {
    let place = Place::new();
    place.users(&[("ann", "secret")]);
    let broker = start(&place, "", &authenticator("staff", "password_file", &place.path("users")));
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        let identifier = format!("i{}", free_port());
        let named =
            |credentials: &[&str]| publishes(broker.port, version, &[&["-i", &identifier], credentials].concat());
        assert!(named(&["-u", "ann", "-P", "secret"]), "{version}");
        assert!(!named(&["-u", "ann", "-P", "wrong"]), "{version}");
        assert!(!named(&["-u", "ann"]), "{version}");
        assert!(!named(&[]), "{version}");
    }
}

/// mosquitto with a password file; `None` where it is not installed, as its clients alone are enough for other tests.
struct Mosquitto {
    process: Child,
    port: u16,
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Mosquitto {
    fn start(place: &Place, users: &Path) -> Self {
        let port = free_port();
        let text =
            format!("user root\nlistener {port} 127.0.0.1\nallow_anonymous false\npassword_file {}\n", users.display());
        let file = place.write("mosquitto.conf", text);
        let process = Command::new(mosquitto()).arg("-c").arg(file).stderr(Stdio::null()).spawn().unwrap();
        let broker = Self { process, port };
        let deadline = Instant::now() + Duration::from_secs(15);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(Instant::now() < deadline, "mosquitto does not start");
            std::thread::sleep(Duration::from_millis(5));
        }
        broker
    }
}

fn mosquitto() -> PathBuf {
    let places = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"];
    places.iter().map(PathBuf::from).find(|path| path.is_file()).unwrap_or_else(|| PathBuf::from("mosquitto"))
}

/// A file that mosquitto_passwd made, with every kind of line it can write.
fn file_of_mosquitto(place: &Place) -> PathBuf {
    let path = place.path("theirs");
    let users = [
        ("ann", "secret", "sha512-pbkdf2"),
        ("bob", "secret", "sha512"),
        ("with blank", "pass word", "sha512-pbkdf2"),
        ("jürgen", "über", "sha512-pbkdf2"),
        ("long", "0123456789012345678901234567890123456789012345678901234567890123456789", "sha512"),
    ];
    for (user, password, hash) in users {
        let mut command = Command::new("mosquitto_passwd");
        if !path.exists() {
            command.arg("-c");
        }
        let made = command.args(["-H", hash, "-b"]).arg(&path).args([user, password]).status();
        assert!(made.unwrap_or_else(|error| panic!("mosquitto_passwd: {error}; {HOW_TO_INSTALL}")).success());
    }
    path
}

#[test]
fn a_file_of_mosquitto_passwd_gives_the_same_answers_in_both_brokers() {
    let place = Place::new();
    let users = file_of_mosquitto(&place);
    let ours = start(&place, "", &authenticator("staff", "password_file", &users));
    let theirs = Mosquitto::start(&place, &users);
    let long = "0123456789012345678901234567890123456789012345678901234567890123456789";
    let mut let_in = 0;
    for user in ["ann", "bob", "with blank", "jürgen", "long", "eve", "Ann", "ann ", "with", "a+b", "#", "theirs"] {
        for password in ["secret", "Secret", "secret ", "", "pass word", "über", "uber", long, &long[1..], "$7$101$"] {
            let packet = connect(Version::V311, Some(user), Some(password.as_bytes()));
            let (our_answer, their_answer) = (ours.answer(packet.clone()), answer(theirs.port, packet));
            // Return code 4 and 5 of 3.1.1 are two ways to say the same.
            let is_in = |code| code == ReasonCode::Success;
            assert_eq!(
                is_in(our_answer),
                is_in(their_answer),
                "{user:?} with {password:?}: {our_answer:?}, {their_answer:?}"
            );
            let_in += usize::from(is_in(our_answer));
        }
    }
    assert_eq!(let_in, 5);
}

fn answer(port: u16, packet: vowmq::packet::Connect) -> ReasonCode {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    let mut link = crate::support::Link::over(stream);
    link.send_connect(packet);
    link.code()
}

/// Runs the script that shows how paho-mqtt logs in; docs/AUTHENTICATION.md has the same lines.
fn paho(broker: &Broker, arguments: &[&str]) -> String {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = package.join("target/clients-venv/bin/python");
    assert!(python.is_file(), "{} is missing; {HOW_TO_INSTALL}", python.display());
    let output = Command::new(python)
        .arg(package.join("tests/clients/logins.py"))
        .arg(broker.port.to_string())
        .args(arguments)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said.trim().to_owned()
}

#[test]
fn paho_gets_in_with_a_token_and_by_scram() {
    let place = Place::new();
    assert!(place.passwd(&["scram", "add", "ann", "--scram"], "pencil\n").status.success());
    let scram = authenticator("strong", "scram", &place.path("scram"));
    let broker = start(&place, "", &format!("{}{scram}", crate::tokens::settings(&place)));
    let token = crate::tokens::token("pump-7", 60);
    assert_eq!(paho(&broker, &["password", "pump-7", &token]), "Success");
    assert_eq!(paho(&broker, &["password", "pump-8", &token]), "Not authorized");
    assert_eq!(paho(&broker, &["scram", "ann", "pencil"]), "Success");
    assert_eq!(paho(&broker, &["scram", "ann", "paper"]), "Not authorized");
}
