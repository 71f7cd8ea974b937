//! The documents hold together: their links lead somewhere, the book names all of them, and docs/CONFIGURATION.md is what
//! the code and conf/vowmq.toml say. `WRITE_DOCUMENTS=1 cargo test --test documents` writes that one anew, and the part of the
//! book that names docs/adr.
#[allow(dead_code, reason = "other tests look at more of the sources")]
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use vowmq::config::{Config, Effect};

const HEAD: &str = "\
# Configuration

Every setting with its default, when a change of it counts, and what it means. This page is made from the code and from
conf/vowmq.toml: `cargo test --test documents` fails when it is out of date, and `WRITE_DOCUMENTS=1 cargo test --test
documents` writes it anew.

Later sources win: defaults, the conf file, environment variables (`VOWMQ_LIMITS__PACKET_BYTES_MAX` sets
`limits.packet_bytes_max`), flags (`--data-dir`, `--listen`, `--log-level`, `--log-format`). `vowmq check --config FILE` names
mistakes and prints what is in force. `vowmq ctl reload`, SIGHUP, or a change of the file puts changes in force:

- *at once*: for everything from then on;
- *for new clients*: for clients that connect from then on; those who are there keep what they were told;
- *at the next start*: until then the old value holds, and each reload says so.

[Changing settings while it runs](OPERATE.md#changing-settings-while-it-runs) has more about it, [Limits](LIMITS.md) what
happens at each limit.
";

/// What conf/vowmq.toml says of one key.
#[derive(Default)]
struct Said {
    text: Vec<String>,
    /// Lines that show how an entry is written.
    example: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The comments above each key, by its full name.
fn said(conf: &str) -> BTreeMap<String, Said> {
    let (mut section, mut gathered, mut all) = (String::new(), Said::default(), BTreeMap::new());
    for line in conf.lines() {
        if let Some(name) = line.strip_prefix('[').filter(|line| !line.starts_with('[')) {
            section = format!("{}.", name.trim_end_matches(']'));
            gathered = Said::default();
        } else if let Some(comment) = line.strip_prefix("# ") {
            match comment.split_once(" = ") {
                Some((key, _))
                    if key.chars().all(|letter| letter.is_ascii_lowercase() || "_0123456789".contains(letter)) =>
                {
                    all.insert(format!("{section}{key}"), std::mem::take(&mut gathered));
                }
                _ => match comment.strip_prefix("  ") {
                    Some(example) => gathered.example.push(example.to_owned()),
                    None => gathered.text.push(comment.to_owned()),
                },
            }
        } else if line == "#" {
            gathered.example.push(String::new());
        } else {
            gathered = Said::default();
        }
    }
    all
}

fn effect(key: &str) -> &'static str {
    match Config::effect(key) {
        Effect::AtOnce => "at once",
        Effect::ForNewClients => "for new clients",
        Effect::AtRestart => "at the next start",
    }
}

fn reference() -> String {
    let (mut page, mut section) = (HEAD.to_owned(), None);
    let said = said(&read(&root().join("conf/vowmq.toml")));
    let mut keys = Config::default().keys();
    // Tables of entries have pages of their own.
    keys.retain(|(key, _)| key != "listener");
    keys.sort_by_key(|(key, _)| (key.contains('.'), key.rsplit_once('.').map(|(table, _)| table.to_owned())));
    for (key, default) in keys {
        let (table, name) = key.rsplit_once('.').unwrap_or(("", &key));
        if section.as_deref() != Some(table) {
            let title = if table.is_empty() { "At the top".to_owned() } else { format!("[{table}]") };
            writeln!(page, "\n## {title}").unwrap();
            section = Some(table.to_owned());
        }
        let told = said.get(&key).unwrap_or_else(|| panic!("conf/vowmq.toml says nothing of {key}"));
        writeln!(page, "\n`{name} = {default}` (*{}*)\n", effect(&key)).unwrap();
        told.text.iter().for_each(|line| writeln!(page, "{line}").unwrap());
        if !told.example.is_empty() {
            writeln!(page, "\n```toml\n{}\n```", told.example.join("\n")).unwrap();
        }
    }
    page.push_str("\n## [[listener]]\n\nSee [Listeners](LISTENERS.md). (*at once*, listener by listener)\n");
    page
}

#[test]
fn the_reference_of_settings_is_up_to_date() {
    let (path, fresh) = (root().join("docs/CONFIGURATION.md"), reference());
    if std::env::var_os("WRITE_DOCUMENTS").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == fresh, "out of date; WRITE_DOCUMENTS=1 cargo test --test documents writes it anew");
}

