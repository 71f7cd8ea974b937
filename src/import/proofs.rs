//! Passwords, certificates and access rules: which listener asks for what.
use super::draft::{Block, Draft, Entry, Proof};
use super::finding::{Findings, Weight};
use super::sections::{Given, Mosquitto, Section};
use toml::Value;

const CERTIFICATES: &str = "certificates";

/// What is needed by the listeners written so far.
pub struct Proofs<'a> {
    mosquitto: &'a Mosquitto,
    /// File and where it is from.
    passwords: Vec<Given>,
    has_certificates: bool,
    /// The one file of rules there can be.
    rules: Option<Given>,
}

impl<'a> Proofs<'a> {
    pub fn new(mosquitto: &'a Mosquitto) -> Self {
        let given = |section: &Section| mosquitto.security(section).last("acl_file").cloned();
        let rules = mosquitto.global.last("acl_file").cloned().or_else(|| mosquitto.listeners.iter().find_map(given));
        Self { mosquitto, passwords: Vec::new(), has_certificates: false, rules }
    }

    /// Writes what the listeners of a Mosquitto without any ask for: whoever gives a user has to prove it all the same.
    pub fn choose_without_listener(&mut self, block: &mut Block) {
        let names: Vec<String> =
            self.mosquitto.global.last("password_file").map(|given| self.password_file(given)).into_iter().collect();
        block.entries.push(Entry::plain("authenticators", names));
    }

    /// Writes what a listener asks for.
    pub fn choose(&mut self, section: &Section, anonymous: bool, findings: &mut Findings, block: &mut Block) {
        let security = self.mosquitto.security(section);
        let names_by_certificate = section.settings.is_true("use_identity_as_username");
        let mut names = Vec::new();
        if names_by_certificate {
            self.has_certificates = true;
            names.push(CERTIFICATES.to_owned());
        } else if let Some(given) = security.last("password_file") {
            names.push(self.password_file(given));
        }
        let is_served = !names.is_empty() || anonymous || !block.shut.is_empty();
        if !is_served {
            let text = "it has no password_file and no allow_anonymous true, so that nobody is let in, as before";
            findings.add(Weight::Differs, Some(&section.place), "listener", text);
        }
        block.entries.push(Entry::plain("authenticators", names));
        self.rules_of(section, security.last("acl_file"), findings, block);
    }

    fn password_file(&mut self, given: &Given) -> String {
        let index = self.passwords.iter().position(|known| known.value == given.value).unwrap_or_else(|| {
            self.passwords.push(given.clone());
            self.passwords.len() - 1
        });
        password_name(index)
    }

    /// There is one file of rules for all listeners.
    fn rules_of(&self, section: &Section, own: Option<&Given>, findings: &mut Findings, block: &mut Block) {
        match (own, &self.rules) {
            (Some(own), Some(chosen)) if own.value != chosen.value => {
                let why = format!(
                    "its acl_file {} would not count, as there is one file of rules for all listeners; put both into one \
                     (docs/ACCESS.md)",
                    own.value
                );
                findings.add(Weight::Missing, Some(&own.place), "acl_file", why.clone());
                block.shut.push(why);
            }
            (None, Some(chosen)) => {
                let text = format!("it has no acl_file, but {} now counts for it too", chosen.value);
                findings.add(Weight::Differs, Some(&section.place), "listener", text);
            }
            (Some(_), _) | (None, None) => {}
        }
    }

    pub fn end(self, draft: &mut Draft) {
        if let Some(Given { place, value }) = &self.rules {
            draft.put("access", Entry::from("mosquitto_file", value.clone(), place, "acl_file", value));
        }
        for (index, Given { place, value }) in self.passwords.iter().enumerate() {
            let file = Entry::from("file", value.clone(), place, "password_file", value);
            let entries = vec![Entry::plain("kind", "password_file"), file];
            draft.proofs.push(Proof { name: password_name(index), entries });
        }
        if self.has_certificates {
            let comment = "use_identity_as_username: the user is who the certificate names, whatever CONNECT says.";
            let entries = vec![Entry::plain("kind", "certificate"), Entry::new("user_must_match", false, comment)];
            draft.proofs.push(Proof { name: CERTIFICATES.to_owned(), entries });
        }
        // Without any there is nothing to choose from.
        if draft.proofs.is_empty() {
            let is_empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
            for block in &mut draft.listeners {
                block.entries.retain(|entry| entry.key != "authenticators" || !is_empty(&entry.value));
            }
        }
    }
}

fn password_name(index: usize) -> String {
    if index == 0 { "passwords".to_owned() } else { format!("passwords-{}", index + 1) }
}
