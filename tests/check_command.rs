//! `vowmq check`: every mistake is told with its place and its fix, and what is printed is a conf file.
use std::path::Path;
use std::process::{Command, Output};

fn vowmq(arguments: &[&str], environment: &[(&str, &str)], directory: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vowmq"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("VOWMQ_")) {
        command.env_remove(name);
    }
    command.current_dir(directory).args(arguments).envs(environment.iter().copied());
    command.output().expect("the program starts")
}

/// What `vowmq check` says of a conf file, without the leading `vowmq: conf.toml: ` of each line, and the exit code.
fn mistakes(text: &str) -> (Vec<String>, Option<i32>) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("conf.toml"), text).unwrap();
    let output = vowmq(&["check", "--config", "conf.toml"], &[], directory.path());
    let told = String::from_utf8(output.stderr).unwrap();
    let lines = told.lines().map(|line| line.strip_prefix("vowmq: conf.toml: ").unwrap_or(line).to_owned());
    (lines.collect(), output.status.code())
}

#[test]
fn wrong_files_are_told_with_place_fault_and_fix() {
    for (text, expected) in [
        ("data_dri = \"d\"", "data_dri: unknown key; did you mean data_dir?"),
        ("[limits]\npacket_byte_max = 5", "limits.packet_byte_max: unknown key; did you mean limits.packet_bytes_max?"),
        (
            "[limits]\npacket_bytes_max = \"abc\"",
            "limits.packet_bytes_max: \"abc\" is not a whole number; write e.g. packet_bytes_max = 1048576",
        ),
        (
            "[limits]\nqueued_messages_max = -1",
            "limits.queued_messages_max: -1 is out of range; write e.g. queued_messages_max = 100000",
        ),
        ("[limits]\nreceive_max = 0", "limits.receive_max: 0 is out of range; choose a value from 1 to 65535"),
        (
            "[abuse]\nfailed_logins_window_s = 0",
            "abuse.failed_logins_window_s: 0 is out of range; choose a value from 1 to 31536000",
        ),
        ("[abuse]\nban_s_max = 5", "abuse.ban_s_max: 5 is out of range; choose a value from 30 to 31536000"),
        ("[mqtt]\nretain = 1", "mqtt.retain: 1 is neither true nor false; write e.g. retain = true"),
        ("[mqtt]\nmaximum_qos = 3", "mqtt.maximum_qos: 3 is out of range; choose a value from 0 to 2"),
        (
            "[mqtt]\nshared_strategy = \"best\"",
            "mqtt.shared_strategy: \"best\" is not one of the values to choose from; choose round_robin, least_in_flight, sticky, random",
        ),
        (
            "[log]\nlevel = \"=loud=\"",
            "log.level: \"=loud=\" is no log level; choose error, warn, info, debug, trace or off",
        ),
        (
            "[log]\nlevel = \"loud\"",
            "log.level: \"loud\" is no log level; choose error, warn, info, debug, trace or off",
        ),
        ("persistence = \"yes\"", "persistence: \"yes\" is neither true nor false; write e.g. persistence = true"),
        (
            "[[listener]]\naddress = \"localhost\"",
            "listener.address: \"localhost\" is not an address and port; write e.g. address = \"127.0.0.1:1883\" and allow_anonymous = true",
        ),
        (
            "[[listener]]\nallow_anonymous = true",
            "listener.address: missing; write e.g. address = \"127.0.0.1:1883\" and allow_anonymous = true",
        ),
        ("[[listener]]\nadress = \"127.0.0.1:1883\"", "listener.adress: unknown key; did you mean listener.address?"),
        (
            "[[listener]]\naddress = \"0.0.0.0:1883\"\nallow_anonymous = true",
            "listener.allow_anonymous: 0.0.0.0:1883 would let anybody in from anywhere; set it to false, listen on 127.0.0.1 or [::1], or set i_know_this_is_open = true",
        ),
        (
            "[[listener]]\naddress = \"0.0.0.0:1883\"",
            "listener.tls: 0.0.0.0:1883 would send passwords and messages over the network in the clear; add [listener.tls], listen on 127.0.0.1 or [::1], or set i_know_this_is_open = true",
        ),
        (
            "[[listener]]\naddress = \"127.0.0.1:1883\"\nunix = \"s\"",
            "listener.unix: 127.0.0.1:1883 has an address and a Unix socket; write a [[listener]] for each",
        ),
        (
            "[[listener]]\nunix = \"s\"\nunix_mode = \"rw\"",
            "listener.unix_mode: \"rw\" is no mode of a file; write octal digits, e.g. unix_mode = \"0660\"",
        ),
        (
            "[[listener]]\naddress = \"127.0.0.1:1883\"\nproxy_protocol = true",
            "listener.proxy_trusted: empty, so that nobody could connect; name the networks of the proxies, e.g. proxy_trusted = [\"10.0.0.0/8\"]",
        ),
        (
            "[[listener]]\naddress = \"127.0.0.1:1883\"\nproxy_trusted = [\"ten\"]",
            "listener.proxy_trusted: [\"ten\"] is not a list of networks; write e.g. proxy_trusted = [\"10.0.0.0/8\"]",
        ),
        (
            "[[listener]]\naddress = \"127.0.0.1:1883\"\nwebsocket = true\nwebsocket_path = \"mqtt\"",
            "listener.websocket_path: no path of a URL; begin it with a slash, e.g. websocket_path = \"/mqtt\"",
        ),
        (
            "[[listener]]\naddress = \"127.0.0.1:8883\"\n[listener.tls]\nkey = \"k\"",
            "listener.tls.certificate: missing; write e.g. certificate = \"certs/server.pem\"",
        ),
        (
            "[[listener]]\naddress = \"127.0.0.1:8883\"\n[listener.tls]\ncertificate = \"c\"\nkye = \"k\"",
            "listener.tls.kye: unknown key; did you mean listener.tls.key?",
        ),
        (
            "[[listener]]\naddress = \"127.0.0.1:8883\"\n[listener.tls]\ncertificate = \"c\"\nkey = \"k\"\nclient_certificate = \"yes\"",
            "listener.tls.client_certificate: \"yes\" is not one of the values to choose from; write e.g. client_certificate = \"required\"; off, optional and required are there to choose from",
        ),
        (
            "[[listener]]\naddress = \"127.0.0.1:8883\"\n[listener.tls]\ncertificate = \"c\"\nkey = \"k\"\nclient_certificate = \"required\"",
            "listener.tls.client_ca: missing, though client certificates are asked for; name the file of the roots that client certificates come from, e.g. client_ca = \"certs/ca.pem\"",
        ),
        (
            "[[listener]]\naddress = \"127.0.0.1:1\"\n[[listener]]\naddress = \"127.0.0.1:1\"",
            "listener.address: 127.0.0.1:1 is there twice; give each listener an address of its own",
        ),
        ("[queue]\nage_s_max = -1", "queue.age_s_max: -1 is out of range; write e.g. age_s_max = 0"),
        ("[queue]\nage_s_max = \"1h\"", "queue.age_s_max: \"1h\" is not a whole number; write e.g. age_s_max = 0"),
        (
            "[queue]\ndead_letter_topic = \"dead/#\"",
            "queue.dead_letter_topic: \"dead/#\" is no topic, or ends with a slash; write e.g. dead_letter_topic = \"$dead\", or \"\" for none",
        ),
        (
            "[queue]\ndead_letter_topic = \"$SYS/dead\"",
            "queue.dead_letter_topic: \"$SYS/dead\" has a meaning already; write e.g. dead_letter_topic = \"$dead\", or \"\" for none",
        ),
        ("[queue]\nfilter = 5", "queue.filter: 5 is not a list of tables; write [[queue.filter]] above its settings"),
        ("[queue]\nfilter = [5]", "queue.filter: not a table; write [[queue.filter]] above its settings"),
    ] {
        let (told, code) = mistakes(text);
        assert_eq!(told, [expected], "{text}");
        assert_eq!(code, Some(2), "{text}");
    }
}

