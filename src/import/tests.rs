//! From a few lines of Mosquitto's to what is written and told.
use super::*;
use std::net::{Ipv4Addr, Ipv6Addr};

/// No name server is asked.
fn known_hosts(host: &str) -> Vec<IpAddr> {
    match host {
        "localhost" => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        "broker.example" => vec![Ipv4Addr::new(192, 0, 2, 7).into()],
        _ => Vec::new(),
    }
}

fn translated(conf: &str) -> (String, String) {
    let path = Path::new("m.conf");
    let (text, findings) = translate(path, &lines::parse(path, conf), &known_hosts);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("vowmq.toml");
    std::fs::write(&file, &text).unwrap();
    // Whatever is asked for, what is written can be used.
    assert_eq!(mistakes(&file), Vec::<String>::new(), "of {conf}:\n{text}");
    (text, findings.report())
}

fn config(conf: &str) -> Config {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("vowmq.toml");
    std::fs::write(&file, translated(conf).0).unwrap();
    Config::load(&Sources { file: Some(file), ..Sources::default() }).unwrap()
}

/// Address, whether anonymous clients are let in, and who is asked, for each listener.
fn doors(conf: &str) -> Vec<(String, bool, Vec<String>)> {
    let listeners = config(conf).listeners.into_iter();
    listeners.map(|l| (l.to_string(), l.allow_anonymous, l.authenticators.unwrap_or_default())).collect()
}

