//! What clients send in the wire cases.
use crate::target::package;

/// What one connection sends at a time.
pub struct Sent {
    /// `A`, `A2`, `B`, …: the connection.
    pub link: String,
    pub bytes: Vec<u8>,
}

/// The cases, each with what is sent in it.
pub fn cases() -> Vec<Vec<Sent>> {
    let file = package().join("tests/data/wire-cases.csv");
    let mut reader = csv::Reader::from_path(file).expect("the wire cases are there");
    let sent = reader.headers().expect("they have a head").iter().position(|name| name == "sent").expect("a column");
    let rows = reader.records().map(|row| row.expect("the table is whole"));
    let all: Vec<Vec<Sent>> = rows
        .map(|row| row.get(sent).unwrap_or_default().split(" ; ").filter_map(step).collect())
        .filter(|case: &Vec<Sent>| !case.is_empty())
        .collect();
    assert!(all.len() > 400, "only {} wire cases could be read", all.len());
    all
}

/// What is sent in a step; nothing where it is anything but plain hexadecimal digits.
fn step(text: &str) -> Option<Sent> {
    let (link, hex) = text.split_once('>')?;
    let digits: Vec<u8> = hex.bytes().filter(|byte| *byte != b' ').collect();
    let pairs = digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    let bytes = pairs.collect::<Option<Vec<u8>>>().filter(|bytes| !bytes.is_empty())?;
    Some(Sent { link: link.trim().to_owned(), bytes })
}

/// Each connection's bytes, and each packet's.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for case in cases() {
        seeds.push(case.iter().flat_map(|sent| sent.bytes.clone()).collect());
        seeds.extend(case.into_iter().map(|sent| sent.bytes));
    }
    seeds
}