#[test]
fn wrong_admin_settings_are_told_with_place_fault_and_fix() {
    for (settings, expected) in [
        (
            "address = \"here\"",
            "admin.address: \"here\" is not an address and port; write e.g. address = \"127.0.0.1:18883\", or \"\" for none",
        ),
        (
            "anonymous = \"all\"",
            "admin.anonymous: \"all\" is not one of the values to choose from; choose nothing, metrics, read",
        ),
        (
            "address = \"0.0.0.0:18883\"",
            "admin.address: 0.0.0.0:18883 would send tokens over the network in the clear; add [admin.tls], listen on 127.0.0.1 or [::1], or set admin.i_know_this_is_open = true",
        ),
        (
            "[admin.tls]\nkey = \"k.pem\"",
            "admin.tls.certificate: missing; write e.g. certificate = \"certs/server.pem\"",
        ),
        (
            "[admin.tls]\ncertificate = \"c.pem\"\nkey = \"k.pem\"\ncertificat = \"x\"",
            "admin.tls.certificat: unknown key; did you mean admin.tls.certificate?",
        ),
        (
            "[admin.tls]\ncertificate = \"c.pem\"\nkey = \"k.pem\"\nclient_certificate = \"required\"",
            "admin.tls.client_ca: missing, though client certificates are asked for; name the file of the roots that client certificates come from, e.g. client_ca = \"certs/ca.pem\"",
        ),
        ("connections_max = 0", "admin.connections_max: 0 is out of range; choose a value from 1 to 100000"),
        ("token = 1", "admin.token: 1 is not a list of tables; write [[admin.token]] above its settings"),
        (
            "[[admin.token]]\nname = \"a\"\nrole = \"root\"",
            "admin.token.role: neither \"read\" nor \"admin\"; write role = \"read\"",
        ),
        (
            "[[admin.token]]\nname = \"a\"\nrole = \"read\"",
            "admin.token: \"a\" needs one of file and env; write e.g. file = \"/run/secrets/vowmq-read\"",
        ),
        (
            "[[admin.token]]\nname = \"a\"\nrole = \"read\"\nsecret = \"x\"",
            "admin.token.secret: unknown key; choose among name, role, file, env",
        ),
        (
            "[[admin.token]]\nname = \"a\"\nrole = \"read\"\nenv = \"VOWMQ_TOKEN\"",
            "admin.token.env: variables that begin with VOWMQ_ are settings, which `vowmq check` prints; choose another name, e.g. env = \"ADMIN_TOKEN\"",
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("wrong.toml"), format!("[admin]\n{settings}\n")).unwrap();
        let output = vowmq(&["check", "--config", "wrong.toml"], &[], directory.path());
        assert_eq!(String::from_utf8(output.stderr).unwrap(), format!("vowmq: wrong.toml: {expected}\n"));
        assert_eq!(output.status.code(), Some(2));
    }
}

