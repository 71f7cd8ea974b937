//! `vowmq import-mosquitto`: what it writes can be used, and lets in whom Mosquitto lets in.
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(15);

fn vowmq(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vowmq"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("VOWMQ_")) {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    vowmq(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_distributions_file_with_its_directory_is_translated_and_told() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("vowmq.toml");
    let out = out.to_str().unwrap();
    let output = run(&["import-mosquitto", "tests/data/mosquitto/debian.conf", "--out", out]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "there is a mistake in the file: {told}");
    let site = "tests/data/mosquitto/conf.d/site.conf";
    for expected in [
        format!("  {site}:3: max_queued_mesages: unknown option; did you mean max_queued_messages?"),
        format!("  {site}:15: connection upstream: there are no bridges"),
        "  tests/data/mosquitto/debian.conf:2: pid_file: it stays in the foreground".to_owned(),
        "  tests/data/mosquitto/debian.conf:5: log_dest file /var/log/mosquitto/mosquitto.log: the log goes to"
            .to_owned(),
    ] {
        assert!(told.lines().any(|line| line.starts_with(&expected)), "{expected} is not in\n{told}");
    }
    let written = std::fs::read_to_string(out).unwrap();
    for expected in [
        format!("# {site}:2: max_queued_messages 5000\nqueued_messages_max = 5000\n"),
        format!("# {site}:5: acl_file /etc/mosquitto/acl\nmosquitto_file = \"/etc/mosquitto/acl\"\n"),
        "persistence_location /var/lib/mosquitto/\ndata_dir = \"/var/lib/vowmq\"\n".to_owned(),
        "address = \"0.0.0.0:8883\"\nallow_anonymous = false\nauthenticators = [\"passwords\"]\n".to_owned(),
        "#   topic sensors/# out 1\n".to_owned(),
    ] {
        assert!(written.contains(&expected), "{expected} is not in\n{written}");
    }
    assert!(!written.contains("hidden") && !told.contains("hidden"), "a password got out");
}

#[test]
fn a_file_that_is_there_is_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("vowmq.toml");
    std::fs::write(&out, "mine").unwrap();
    let output = run(&["import-mosquitto", "tests/data/mosquitto/debian.conf", "--out", out.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("choose another file with --out"));
    assert_eq!(std::fs::read_to_string(out).unwrap(), "mine");
}

#[test]
fn without_out_the_settings_go_to_standard_output_alone() {
    let directory = tempfile::tempdir().unwrap();
    let conf = directory.path().join("m.conf");
    std::fs::write(&conf, "sys_interval 3\n").unwrap();
    let output = run(&["import-mosquitto", conf.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    let written = text(&output.stdout);
    assert!(written.parse::<toml::Table>().is_ok_and(|table| table.contains_key("sys")), "{written}");
    assert!(text(&output.stderr).contains("Kept, but different:"));
}

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn start(command: &mut Command, ports: &[u16]) -> Self {
        let running = Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let deadline = Instant::now() + PATIENCE;
        for port in ports {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).is_err() {
                assert!(Instant::now() < deadline, "{command:?} does not listen on {port}");
                std::thread::yield_now();
            }
        }
        running
    }
}

/// What clients give to be let in.
const CLIENTS: [&[&str]; 6] = [
    &[],
    &["-u", "ann", "-P", "right"],
    &["-u", "ann", "-P", "wrong"],
    &["-u", "ann"],
    &["-u", "nobody", "-P", "right"],
    &["--cert", "c/device-7.pem", "--key", "c/device-7.key"],
];

/// Which of the clients can publish, for each port.
fn let_in(directory: &Path, ports: &[u16], tls: bool) -> Vec<bool> {
    let all = ports.iter().flat_map(|port| CLIENTS.map(|client| (*port, client)));
    // Client certificates are for TLS alone.
    let wanted = all.filter(|(_, client)| tls || client.first() != Some(&"--cert"));
    let try_one = |(port, client): (u16, &[&str])| {
        let mut command = Command::new("mosquitto_pub");
        command.current_dir(directory).args(["-h", "127.0.0.1", "-p", &port.to_string()]).args(client);
        command.args(["-q", "1", "-t", "a/b", "-m", "x"]).args(if tls { &["--cafile", "c/ca.pem"][..] } else { &[] });
        command.stderr(Stdio::null()).status().unwrap().success()
    };
    wanted.map(try_one).collect()
}

