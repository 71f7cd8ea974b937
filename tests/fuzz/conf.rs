//! A text as conf file, and as file of access rules.
use crate::target::package;
use std::cell::LazyCell;
use tempfile::TempDir;
use vowmq::access::Rules;
use vowmq::config::{Config, Sources};

thread_local! {
    static DIRECTORY: LazyCell<TempDir> = LazyCell::new(|| tempfile::tempdir().expect("a directory for conf files"));
}

pub fn run(input: &[u8]) {
    let path = DIRECTORY.with(|directory| directory.path().join("vowmq.toml"));
    std::fs::write(&path, input).expect("the conf file can be written");
    match Config::load(&Sources { file: Some(path), ..Sources::default() }) {
        Ok(config) => {
            config.warnings();
            config.to_toml();
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            assert!(mistakes.iter().all(|mistake| !mistake.what.is_empty() && !mistake.fix.is_empty()));
        }
    }
    if let Ok(text) = std::str::from_utf8(input) {
        for rules in [Rules::parse(text), Rules::parse_mosquitto(text)] {
            assert!(rules.err().is_none_or(|faults| !faults.is_empty()));
        }
    }
}

/// Each line of the example is a good setting; so are many together.
pub fn seeds() -> Vec<Vec<u8>> {
    let read = |file: &str| std::fs::read_to_string(package().join(file)).expect("the example is there");
    let example = read("conf/vowmq.toml");
    let mut seeds: Vec<_> = [&example, &read("conf/acl.example.toml"), &read("tests/histories/vowmq.toml")]
        .map(|text| text.clone().into_bytes())
        .to_vec();
    // With every setting in force and not only told of.
    let said = |line: &str| line.strip_prefix("# ").filter(|line| line.contains(" = ")).map(str::to_owned);
    let all: Vec<_> = example.lines().map(|line| said(line).unwrap_or_else(|| line.to_owned())).collect();
    seeds.push(all.join("\n").into_bytes());
    // And each part by itself, for a mutation is lost in a long text.
    for part in all.split(|line| line.starts_with('[')) {
        seeds.push(part.join("\n").into_bytes());
    }
    seeds
}