#[test]
fn wrong_queue_filters_are_told_with_place_fault_and_fix() {
    for (entry, expected) in [
        ("messages_max = 1", "filter: missing; write e.g. filter = \"telemetry/#\""),
        ("filter = 1", "filter: 1 is not a text in quotes; write e.g. filter = \"telemetry/#\""),
        (
            "filter = \"a/#/b\"\nmessages_max = 1",
            "filter: \"a/#/b\" is no topic filter; write a filter as clients subscribe with, e.g. filter = \"telemetry/#\"",
        ),
        (
            "filter = \"$share/g/a\"\nmessages_max = 1",
            "filter: \"$share/g/a\" is a shared subscription, and not a set of topics; leave out $share and the name behind it",
        ),
        ("filter = \"a\"", "filter: \"a\" has no limit; set messages_max, bytes_max or age_s_max"),
        (
            "filter = \"a\"\nmesages_max = 1",
            "mesages_max: unknown key; choose among filter, messages_max, bytes_max, age_s_max, on_full",
        ),
        (
            "filter = \"a\"\nmessages_max = \"many\"",
            "messages_max: \"many\" is not a whole number; write e.g. messages_max = 1000",
        ),
        ("filter = \"a\"\nbytes_max = -1", "bytes_max: -1 is out of range; write e.g. bytes_max = 1048576"),
        (
            "filter = \"a\"\nage_s_max = 4294967296",
            "age_s_max: 4294967296 is out of range; write e.g. age_s_max = 3600",
        ),
        (
            "filter = \"a\"\nmessages_max = 0",
            "messages_max: 0 would take no message at all; choose at least 1, or leave it out for no limit",
        ),
        (
            "filter = \"a\"\nmessages_max = 1\non_full = \"drop\"",
            "on_full: \"drop\" is not one of the values to choose from; choose refuse, drop_newest",
        ),
        (
            "filter = \"a\"\nmessages_max = 1\non_full = \"drop_oldest\"",
            "on_full: drop_oldest is for whole queues only; choose refuse, drop_newest",
        ),
        (
            "filter = \"a\"\nmessages_max = 1\n[queue]\non_full = \"drop_oldest\"",
            "on_full: missing, and queue.on_full = \"drop_oldest\" is for whole queues only; choose refuse, drop_newest",
        ),
        (
            "filter = \"a\"\nage_s_max = 1\n[[queue.filter]]\nfilter = \"a\"\nage_s_max = 2",
            "filter: \"a\" is there twice; keep one of them; the first that matches decides",
        ),
    ] {
        // TOML takes a table that was opened by one of its parts only before that part.
        let text = match entry.split_once("[queue]\n") {
            Some((entry, general)) => format!("[queue]\n{general}\n[[queue.filter]]\n{entry}"),
            None => format!("[[queue.filter]]\n{entry}"),
        };
        let (told, code) = mistakes(&text);
        assert_eq!(told, [format!("queue.filter.{expected}")], "{text}");
        assert_eq!(code, Some(2), "{text}");
    }
}

