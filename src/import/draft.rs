//! The vowmq.toml that is being written: settings with comments that say where each comes from.
use super::lines::Place;
use std::fmt::Write;
use toml::Value;

/// A line of a table.
#[derive(Debug, Clone)]
pub struct Entry {
    pub key: &'static str,
    pub value: Value,
    /// Lines above it, without `#`.
    pub comments: Vec<String>,
}

impl Entry {
    pub fn new(key: &'static str, value: impl Into<Value>, comment: impl Into<String>) -> Self {
        Self { key, value: value.into(), comments: vec![comment.into()] }
    }

    /// A setting that follows from an option of Mosquitto's.
    pub fn from(key: &'static str, value: impl Into<Value>, place: &Place, option: &str, said: &str) -> Self {
        Self::new(key, value, format!("{place}: {option} {said}"))
    }

    /// A setting that needs no comment beside its listener's.
    pub fn plain(key: &'static str, value: impl Into<Value>) -> Self {
        Self { key, value: value.into(), comments: Vec::new() }
    }
}

/// One `[[listener]]`.
#[derive(Debug, Clone, Default)]
pub struct Block {
    pub comments: Vec<String>,
    pub entries: Vec<Entry>,
    pub tls: Vec<Entry>,
    /// Why it is commented out, if it is.
    pub shut: Vec<String>,
}

/// One `[[authenticator]]`.
#[derive(Debug, Clone)]
pub struct Proof {
    pub name: String,
    pub entries: Vec<Entry>,
}

#[derive(Debug, Default)]
pub struct Draft {
    /// Lines at the head of the file.
    pub head: Vec<String>,
    pub top: Vec<Entry>,
    /// By the name of the table.
    pub tables: Vec<(&'static str, Vec<Entry>)>,
    pub proofs: Vec<Proof>,
    pub listeners: Vec<Block>,
    /// Lines at the end of the file.
    pub tail: Vec<String>,
}

impl Draft {
    pub fn put(&mut self, table: &'static str, entry: Entry) {
        match self.tables.iter_mut().find(|(name, _)| *name == table) {
            Some((_, entries)) => entries.push(entry),
            None => self.tables.push((table, vec![entry])),
        }
    }

    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        comment(&mut text, "", &self.head);
        write_entries(&mut text, "", &self.top);
        for (name, entries) in &self.tables {
            let _ = writeln!(text, "\n[{name}]");
            write_entries(&mut text, "", entries);
        }
        for proof in &self.proofs {
            text.push_str("\n[[authenticator]]\n");
            write_entries(&mut text, "", &[Entry::plain("name", proof.name.clone())]);
            write_entries(&mut text, "", &proof.entries);
        }
        self.listeners.iter().for_each(|block| block.write(&mut text));
        if self.listeners.iter().all(|block| !block.shut.is_empty()) {
            let why = "Nobody is let in until a listener above is set right: then take this one out.";
            text.push('\n');
            comment(&mut text, "", &[why.to_owned()]);
            text.push_str("[[listener]]\naddress = \"127.0.0.1:1883\"\nallow_anonymous = false\n");
            if !self.proofs.is_empty() {
                text.push_str("authenticators = []\n");
            }
        }
        if !self.tail.is_empty() {
            text.push('\n');
            comment(&mut text, "", &self.tail);
        }
        text
    }
}

impl Block {
    fn write(&self, text: &mut String) {
        let mark = if self.shut.is_empty() { "" } else { "# " };
        text.push('\n');
        comment(text, "", &self.comments);
        for why in &self.shut {
            comment(text, "", &[format!("COMMENTED OUT: {why}")]);
        }
        let _ = writeln!(text, "{mark}[[listener]]");
        write_entries(text, mark, &self.entries);
        if !self.tls.is_empty() {
            let _ = writeln!(text, "{mark}[listener.tls]");
            write_entries(text, mark, &self.tls);
        }
    }
}

fn write_entries(text: &mut String, mark: &str, entries: &[Entry]) {
    for Entry { key, value, comments } in entries {
        comment(text, mark, comments);
        let _ = writeln!(text, "{mark}{key} = {value}");
    }
}

/// Control characters, which TOML forbids in comments, are left out.
fn comment(text: &mut String, mark: &str, lines: &[String]) {
    for line in lines {
        let line: String = line.chars().filter(|letter| !letter.is_control()).collect();
        let _ = writeln!(text, "{mark}# {line}");
    }
}