fn free_ports() -> [u16; 2] {
    let held = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

/// Asks Mosquitto and us, one after the other, with the same file.
fn compare(directory: &TempDir, conf: &str, second_listener: bool, expected: &[bool]) {
    let path = directory.path();
    let [first, second] = free_ports();
    let conf = conf.replace("PORT1", &first.to_string()).replace("PORT2", &second.to_string());
    let ports = if second_listener { vec![first, second] } else { vec![first] };
    let tls = conf.contains("certfile");
    std::fs::write(path.join("m.conf"), &conf).unwrap();
    let mosquitto = Running::start(Command::new("mosquitto").args(["-c", "m.conf"]).current_dir(path), &ports);
    let theirs = let_in(path, &ports, tls);
    drop(mosquitto);
    let _ = std::fs::remove_file(path.join("v.toml"));
    let written = vowmq(&["import-mosquitto", "m.conf", "--out", "v.toml"]).current_dir(path).output().unwrap();
    assert!(written.status.success(), "of {conf}: {}", text(&written.stderr));
    let mut broker = vowmq(&["--config", "v.toml"]);
    let _broker = Running::start(broker.current_dir(path).env("VOWMQ_ADMIN__ADDRESS", ""), &ports);
    let ours = let_in(path, &ports, tls);
    assert_eq!(ours, theirs, "here and there, of {conf}");
    assert_eq!(ours, expected, "of {conf}");
}

#[test]
fn the_same_clients_are_let_in_as_by_mosquitto() {
    if Command::new("mosquitto").arg("-h").output().is_err() || Command::new("mosquitto_pub").output().is_err() {
        eprintln!("left out: mosquitto is not installed (apt-get install mosquitto mosquitto-clients)");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let made = Command::new("mosquitto_passwd").current_dir(path).args(["-c", "-b", "users", "ann", "right"]).status();
    assert!(made.unwrap().success());
    let made = vowmq(&["certs", "--out", "c", "--client", "device-7"]).current_dir(path).stdout(Stdio::null()).status();
    assert!(made.unwrap().success());
    // As root, Mosquitto becomes another user, who has to be able to read all this.
    let reachable = "chmod 755 . c && chmod 644 users c/*";
    assert!(Command::new("sh").args(["-c", reachable]).current_dir(path).status().unwrap().success());

    let (only_ann, with_anonymous) = ([false, true, false, false, false], [true, true, false, false, false]);
    compare(&directory, "listener PORT1 127.0.0.1\n", false, &[false; 5]);
    compare(&directory, "listener PORT1 127.0.0.1\npassword_file users\n", false, &only_ann);
    compare(
        &directory,
        "password_file users\nallow_anonymous true\nlistener PORT1 127.0.0.1\n",
        false,
        &with_anonymous,
    );
    compare(&directory, "bind_address 127.0.0.1\nport PORT1\nallow_anonymous true\n", false, &[true; 5]);
    let conf = "per_listener_settings true\nlistener PORT1 127.0.0.1\npassword_file users\nlistener PORT2 127.0.0.1\n\
                allow_anonymous true\n";
    compare(&directory, conf, true, &[only_ann, [true; 5]].concat());
    let conf = "listener PORT1 127.0.0.1\ncertfile c/server.pem\nkeyfile c/server.key\ncafile c/ca.pem\n\
                require_certificate true\nuse_identity_as_username true\n";
    compare(&directory, conf, false, &[false, false, false, false, false, true]);
    let conf = "listener PORT1 127.0.0.1\ncertfile c/server.pem\nkeyfile c/server.key\npassword_file users\n";
    compare(&directory, conf, false, &[only_ann.as_slice(), &[false]].concat());
}