#[test]
fn queue_filters_are_taken_and_printed_again() {
    let directory = tempfile::tempdir().unwrap();
    let text = "[queue]\ndead_letter_topic = \"$dead\"\nage_s_max = 60\n\
        [[queue.filter]]\nfilter = \"telemetry/#\"\nmessages_max = 10\non_full = \"drop_newest\"\n\
        [[queue.filter]]\nfilter = \"alarms/+\"\nage_s_max = 0\n";
    std::fs::write(directory.path().join("conf.toml"), text).unwrap();
    let first = vowmq(&["check", "--config", "conf.toml"], &[], directory.path());
    assert_eq!(String::from_utf8(first.stderr).unwrap(), "");
    std::fs::write(directory.path().join("again.toml"), &first.stdout).unwrap();
    let second = vowmq(&["check", "--config", "again.toml"], &[], directory.path());
    let printed = String::from_utf8(second.stdout).unwrap();
    assert_eq!(printed, String::from_utf8(first.stdout).unwrap());
    for line in
        ["filter = \"telemetry/#\"", "messages_max = 10", "filter = \"alarms/+\"", "dead_letter_topic = \"$dead\""]
    {
        assert!(printed.contains(line), "{line}: {printed}");
    }
}

#[test]
fn a_syntax_error_is_told_with_its_line() {
    let (told, code) = mistakes("[limits]\npacket_bytes_max = = 5\n");
    assert!(told.len() == 1 && told.first().is_some_and(|line| line.starts_with("line 2: ")), "{told:?}");
    assert_eq!(code, Some(2));
}

#[test]
fn an_unreadable_file_is_told_by_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let output = vowmq(&["check", "--config", "nowhere.toml"], &[], directory.path());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.starts_with("vowmq: nowhere.toml: No such file"), "{told}");
    assert!(told.trim_end().ends_with("name a file that can be read with --config"), "{told}");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once() {
    let (told, _) = mistakes("data_dri = 1\n[mqtt]\nretain = 5\n[lmits]\nx = 1\n");
    assert_eq!(told.len(), 3, "{told:?}");
}