fn door(address: &str, allow_anonymous: bool, authenticators: &[&str]) -> (String, bool, Vec<String>) {
    (address.to_owned(), allow_anonymous, authenticators.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn without_a_listener_it_is_there_for_its_own_machine_only() {
    let expected = [door("127.0.0.1:1883", true, &[]), door("[::1]:1883", true, &[])];
    assert_eq!(doors(""), expected);
    // As Mosquitto 2.0 does, whatever the file says of anonymous clients.
    assert_eq!(doors("allow_anonymous false\nsys_interval 5\n"), expected);
    let expected = [door("127.0.0.1:1883", true, &["passwords"]), door("[::1]:1883", true, &["passwords"])];
    assert_eq!(doors("password_file /etc/mosquitto/pw\nacl_file /acl\n"), expected);
    assert_eq!(config("acl_file /acl\n").access.mosquitto_file, Path::new("/acl"));
}

#[test]
fn with_a_listener_nobody_is_let_in_unless_it_is_said() {
    assert_eq!(doors("listener 1883 127.0.0.1\n"), [door("127.0.0.1:1883", false, &[])]);
    assert_eq!(doors("listener 1883 127.0.0.1\nallow_anonymous true\n"), [door("127.0.0.1:1883", true, &[])]);
    assert_eq!(doors("listener 1883 127.0.0.1\npassword_file /pw\n"), [door("127.0.0.1:1883", false, &["passwords"])]);
    let (_, report) = translated("listener 1883 127.0.0.1\n");
    assert!(report.contains("m.conf:1: listener: it has no password_file and no allow_anonymous true"), "{report}");
}

#[test]
fn the_default_listener_is_there_if_anything_is_said_of_it() {
    assert_eq!(doors("port 1884\n"), [door("0.0.0.0:1884", false, &[]), door("[::]:1884", false, &[])]);
    assert_eq!(doors("bind_address 127.0.0.1\n"), [door("127.0.0.1:1883", false, &[])]);
    // Mosquitto 2.0 then listens for everybody, and lets everybody in.
    assert_eq!(doors("max_connections 5\n"), [door("0.0.0.0:1883", true, &[]), door("[::]:1883", true, &[])]);
    let both = doors("max_connections 5\nlistener 1888 127.0.0.1\n");
    assert_eq!(
        both,
        [door("0.0.0.0:1883", false, &[]), door("[::]:1883", false, &[]), door("127.0.0.1:1888", false, &[])]
    );
}

#[test]
fn addresses_names_and_sockets_become_addresses_and_sockets() {
    let all = "listener 1 localhost\nlistener 2 broker.example\nlistener 3\nsocket_domain ipv4\nlistener 4\n\
               socket_domain ipv6\nlistener 0 /run/m.sock\nlistener 5 ::1\n";
    let addresses: Vec<_> = doors(all).into_iter().map(|(address, ..)| address).collect();
    let expected = ["127.0.0.1:1", "[::1]:1", "192.0.2.7:2", "0.0.0.0:3", "[::]:4", "/run/m.sock", "[::1]:5"];
    assert_eq!(addresses, expected);
    let (text, report) = translated("listener 1883 nowhere.example\n");
    assert!(text.contains("# [[listener]]\n# address = \"nowhere.example:1883\""), "{text}");
    assert!(report.contains("m.conf:1: listener: no address was found for nowhere.example"), "{report}");
}

#[test]
fn open_listeners_stay_open_and_are_told() {
    let (text, report) = translated("listener 1883\nsocket_domain ipv4\nallow_anonymous true\n");
    assert!(text.contains("address = \"0.0.0.0:1883\"\n# It lets in everybody"), "{text}");
    assert!(report.contains("Open to others, as before:\n  0.0.0.0:1883: It lets in everybody"), "{report}");
    let (_, report) = translated("listener 1883 192.0.2.1\npassword_file /pw\n");
    assert!(report.contains("192.0.2.1:1883: Passwords and messages cross the network in the clear"), "{report}");
    let (text, report) = translated("listener 8883 192.0.2.1\npassword_file /pw\ncertfile /c\nkeyfile /k\n");
    assert!(!text.contains("i_know_this_is_open") && !report.contains("Open to others"), "{text}{report}");
}

#[test]
fn tls_with_client_certificates_is_translated() {
    let conf = "listener 8883\nsocket_domain ipv4\ncafile /ca.pem\ncertfile /c.pem\nkeyfile /k.pem\ncrlfile /crl.pem\n\
                require_certificate true\nuse_identity_as_username true\ntls_version tlsv1.3\n";
    let config = config(conf);
    let tls = config.listeners[0].tls.clone().unwrap();
    assert_eq!(
        toml::to_string(&tls).unwrap(),
        "certificate = \"/c.pem\"\nkey = \"/k.pem\"\nclient_ca = \"/ca.pem\"\nclient_certificate = \"required\"\ncrl = \"/crl.pem\"\nidentity = \"cn\"\nversion_min = \"1.3\"\n"
    );
    assert_eq!(config.listeners[0].authenticators, Some(vec!["certificates".to_owned()]));
    let authenticators = toml::to_string(&config.authenticators[0]).unwrap();
    assert_eq!(authenticators, "name = \"certificates\"\nkind = \"certificate\"\nuser_must_match = false\n");
    assert!(translated(conf).0.contains("[listener.tls]\n# m.conf:4: certfile /c.pem\ncertificate = \"/c.pem\"\n"));
}

#[test]
fn a_ca_that_nobody_is_asked_for_is_left_out() {
    let (text, report) = translated("listener 8883 127.0.0.1\ncafile /ca\ncertfile /c\nkeyfile /k\n");
    assert!(!text.contains("client_ca"), "{text}");
    assert!(report.contains("m.conf:2: cafile: says nothing without require_certificate true"), "{report}");
}

#[test]
fn what_would_protect_less_is_commented_out() {
    for (lines, why) in [
        ("psk_hint hint\npsk_file /psk\n", "pre-shared keys cannot be served"),
        ("mount_point tenant/\n", "tree of topics of their own"),
        ("bind_interface eth0\n", "names a network interface"),
        ("certfile /c\n", "one of them is missing"),
        ("require_certificate true\n", "need certfile and keyfile"),
        ("certfile /c\nkeyfile /k\nrequire_certificate true\n", "needs a cafile"),
        ("certfile /c\nkeyfile /k\nrequire_certificate true\ncapath /d\n", "client_ca is a file and not a directory"),
        (
            "certfile /c\nkeyfile /k\ncafile /a\nrequire_certificate true\nuse_subject_as_username true\n",
            "would be one user",
        ),
        ("certfile /c\nkeyfile /k\ntls_engine pkcs11\n", "has to be a PEM file"),
        ("plugin /usr/lib/x.so\n", "a plugin decides who may come in"),
        ("max_connections 0\n", "lets nobody in"),
        ("protocol mqttsn\n", "not known what protocol mqttsn is"),
    ] {
        let conf = format!("listener 1883 127.0.0.1\nallow_anonymous true\n{lines}");
        let (text, report) = translated(&conf);
        let shut = text.split("COMMENTED OUT: ").nth(1).unwrap_or_default();
        assert!(shut.lines().next().unwrap_or_default().contains(why), "of {lines}: {text}");
        assert!(text.contains("# [[listener]]\n# address = \"127.0.0.1:1883\"\n# allow_anonymous = true"), "{text}");
        assert!(report.contains("Written, but commented out"), "{report}");
        // In its place nobody is let in, where no listener at all would mean everybody of this machine.
        assert_eq!(doors(&conf), [door("127.0.0.1:1883", false, &[])], "of {lines}");
    }
}

#[test]
fn listeners_have_their_own_users_with_per_listener_settings() {
    let conf = "per_listener_settings true\nlistener 1 127.0.0.1\npassword_file /a\nlistener 2 127.0.0.1\n\
                password_file /b\nallow_anonymous true\nlistener 3 127.0.0.1\nallow_anonymous true\n\
                listener 4 127.0.0.1\npassword_file /a\n";
    let expected = [
        door("127.0.0.1:1", false, &["passwords"]),
        door("127.0.0.1:2", true, &["passwords-2"]),
        door("127.0.0.1:3", true, &[]),
        door("127.0.0.1:4", false, &["passwords"]),
    ];
    assert_eq!(doors(conf), expected);
    let (_, report) = translated("per_listener_settings true\nallow_anonymous true\nlistener 1 127.0.0.1\n");
    assert!(report.contains("m.conf:2: allow_anonymous: stands before any listener"), "{report}");
}

#[test]
fn one_file_of_rules_is_for_all_and_a_second_one_shuts_its_listener() {
    let conf = "per_listener_settings true\nlistener 1 127.0.0.1\nallow_anonymous true\nacl_file /a\n\
                listener 2 127.0.0.1\nallow_anonymous true\nacl_file /b\nlistener 3 127.0.0.1\nallow_anonymous true\n";
    let addresses: Vec<_> = doors(conf).into_iter().map(|(address, ..)| address).collect();
    assert_eq!(addresses, ["127.0.0.1:1", "127.0.0.1:3"]);
    assert_eq!(config(conf).access.mosquitto_file, Path::new("/a"));
    let (_, report) = translated(conf);
    assert!(report.contains("m.conf:7: acl_file: its acl_file /b would not count"), "{report}");
    assert!(report.contains("m.conf:8: listener: it has no acl_file, but /a now counts for it too"), "{report}");
}

#[test]
fn numbers_and_names_of_the_whole_broker_are_translated() {
    for (line, expected) in [
        ("max_packet_size 5000000", "limits.packet_bytes_max = 5000000"),
        ("max_packet_size 100", "limits.packet_bytes_max = 1024"),
        ("message_size_limit 1000", "limits.packet_bytes_max = 67559"),
        ("max_inflight_messages 5", "limits.in_flight_max = 5"),
        ("max_inflight_messages 5", "limits.receive_max = 5"),
        ("max_inflight_messages 0", "limits.in_flight_max = 65535"),
        ("max_queued_messages 500", "limits.queued_messages_max = 500"),
        ("max_queued_messages 0", "limits.queued_messages_max = 100000"),
        ("max_queued_bytes 9000", "limits.queued_bytes_max = 9000"),
        ("max_keepalive 600", "limits.keep_alive_s_max = 600"),
        ("max_keepalive 0", "limits.keep_alive_s_max = 65535"),
        ("persistent_client_expiration 14d", "limits.session_expiry_s_max = 1209600"),
        ("persistent_client_expiration 2m", "mqtt.session_expiry_311_s = 5184000"),
        ("persistent_client_expiration 900y", "limits.session_expiry_s_max = 4294967294"),
        ("retain_available false", "mqtt.retain = false"),
        ("max_qos 1", "mqtt.maximum_qos = 1"),
        ("max_topic_alias 3", "limits.topic_aliases_max = 3"),
        ("sys_interval 0", "sys.interval_s = 0"),
        ("persistence true", "persistence = true"),
        ("persistence false", "persistence = false"),
        ("persistence_location /var/lib/mosquitto/", "data_dir = \"/var/lib/vowmq\""),
        ("persistence_location /srv/mqtt", "data_dir = \"/srv/mqtt/vowmq\""),
        ("log_type error\nlog_type warning", "log.level = \"warn\""),
        ("log_type all", "log.level = \"debug\""),
        ("log_type none", "log.level = \"off\""),
        ("max_connections 7", "listener.0.connections_max = 7"),
        ("protocol websockets", "listener.0.websocket = true"),
    ] {
        let whole = toml::Value::try_from(config(&format!("listener 1883 127.0.0.1\n{line}\n"))).unwrap();
        let (path, value) = expected.split_once(" = ").unwrap();
        let found = path.split('.').try_fold(&whole, |value, key| match key.parse::<usize>() {
            Ok(index) => value.get(index),
            Err(_) => value.get(key),
        });
        assert_eq!(found.map(ToString::to_string).as_deref(), Some(value), "of {line}");
    }
}

#[test]
fn every_setting_says_where_it_is_from() {
    let (text, _) = translated("# first\nmax_queued_messages 500\nlistener 1883 127.0.0.1\npassword_file /etc/pw\n");
    assert!(text.contains("[limits]\n# m.conf:2: max_queued_messages 500\nqueued_messages_max = 500\n"), "{text}");
    assert!(text.contains("# m.conf:3: listener 1883 127.0.0.1\n[[listener]]\n"), "{text}");
    assert!(text.contains("# m.conf:4: password_file /etc/pw\nfile = \"/etc/pw\"\n"), "{text}");
}

#[test]
fn settings_of_listeners_that_are_one_here_take_the_widest_and_say_so() {
    let conf = "listener 1 127.0.0.1\nmax_qos 0\nlistener 2 127.0.0.1\nmax_qos 1\n";
    assert_eq!(config(conf).mqtt.maximum_qos, 1);
    assert!(translated(conf).1.contains("max_qos: it holds for the whole broker (mqtt.maximum_qos)"));
    assert_eq!(config("listener 1 127.0.0.1\nmax_qos 0\nlistener 2 127.0.0.1\n").mqtt.maximum_qos, 2);
}

#[test]
fn mistakes_are_told_with_their_lines_and_the_rest_is_written() {
    for (line, expected) in [
        ("max_queue_messages 5", "max_queue_messages: unknown option; did you mean max_queued_messages?"),
        ("wibble 5", "wibble: unknown option; Mosquitto 2.0 has none of this name"),
        ("persistence yes", "persistence: \"yes\" is neither true nor false; write one of them"),
        ("max_queued_messages many", "max_queued_messages: \"many\" is no whole number"),
        ("password_file", "password_file: \"\" has no value; write one behind it"),
        ("listener 70000", "listener: \"70000\" is no port from 1 to 65535"),
        ("listener\t1883", "listener\t1883: a tab does not end the name of an option"),
        (" # comment", "#: a comment has to begin in the first column"),
        ("topic a/# both", "topic: belongs to a bridge, and there is no connection line above it"),
        ("persistent_client_expiration soon", "persistent_client_expiration: \"soon\" is no number followed by"),
        ("log_type loud", "log_type: \"loud\" is no type of log message"),
        ("listener 1 127.0.0.1\ntls_version ssl3\ncertfile c\nkeyfile k", "tls_version: \"ssl3\" is no version"),
        ("listener 1 127.0.0.1\nsocket_domain ipx", "socket_domain: \"ipx\" is neither ipv4 nor ipv6"),
    ] {
        let (_, report) = translated(&format!("sys_interval 3\n{line}\n"));
        let told = report.lines().nth(1).unwrap_or_default();
        assert!(report.starts_with("Mistakes in the file, which were left out:\n"), "of {line}: {report}");
        assert!(told.starts_with("  m.conf:") && told.contains(expected), "of {line}: {report}");
    }
    assert_eq!(config("wibble 5\nsys_interval 3\n").sys.interval_s, 3);
}

#[test]
fn what_has_no_equivalent_is_told_only_if_something_special_was_asked_for() {
    for line in [
        "allow_zero_length_clientid false",
        "auto_id_prefix dev-",
        "clientid_prefixes secure-",
        "max_inflight_bytes 100",
        "memory_limit 1000000",
        "queue_qos0_messages true",
        "upgrade_outgoing_qos true",
        "http_dir /www",
        "use_username_as_clientid true",
        "plugin /usr/lib/mosquitto_dynamic_security.so",
    ] {
        let option = line.split(' ').next().unwrap();
        let (_, report) = translated(&format!("listener 1883 127.0.0.1\n{line}\n"));
        let missing = report.split("Without an equivalent:\n").nth(1).unwrap_or_default();
        assert!(missing.starts_with(&format!("  m.conf:2: {option}: ")), "of {line}: {report}");
    }
    for line in ["queue_qos0_messages false", "memory_limit 0", "allow_zero_length_clientid true"] {
        let (_, report) = translated(&format!("listener 1883 127.0.0.1\n{line}\n"));
        assert!(!report.contains("Without an equivalent"), "of {line}: {report}");
    }
}

#[test]
fn bridges_are_written_down_without_their_passwords() {
    let conf = "connection up\naddress 192.0.2.9:1883\ntopic a/# both 2 local/ remote/\nremote_username me\n\
                remote_password s3cret\nbridge_psk 00ff\nlistener 1883 127.0.0.1\n";
    let (text, report) = translated(conf);
    assert!(text.contains("#   address 192.0.2.9:1883\n#   topic a/# both 2 local/ remote/\n"), "{text}");
    assert!(!text.contains("s3cret") && !text.contains("00ff") && !report.contains("s3cret"), "{text}");
    assert!(report.contains("m.conf:1: connection up: there are no bridges"), "{report}");
}

#[test]
fn values_cannot_break_out_of_the_file() {
    let conf = "listener 1883 127.0.0.1\npassword_file /a\"]\\n[evil\u{1}]\nmount_point x\u{7}\n";
    let (text, _) = translated(conf);
    assert!(text.contains("mount_point"), "{text}");
}

#[test]
fn all_options_of_mosquitto_2_0_are_known() {
    // The names in its manual page, and the older ones of bridges.
    let names = include_str!("options.txt").lines();
    let unknown: Vec<_> = names.filter(|name| options::find(name).is_none()).collect();
    assert_eq!(unknown, Vec::<&str>::new());
}
