//! What a start reads: records of the log whose checksums are right and whose content need not be, and the lines of an
//! export. Either is refused, or a broker begins with it, serves what it holds, and leaves it as it can be read again.
use crate::house::House;
use crate::mutation::Mutator;
use crate::script;
use crate::session;
use std::convert::Infallible;
use std::sync::Arc;
use vowmq::dump;
use vowmq::store::DurableStore;
use vowmq::store::cold::MemoryCold;
use vowmq::store::log::fault::FaultFiles;
use vowmq::store::log::{self, Group, Lsn};

/// The first byte of an input says what the rest is.
const RECORDS: u8 = 0;
const LINES: u8 = 1;
/// Bytes of one record; what a group holds besides does not matter here.
const RECORD_BYTES_MAX: usize = 16 << 10;
/// The settings of the broker that begins: rules for some topics make it read whole queues.
const KIND: u8 = 0x81;

pub fn run(input: &[u8]) {
    let Some((form, rest)) = input.split_first() else { return };
    let (files, cold) = (Arc::new(FaultFiles::new(1, 4096)), Arc::new(MemoryCold::default()));
    let is_written = if form & 1 == RECORDS { write(rest, &files) } else { import(rest, &files, &cold) };
    if !is_written {
        return;
    }
    let Some(mut house) = House::begin(KIND, files, cold) else { return };
    house.serve_and_export();
}

/// Writes records as a store does, each in a group of its own.
fn write(mut rest: &[u8], files: &Arc<FaultFiles>) -> bool {
    let opened = log::open(files.clone(), House::log_options(), Lsn::START, |_, _| Ok::<(), Infallible>(()));
    let (mut log, _) = opened.expect("a new log can be made");
    while let [high, low, tail @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(tail.len()).min(RECORD_BYTES_MAX);
        let (record, tail) = tail.split_at(length);
        let mut group = Group::new();
        group.push(record);
        log.append(&mut group).expect("memory has room");
        rest = tail;
    }
    log.close().expect("memory has room");
    true
}

/// False if it was refused: then nothing may be made of it.
fn import(text: &[u8], files: &Arc<FaultFiles>, cold: &Arc<MemoryCold>) -> bool {
    let opened = DurableStore::open_with(files.clone(), cold.clone(), House::store_options());
    let (mut store, _) = opened.expect("a new store can be made");
    let is_read = dump::read(text, &mut store).is_ok();
    store.close().expect("memory has room");
    is_read
}

/// What some of the wire cases leave on disk, in both forms.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for mut input in script::seeds() {
        input[0] |= 1;
        let (records, lines) = session::play(&input).kept();
        // Most leave nothing.
        if !records.is_empty() {
            seeds.push([&[RECORDS], &written(&records)[..]].concat());
            seeds.push([&[LINES], &lines[..]].concat());
        }
    }
    assert!(seeds.len() > 100, "only {} wire cases leave something on disk", seeds.len() / 2);
    seeds
}

fn written(records: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for record in records {
        let length = u16::try_from(record.len()).expect("the wire cases are small");
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(record);
    }
    out
}

/// Mutates whole records or lines, and bytes within them.
pub fn mutate(mutator: &mut Mutator, seeds: &[Vec<u8>]) -> Vec<u8> {
    let form = if mutator.below(3) == 0 { LINES } else { RECORDS };
    let alike: Vec<&Vec<u8>> =
        seeds.iter().filter(|seed| seed.first().is_some_and(|first| first & 1 == form)).collect();
    let (mut parts, others) = (split(mutator.pick::<&Vec<u8>>(&alike)), split(mutator.pick::<&Vec<u8>>(&alike)));
    for _ in 0..=mutator.below(4) {
        let at = mutator.below(parts.len() + 1);
        match mutator.below(5) {
            0 => parts.splice(at..at, others.iter().cloned()).for_each(drop),
            1 if at < parts.len() => drop(parts.remove(at)),
            2 if at < parts.len() => parts.insert(mutator.below(at + 1), parts[at].clone()),
            _ if at < parts.len() => mutator.damage(&mut parts[at], &others),
            _ => {}
        }
    }
    let body = if form == RECORDS { written_short(&parts) } else { parts.concat() };
    [&[form], &body[..]].concat()
}

fn written_short(parts: &[Vec<u8>]) -> Vec<u8> {
    let short: Vec<_> = parts.iter().map(|part| part[..part.len().min(RECORD_BYTES_MAX)].to_vec()).collect();
    written(&short)
}

/// The records or lines of an input.
fn split(input: &[u8]) -> Vec<Vec<u8>> {
    let Some((form, mut rest)) = input.split_first() else { return Vec::new() };
    if form & 1 == LINES {
        return rest.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    }
    let mut records = Vec::new();
    while let [high, low, tail @ ..] = rest {
        let (record, tail) = tail.split_at(usize::from(u16::from_be_bytes([*high, *low])).min(tail.len()));
        records.push(record.to_vec());
        rest = tail;
    }
    records
}