#[test]
fn later_layers_win_and_their_mistakes_are_told_by_their_names() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("conf.toml"), "data_dir = \"file\"\n[limits]\nreceive_max = 5\n").unwrap();
    let variables = [("VOWMQ_LIMITS__RECEIVE_MAX", "6"), ("VOWMQ_DATA_DIR", "variable")];
    let output = vowmq(&["check", "--config", "conf.toml", "--data-dir", "flag"], &variables, directory.path());
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("data_dir = \"flag\"") && printed.contains("receive_max = 6"), "{printed}");

    let output = vowmq(&["check"], &[("VOWMQ_LIMITS__RECEIVE_MAX", "many")], directory.path());
    let told = String::from_utf8(output.stderr).unwrap();
    let expected = "vowmq: VOWMQ_LIMITS__RECEIVE_MAX: limits.receive_max: \"many\" is not a whole number; write e.g. receive_max = 1024\n";
    assert_eq!(told, expected);
    let output = vowmq(&["check", "--listen", "here"], &[], directory.path());
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told, "vowmq: --listen: listen: \"here\" is no address; write e.g. 127.0.0.1:1883\n");
}

#[test]
fn what_check_prints_is_a_conf_file_with_the_same_settings() {
    let directory = tempfile::tempdir().unwrap();
    let first = vowmq(&["check", "--listen", "127.0.0.1:2883"], &[], directory.path());
    assert_eq!(first.status.code(), Some(0));
    std::fs::write(directory.path().join("again.toml"), &first.stdout).unwrap();
    let second = vowmq(&["check", "--config", "again.toml"], &[], directory.path());
    assert_eq!(String::from_utf8(first.stdout).unwrap(), String::from_utf8(second.stdout).unwrap());
}

#[test]
fn wrong_authenticators_are_told_with_place_fault_and_fix() {
    let one = |settings: &str| format!("[[authenticator]]\nname = \"a\"\n{settings}\n");
    let jwt = "kind = \"jwt\"\nalgorithm = \"ES256\"";
    let http = |url: &str| format!("kind = \"http\"\nurl = \"{url}\"");
    let listener = "[[listener]]\naddress = \"127.0.0.1:1883\"\nauthenticators = ";
    let kinds = "choose password_file, certificate, jwt, http, scram";
    for (text, expected) in [
        ("authenticator = 1".to_owned(), "authenticator: 1 is not a list of tables; write [[authenticator]] above its settings".to_owned()),
        (one(""), format!("authenticator.kind: missing; {kinds}")),
        (one("kind = \"magic\""), format!("authenticator.kind: \"magic\" is not one of the values to choose from; {kinds}")),
        (one("kind = \"password_file\""), "authenticator.file: missing; write e.g. file = \"/etc/vowmq/users\"".into()),
        (one("kind = \"password_file\"\nflie = \"x\""), "authenticator.flie: unknown key; did you mean authenticator.file?".into()),
        (one("kind = \"certificate\"\nuser_must_match = 1"), "authenticator.user_must_match: 1 is neither true nor false; write e.g. user_must_match = true".into()),
        ("[[authenticator]]\nkind = \"certificate\"".into(), "authenticator.name: missing; write e.g. name = \"staff\"".into()),
        ("[[authenticator]]\nname = \"a b\"\nkind = \"certificate\"".into(), "authenticator.name: \"a b\" is no name; use letters, digits, - and _".into()),
        (one("kind = \"certificate\"").repeat(2), "authenticator.name: \"a\" is there twice; give each authenticator a name of its own".into()),
        (one(jwt), "authenticator.key_file: no key is named; write e.g. key_file = \"/etc/vowmq/jwt.pem\", or jwks_file for a JSON Web Key Set".into()),
        (one(&format!("{jwt}\nkey_file = \"a\"\njwks_file = \"b\"")), "authenticator.jwks_file: there is a key_file too; keep one of them".into()),
        (one("kind = \"jwt\"\nalgorithm = \"none\""), "authenticator.algorithm: \"none\" is not one of the values to choose from; choose HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA".into()),
        (one(&format!("{jwt}\nleeway_s = -1")), "authenticator.leeway_s: -1 is out of range; write e.g. leeway_s = 30".into()),
        (one(&http("ftp://x")), "authenticator.url: \"ftp://x\" is no address of a web service; write e.g. url = \"https://auth.example.com/mqtt\"".into()),
        (one(&format!("{}\ntimeout_ms = 0", http("https://x"))), "authenticator.timeout_ms: 0 is out of range; choose a value from 1 to 600000".into()),
        (format!("{listener}[\"b\"]"), "listener.authenticators: there is no authenticator \"b\"; write an [[authenticator]] with this name".into()),
        (format!("{listener}[\"b\"]\n{}", one("kind = \"certificate\"")), "listener.authenticators: there is no authenticator \"b\"; choose among a".into()),
        (format!("{listener}true"), "listener.authenticators: true is no list of names; write e.g. authenticators = [\"staff\", \"devices\"]".into()),
        ("[authentication]\nthreads = 0".into(), "authentication.threads: 0 is out of range; choose a value from 1 to 1024".into()),
    ] {
        assert_eq!(mistakes(&text), (vec![expected], Some(2)), "{text}");
    }
    let (told, _) = mistakes(&one(&http("https://ann:hunter2@x")));
    assert!(told[0].starts_with("authenticator.url: it holds a user and a password") && !told[0].contains("hunter2"));
}