/// All documents: those of the book, those on why, and those at the root.
fn documents() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = ["README.md", "CHANGELOG.md"].map(|name| root().join(name)).to_vec();
    for directory in ["docs", "docs/adr"] {
        let entries = std::fs::read_dir(root().join(directory)).unwrap().map(|entry| entry.unwrap().path());
        found.extend(entries.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    }
    found.sort();
    found
}

/// Where the links of a page lead, code taken out.
fn links(text: &str) -> Vec<String> {
    let mut is_code = false;
    let prose = text.lines().filter(|line| {
        is_code ^= line.trim_start().starts_with("```");
        !is_code
    });
    let prose: Vec<_> = prose.map(|line| line.split('`').step_by(2).collect::<Vec<_>>().join("``")).collect();
    let prose = prose.join("\n");
    let ends = prose.match_indices("](").filter_map(|(at, _)| prose[at + 2..].split_once(')'));
    ends.map(|(link, _)| link.to_owned()).collect()
}

/// The names by which the headings of a page are linked to.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings =
        text.lines().filter_map(|line| line.strip_prefix('#').map(|rest| rest.trim_start_matches('#').trim()));
    let anchor = |heading: &str| {
        let kept =
            heading.to_lowercase().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
        kept.replace(' ', "-")
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut broken = Vec::new();
    for page in documents() {
        let text = read(&page);
        for link in links(&text).into_iter().filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let is_there = target.exists() && (anchor.is_empty() || anchors(&read(&target)).contains(anchor));
            if !is_there {
                broken.push(format!("{}: {link}", page.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_book_names_every_document_and_no_other() {
    let docs = root().join("docs");
    if std::env::var_os("WRITE_DOCUMENTS").is_some() {
        write_decisions(&docs);
    }
    let named: BTreeSet<PathBuf> = links(&read(&docs.join("SUMMARY.md"))).iter().map(|link| docs.join(link)).collect();
    let missing: Vec<_> = named.iter().filter(|path| !path.is_file()).collect();
    assert!(missing.is_empty(), "SUMMARY.md names what is not there: {missing:?}");
    let written: BTreeSet<PathBuf> = documents().into_iter().filter(|path| path.starts_with(&docs)).collect();
    let unnamed: Vec<_> =
        written.iter().filter(|path| !named.contains(*path) && !path.ends_with("SUMMARY.md")).collect();
    assert!(unnamed.is_empty(), "SUMMARY.md does not name {unnamed:?}");
    assert!(read(&docs.join("book.toml")).contains("src = \".\""), "the book is made where the pages are");
}

/// Writes the part of the book that names why it is so: all that follows the page on how it is built.
fn write_decisions(docs: &Path) {
    const BEFORE: &str = "- [Architecture](ARCHITECTURE.md)\n";
    let (path, decisions) = (docs.join("SUMMARY.md"), docs.join("adr"));
    let mut book = read(&path).split_once(BEFORE).expect("it names the page on how it is built").0.to_owned();
    book.push_str(BEFORE);
    for page in documents().into_iter().filter(|page| page.starts_with(&decisions)) {
        let text = read(&page);
        let title = text.lines().next().and_then(|line| line.split_once(". ")).expect("# NUMBER. TITLE").1;
        writeln!(book, "- [{title}](adr/{})", page.file_name().unwrap().to_str().unwrap()).unwrap();
    }
    std::fs::write(path, book).unwrap();
}

#[test]
fn every_limit_is_in_the_page_of_limits() {
    let page = read(&root().join("docs/LIMITS.md"));
    let is_limit = |key: &str| key.starts_with("limits.") || key.ends_with("_max");
    let keys = Config::default().keys().into_iter().map(|(key, _)| key).filter(|key| is_limit(key));
    let missing: Vec<_> = keys.filter(|key| !page.contains(&format!("`{key}`"))).collect();
    assert!(missing.is_empty(), "docs/LIMITS.md says nothing of {missing:?}");
}

#[test]
fn every_test_named_against_hostile_input_exists() {
    let files = source::rust_files("src").into_iter().chain(source::rust_files("tests"));
    let sources: String = files.map(|path| read(&path)).collect();
    let page = read(&root().join("docs/HOSTILE.md"));
    let is_plain =
        |text: &str| text.chars().all(|letter| letter.is_ascii_lowercase() || "_0123456789".contains(letter));
    let named: BTreeSet<_> = page.split('`').filter(|text| text.contains('_') && is_plain(text)).collect();
    assert!(named.len() > 50, "{named:?}");
    let missing: Vec<_> = named.iter().filter(|name| !sources.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "docs/HOSTILE.md names tests that are not there: {missing:?}");
}
