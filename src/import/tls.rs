//! TLS of a listener: certificates, who has to show one, and whose name counts.
use super::draft::{Block, Entry};
use super::finding::{Findings, Weight};
use super::sections::{Given, Section, Settings};

struct Tls<'a> {
    settings: &'a Settings,
    findings: &'a mut Findings,
    block: &'a mut Block,
}

pub fn translate(section: &Section, security: &Settings, findings: &mut Findings, block: &mut Block) {
    let mut tls = Tls { settings: &section.settings, findings, block };
    if tls.keys(security) {
        tls.engine();
        tls.version();
        tls.clients();
        tls.names();
    }
}

impl Tls<'_> {
    fn shut(&mut self, given: &Given, option: &str, why: &str) {
        self.block.shut.push(why.to_owned());
        self.findings.add(Weight::Missing, Some(&given.place), option, why);
    }

    /// Whether there is a certificate with its key.
    fn keys(&mut self, security: &Settings) -> bool {
        if let Some(given) = self.settings.last("psk_hint").or_else(|| security.last("psk_file")) {
            let why = "clients with pre-shared keys cannot be served; give it a certificate (vowmq certs), and clients a \
                       password or a certificate of their own";
            // Keys for all are no reason to shut listeners that do not use them.
            if self.settings.last("psk_hint").is_some() {
                self.shut(&given.clone(), "psk_hint", why);
            } else {
                self.findings.add(Weight::Missing, Some(&given.place), "psk_file", why);
            }
        }
        match (self.settings.last("certfile"), self.settings.last("keyfile")) {
            (Some(certificate), Some(key)) => {
                for (name, option, given) in [("certificate", "certfile", certificate), ("key", "keyfile", key)] {
                    let entry = Entry::from(name, given.value.clone(), &given.place, option, &given.value);
                    self.block.tls.push(entry);
                }
                true
            }
            (Some(given), None) | (None, Some(given)) => {
                let why = "certfile and keyfile go together, and one of them is missing";
                self.block.shut.push(why.to_owned());
                self.findings.add(Weight::Mistake, Some(&given.place), "certfile", why);
                false
            }
            (None, None) => {
                self.without_certificate();
                false
            }
        }
    }

    fn without_certificate(&mut self) {
        const IDLE: [&str; 7] = [
            "cafile",
            "capath",
            "crlfile",
            "require_certificate",
            "use_identity_as_username",
            "use_subject_as_username",
            "tls_version",
        ];
        for option in IDLE {
            if let Some(given) = self.settings.last(option).filter(|given| given.value != "false") {
                let text = "says nothing without certfile and keyfile";
                self.findings.add(Weight::Needless, Some(&given.place), option, text);
            }
        }
        // It asks for what only TLS can give, so that it must not be served without.
        if self.settings.is_true("require_certificate") {
            self.block
                .shut
                .push("require_certificate asks for certificates, which need certfile and keyfile".to_owned());
        }
    }

    fn engine(&mut self) {
        let engine = self.settings.last("tls_engine");
        let form = self.settings.last("tls_keyform").filter(|given| given.value == "engine");
        if let Some(given) = engine.or(form).cloned() {
            let why = "keys in an engine of OpenSSL cannot be used; key has to be a PEM file";
            self.shut(&given, "tls_engine", why);
        }
    }

    fn version(&mut self) {
        let Some(given) = self.settings.last("tls_version") else { return };
        let version = match given.value.as_str() {
            "tlsv1.3" => "1.3",
            "tlsv1.2" => "1.2",
            "tlsv1.1" | "tlsv1" => {
                let text = "TLS 1.2 is the least that is spoken; older clients cannot connect";
                self.findings.add(Weight::Missing, Some(&given.place), "tls_version", text);
                return;
            }
            other => {
                let text = format!("\"{other}\" is no version; choose tlsv1.2 or tlsv1.3");
                return self.findings.add(Weight::Mistake, Some(&given.place), "tls_version", text);
            }
        };
        let entry = Entry::from("version_min", version, &given.place, "tls_version", &given.value);
        self.block.tls.push(entry);
    }

    fn clients(&mut self) {
        let settings = self.settings;
        if !settings.is_true("require_certificate") {
            for option in ["cafile", "capath", "crlfile"] {
                if let Some(given) = settings.last(option) {
                    let text = "says nothing without require_certificate true: clients are not asked for a certificate";
                    self.findings.add(Weight::Needless, Some(&given.place), option, text);
                }
            }
            return;
        }
        let required = settings.last("require_certificate").map(|given| {
            Entry::from("client_certificate", "required", &given.place, "require_certificate", &given.value)
        });
        self.block.tls.extend(required);
        match (settings.last("cafile"), settings.last("capath")) {
            (Some(file), directory) => {
                let entry = Entry::from("client_ca", file.value.clone(), &file.place, "cafile", &file.value);
                self.block.tls.push(entry);
                if let Some(given) = directory {
                    let text = "there is one file for all roots; append those of this directory to client_ca";
                    self.findings.add(Weight::Missing, Some(&given.place), "capath", text);
                }
            }
            (None, Some(directory)) => {
                let path = format!("{}/all.pem", directory.value.trim_end_matches('/'));
                let why =
                    format!("client_ca is a file and not a directory; make it with cat {}/*.pem", directory.value);
                self.shut(&directory.clone(), "capath", &why);
                let entry = Entry::from("client_ca", path, &directory.place, "capath", &directory.value);
                self.block.tls.push(entry);
            }
            (None, None) => self.block.shut.push("require_certificate needs a cafile to check them with".to_owned()),
        }
        if let Some(given) = settings.last("crlfile") {
            let entry = Entry::from("crl", given.value.clone(), &given.place, "crlfile", &given.value);
            self.block.tls.push(entry);
        }
    }

    fn names(&mut self) {
        if self.settings.is_true("use_identity_as_username") {
            let Some(given) = self.settings.last("use_identity_as_username") else { return };
            let entry = Entry::from("identity", "cn", &given.place, "use_identity_as_username", &given.value);
            self.block.tls.push(entry);
        } else if self.settings.is_true("use_subject_as_username") {
            let Some(given) = self.settings.last("use_subject_as_username").cloned() else { return };
            let why = "use_subject_as_username makes the whole subject the user, and here it is the common name (identity = \
                       \"cn\") or a name of the Subject Alternative Name (\"san\"); two subjects with one common name would \
                       be one user. Choose, and write the names in access rules accordingly";
            self.shut(&given, "use_subject_as_username", why);
        }
    }
}