#[test]
fn files_of_authenticators_are_looked_at() {
    let settings = "[[authenticator]]\nname = \"a\"\nkind = \"password_file\"\nfile = \"none\"";
    let (told, code) = mistakes(settings);
    assert_eq!(
        (told.last().unwrap().as_str(), code),
        ("vowmq: authenticator \"a\": none: No such file or directory (os error 2)", Some(2))
    );
}

#[test]
fn passwords_in_the_open_are_warned_of() {
    let settings = |url: &str| format!("[[authenticator]]\nname = \"a\"\nkind = \"http\"\nurl = \"{url}\"");
    let (told, code) = mistakes(&settings("http://auth.example.com:8080/x"));
    assert!(
        told[0].contains("warning: authenticator.url: a sends passwords over http://auth.example.com:8080/x"),
        "{told:?}"
    );
    assert_eq!(code, Some(0));
    for quiet in ["https://auth.example.com/x", "http://127.0.0.1:8080", "http://[::1]/", "http://localhost/x"] {
        assert_eq!(mistakes(&settings(quiet)), (vec![], Some(0)), "{quiet}");
    }
}

/// conf/vowmq.toml shows every setting; uncommented, its defaults are the program's.
#[test]
fn the_conf_file_shows_every_setting_with_its_default() {
    let shown = include_str!("../conf/vowmq.toml");
    let is_setting = |line: &str| {
        let key = line.split(" = ").next().unwrap_or_default();
        line.contains(" = ") && key.chars().all(|letter| letter.is_ascii_lowercase() || "_0123456789".contains(letter))
    };
    let uncommented: Vec<_> =
        shown.lines().map(|line| line.strip_prefix("# ").filter(|rest| is_setting(rest)).unwrap_or(line)).collect();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("all.toml"), uncommented.join("\n")).unwrap();
    let all = vowmq(&["check", "--config", "all.toml"], &[], directory.path());
    assert_eq!(String::from_utf8(all.stderr).unwrap(), "");
    let defaults = vowmq(&["check"], &[], directory.path());
    let defaults = String::from_utf8(defaults.stdout).unwrap();
    assert_eq!(String::from_utf8(all.stdout).unwrap(), defaults);
    for line in defaults.lines().filter(|line| line.contains(" = ")) {
        assert!(uncommented.contains(&line), "conf/vowmq.toml does not show {line}");
    }
}

