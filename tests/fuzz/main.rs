//! Inputs that nobody means well with: saved ones and mutations of them, for the decoder, the conf file and a running broker.
//!
//! `FUZZ_SECONDS=3600 FUZZ_SEED=7 cargo test --release --test fuzz -- --nocapture` goes on for longer, and elsewhere. An
//! input that is found to do harm goes into tests/fuzz/corpus, and is replayed from then on.
#[path = "../common/mod.rs"]
mod common;
mod live;
mod mutation;

use mutation::Mutator;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use vowmq::codec::{self, Limits};
use vowmq::config::{Config, Sources};
use vowmq::packet::Version;

const VERSIONS: [Option<Version>; 4] = [None, Some(Version::V31), Some(Version::V311), Some(Version::V5)];

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// How long each target goes on.
fn duration() -> Duration {
    Duration::from_secs(std::env::var("FUZZ_SECONDS").ok().and_then(|value| value.parse().ok()).unwrap_or(5))
}

fn seed() -> u64 {
    std::env::var("FUZZ_SEED").ok().and_then(|value| value.parse().ok()).unwrap_or(1)
}

/// What clients send in the wire cases, one input for each connection.
pub fn seeds() -> Vec<Vec<u8>> {
    let file = package().join("tests/data/wire-cases.csv");
    let mut reader = csv::Reader::from_path(file).expect("the wire cases are there");
    let sent = reader.headers().expect("they have a head").iter().position(|name| name == "sent").expect("a column");
    let mut all = Vec::new();
    for row in reader.records() {
        let row = row.expect("the table is whole");
        let steps = row.get(sent).unwrap_or_default().split(" ; ");
        let bytes: Vec<u8> = steps.filter_map(|step| step.split_once("> ")).flat_map(|(_, hex)| bytes(hex)).collect();
        if !bytes.is_empty() {
            all.push(bytes);
        }
    }
    assert!(all.len() > 400, "only {} wire cases could be read", all.len());
    all
}

/// The bytes of plain hexadecimal digits; nothing where there is anything else.
fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| *byte != b' ').collect();
    let pairs =
        digits.chunks(2).map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()));
    pairs.collect::<Option<Vec<u8>>>().unwrap_or_default()
}

/// Inputs that once did harm.
fn corpus() -> Vec<(PathBuf, Vec<u8>)> {
    let directory = package().join("tests/fuzz/corpus");
    let entries = std::fs::read_dir(directory).expect("the corpus is there");
    let files = entries.map(|entry| entry.expect("a directory being read stays there").path());
    files.map(|path| (path.clone(), std::fs::read(&path).expect("the corpus can be read"))).collect()
}

fn limits() -> Limits {
    Limits {
        packet_bytes_max: 4096,
        connect_bytes_max: 2048,
        user_properties_max: 16,
        topic_bytes_max: 512,
        topic_levels_max: 32,
    }
}

/// Cuts the input into packets as a connection does, and decodes each. Whatever can be decoded can be encoded, and is the
/// same packet again.
fn decode_all(input: &[u8], version: Option<Version>) {
    let limits = limits();
    let mut rest = bytes::Bytes::copy_from_slice(input);
    while let Ok(Some(length)) = codec::frame_len(&rest, version, &limits) {
        assert!(length > 0 && length <= limits.packet_bytes_max.max(limits.connect_bytes_max) + 5, "{length} bytes");
        if length > rest.len() {
            return;
        }
        let frame = rest.split_to(length);
        let Ok(packet) = codec::decode(frame, version, &limits) else { return };
        let spoken = match &packet {
            vowmq::packet::Packet::Connect(connect) => connect.version,
            _ => version.unwrap_or(Version::V5),
        };
        let mut out = bytes::BytesMut::new();
        // What only servers send, and what a version has no form for, may be refused here.
        if codec::encode(&packet, spoken, &mut out).is_ok() {
            let again = codec::decode(out.freeze(), version, &Limits { packet_bytes_max: 1 << 20, ..limits.clone() });
            assert_eq!(again.as_ref().ok(), Some(&packet), "encoded and decoded again");
        }
    }
}

/// Runs a target on an input; a panic names the input.
fn run(input: &[u8], target: impl Fn(&[u8]) + std::panic::RefUnwindSafe) {
    if std::panic::catch_unwind(|| target(input)).is_err() {
        let mut hex = String::new();
        input.iter().for_each(|byte| write!(hex, "{byte:02x}").expect("text can be written to"));
        panic!("this input does harm, put it into tests/fuzz/corpus: {hex}");
    }
}

#[test]
fn the_decoder_takes_anything_and_what_it_takes_it_can_write() {
    let target = |input: &[u8]| VERSIONS.into_iter().for_each(|version| decode_all(input, version));
    let seeds = seeds();
    let saved: Vec<_> = corpus().into_iter().map(|(_, input)| input).collect();
    seeds.iter().chain(&saved).for_each(|input| run(input, target));
    let (mut mutator, begun, mut count) = (Mutator::new(seed()), Instant::now(), 0_u64);
    while begun.elapsed() < duration() {
        for _ in 0..1000 {
            run(&mutator.mutate(&seeds), target);
        }
        count += 1000;
    }
    println!("decoder: {count} inputs");
}

#[test]
fn a_conf_file_gives_settings_or_mistakes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vowmq.toml");
    let files = ["conf/vowmq.toml", "conf/acl.example.toml", "tests/histories/vowmq.toml"];
    let mut seeds: Vec<_> = files.iter().map(|file| std::fs::read(package().join(file)).unwrap()).collect();
    // With every setting in force and not only told of.
    let all = String::from_utf8(seeds[0].clone()).unwrap();
    seeds.push(
        all.lines().map(|line| line.strip_prefix("# ").filter(|line| line.contains(" = ")).unwrap_or(line)).fold(
            Vec::new(),
            |mut text, line| {
                text.extend_from_slice(line.as_bytes());
                text.push(b'\n');
                text
            },
        ),
    );
    let target = |input: &[u8]| {
        std::fs::write(&path, input).unwrap();
        let sources = Sources { file: Some(path.clone()), ..Sources::default() };
        if let Err(mistakes) = Config::load(&sources) {
            assert!(!mistakes.is_empty());
            assert!(mistakes.iter().all(|mistake| !mistake.what.is_empty() && !mistake.fix.is_empty()));
        }
    };
    let target = std::panic::AssertUnwindSafe(target);
    let (mut mutator, begun, mut count) = (Mutator::new(seed()), Instant::now(), 0_u64);
    while begun.elapsed() < duration() {
        run(&mutator.mutate(&seeds), |input| (*target)(input));
        count += 1;
    }
    println!("conf file: {count} inputs");
}

#[test]
fn a_running_broker_serves_others_whatever_is_sent_to_it() {
    live::run(&seeds(), seed(), duration());
}
