//! What is packaged names only metrics that there are, and is compiled with a profile that fits.
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const PROFILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/profile");

/// Every word that looks like a metric of ours.
fn metrics(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    let ours = words.filter(|word| word.starts_with("vowmq_") || word.starts_with("process_"));
    ours.map(|word| {
        ["_total", "_bucket", "_count"].iter().fold(word, |word, end| word.trim_end_matches(end)).to_owned()
    })
    .collect()
}

#[test]
fn dashboard_alerts_and_guide_name_metrics_that_there_are() {
    let read = |path: &str| std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let source = read("src/admin/metrics.rs");
    let counters = read("src/broker/counters.rs");
    // Counters that have no name of their own in the source are named after their topics.
    let topics =
        counters.split('"').map(|topic| format!("vowmq_{}", topic.trim_start_matches("vow/").replace('/', "_")));
    let known: BTreeSet<String> = metrics(&source).into_iter().chain(topics).collect();
    for path in ["packaging/grafana/vowmq.json", "packaging/prometheus/vowmq.rules.yml", "docs/OPERATE.md"] {
        let unknown: Vec<_> = metrics(&read(path)).into_iter().filter(|name| !known.contains(name)).collect();
        assert!(unknown.is_empty(), "{path}: {unknown:?}");
    }
    let dashboard: serde_json::Value = serde_json::from_str(&read("packaging/grafana/vowmq.json")).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 10);
}

/// What `packaging/profile/rustc` makes of a compiler's arguments, where the compiler says that it is `version`.
fn arguments(version: &str, profile: &str, arguments: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let (compiler, told) = (directory.path().join("compiler"), directory.path().join("version"));
    std::fs::write(&told, version).unwrap();
    let script = "#!/bin/sh\nif [ \"$1\" = -vV ]; then cat \"${0%/*}/version\"; else echo \"$@\"; fi\n";
    std::fs::write(&compiler, script).unwrap();
    std::fs::set_permissions(&compiler, std::fs::Permissions::from_mode(0o755)).unwrap();
    let wrapper = format!("{PROFILE}/rustc");
    let output = Command::new(wrapper).arg(&compiler).args(arguments).env("VOWMQ_PROFILE", profile).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn releases_are_compiled_with_the_profile_by_the_compiler_that_it_is_of() {
    let compiler = std::fs::read_to_string(format!("{PROFILE}/compiler.txt")).unwrap();
    let release = ["--crate-name", "vowmq", "-C", "opt-level=3", "-C", "metadata=a b"];
    let with = arguments(&compiler, "", &release);
    let given = with.strip_prefix(&release.join(" ")).expect("what cargo asks for comes first");
    let path = given.split_whitespace().find_map(|argument| argument.strip_prefix("-Cprofile-use=")).unwrap();
    assert!(std::fs::read(path).unwrap().starts_with(b"\xfflprofi\x81"), "an indexed profile");
    assert!(arguments(&compiler, "", &["-C", "opt-level=s", "-"]).contains("-Cprofile-use="));

    assert_eq!(arguments(&compiler, "off", &release), release.join(" "), "asked to leave it out");
    assert_eq!(arguments(&compiler.replace('1', "2"), "", &release), release.join(" "), "another compiler");
    let debug = ["--crate-name", "vowmq", "-C", "debuginfo=2"];
    assert_eq!(arguments(&compiler, "", &debug), debug.join(" "));
}

#[test]
fn the_compiler_can_read_the_profile() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source.rs");
    std::fs::write(&source, "pub fn source() {}").unwrap();
    let mut compiler = Command::new(format!("{PROFILE}/rustc"));
    compiler
        .arg("rustc")
        .args(["--crate-type", "lib", "--emit", "obj", "-C", "opt-level=3", "-o", "object"])
        .arg(&source);
    let output = compiler.current_dir(directory.path()).env_remove("VOWMQ_PROFILE").output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn the_profile_is_of_the_compiler_and_version_that_are_released() {
    let read = |name: &str| std::fs::read_to_string(format!("{PROFILE}/{name}")).unwrap();
    let compiler = read("compiler.txt");
    let release = compiler.lines().find_map(|line| line.strip_prefix("release: ")).unwrap();
    let again = "names of functions have changed: run packaging/profile/train";
    assert!(release.starts_with(concat!(env!("CARGO_PKG_RUST_VERSION"), ".")), "{again}");
    assert_eq!(read("version.txt").trim(), env!("CARGO_PKG_VERSION"), "{again}");
}