#[test]
fn packets_that_could_not_be_stored_are_warned_of() {
    let directory = tempfile::tempdir().unwrap();
    let large = ("VOWMQ_LIMITS__PACKET_BYTES_MAX", "20000000");
    let output = vowmq(&["check"], &[large], directory.path());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.starts_with("vowmq: warning: limits.packet_bytes_max: of 20000000 bytes only"), "{told}");
    assert_eq!(output.status.code(), Some(0));
    let output = vowmq(&["check"], &[large, ("VOWMQ_PERSISTENCE", "false")], directory.path());
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

/// A directory with a conf file that names a file of rules.
fn with_rules(rules: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("conf.toml"), "[access]\nfile = \"acl.toml\"\n").unwrap();
    std::fs::write(directory.path().join("acl.toml"), rules).unwrap();
    directory
}

#[test]
fn wrong_access_rules_are_told_with_file_rule_fault_and_fix() {
    let rules = "[[rule]]\nallow = \"publish\"\ntopics = [\"a/%x\"]\n\n[[rule]]\ntopics = [\"a\"]\n";
    let directory = with_rules(rules);
    let output = vowmq(&["check", "--config", "conf.toml"], &[], directory.path());
    let told = String::from_utf8(output.stderr).unwrap();
    let expected = "vowmq: acl.toml: rule 1 (line 1): topics: \"a/%x\" has a % that begins no placeholder; write %c, %u or \
                    %{claim.NAME}, or %% for a percent sign\nvowmq: acl.toml: rule 2 (line 5): it neither allows nor \
                    denies; write e.g. allow = \"publish\"\n";
    assert_eq!((told.as_str(), output.status.code()), (expected, Some(2)));
    std::fs::remove_file(directory.path().join("acl.toml")).unwrap();
    let output = vowmq(&["check", "--config", "conf.toml"], &[], directory.path());
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("vowmq: acl.toml: "));
    assert_eq!(output.status.code(), Some(2));
    let both = "[access]\nfile = \"a\"\nmosquitto_file = \"b\"";
    let what = "access.mosquitto_file: set together with access.file, and one file of rules is all there may be; keep \
                one of the two";
    assert_eq!(mistakes(both), (vec![what.to_owned()], Some(2)));
}

#[test]
fn one_question_of_access_is_answered_with_the_rule_that_decides() {
    let directory = with_rules(include_str!("../conf/acl.example.toml"));
    for (question, expected, code) in [
        ("--user device-7 --client-id d7 publish devices/d7/out/x", "allowed: by rule 4 (line 23) of acl.toml", 0),
        ("--user device-7 --client-id d7 publish devices/d8/out/x", "denied: no rule of acl.toml allows all of it", 1),
        ("--user ann subscribe users/+/secret", "denied: by rule 3 (line 18) of acl.toml", 1),
        ("--user ann subscribe users/ann/#", "denied: by rule 3 (line 18) of acl.toml, which denies a part of it", 1),
        ("--group operators --user ann subscribe $SYS/#", "allowed: by rule 1 (line 6) of acl.toml", 0),
        ("--group operators --user ann publish $SYS/x", "denied: $SYS belongs to the broker", 1),
        ("--address 10.1.2.3 subscribe public/x", "allowed: by rule 7 (line 40) of acl.toml", 0),
        (
            "--user ann --claim tenant=acme --qos 2 publish tenants/acme/x",
            "allowed: by rule 6 (line 34) of acl.toml",
            0,
        ),
    ] {
        let arguments: Vec<&str> =
            ["access", "test", "--config", "conf.toml"].into_iter().chain(question.split(' ')).collect();
        let output = vowmq(&arguments, &[], directory.path());
        let told = String::from_utf8(output.stdout).unwrap();
        assert_eq!((told.trim_end(), output.status.code()), (expected, Some(code)), "{question}");
    }
}

#[test]
fn every_rule_in_the_documentation_is_legal() {
    let mut found = 0;
    for example in include_str!("../docs/ACCESS.md").split("```toml\n").skip(1) {
        let example = example.split("```").next().unwrap();
        if example.contains("[[rule]]") {
            vowmq::access::Rules::parse(example).unwrap_or_else(|faults| panic!("{faults:?} in {example}"));
            found += 1;
        }
    }
    assert_eq!(found, 4);
}
