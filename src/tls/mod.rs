//! TLS of one listener: made from its files, made anew when they change, without touching connections that are there
//! (floor 3, for MQTT and operators alike).
mod certificate;

use crate::config::{ClientCertificate, Pair, Tls, TlsVersion};
use crate::types::Text;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{RootCertStore, ServerConfig, ServerConnection, crypto};

/// The TLS of one listener.
pub struct Guard {
    place: Place,
    settings: Tls,
    current: ArcSwap<Made>,
}

struct Made {
    config: Arc<ServerConfig>,
    /// Of the files that it was made from.
    digest: Digest,
    /// Until when each of the certificates is good.
    lives: Vec<Life>,
    /// Looks at clients' certificates, where a list may revoke them.
    revoking: Option<Arc<dyn ClientCertVerifier>>,
}

/// Until when a certificate is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// Whose it is, in short.
    pub subject: String,
    /// Seconds since 1970.
    pub expires_at_s: i64,
}

/// The certificates that a client showed when it came, and when that was.
#[derive(Debug)]
pub struct Shown {
    chain: Vec<CertificateDer<'static>>,
    at: UnixTime,
    /// The files that it was found to be good by. Users: whoever asks, for a moment.
    checked: Mutex<Digest>,
}

/// Tells one state of a listener's files from another.
pub type Digest = [u8; 32];

/// Whose TLS it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `[listener.tls]`: MQTT, and HTTP for WebSocket.
    Listener,
    /// `[admin.tls]`.
    Admin,
}

impl Place {
    fn key(self) -> &'static str {
        match self {
            Self::Listener => "listener.tls",
            Self::Admin => "admin.tls",
        }
    }

    fn protocols(self) -> Vec<Vec<u8>> {
        match self {
            Self::Listener => vec![MQTT.to_vec(), HTTP.to_vec()],
            Self::Admin => vec![HTTP.to_vec()],
        }
    }

    /// A file that cannot be used: what, and what to do.
    fn told(self, key: &str, file: &Path, what: &dyn std::fmt::Display) -> String {
        format!("{}.{key}: {}: {what}; name a PEM file that can be read", self.key(), file.display())
    }
}

/// What the client and server agree to speak over TLS.
const MQTT: &[u8] = b"mqtt";
const HTTP: &[u8] = b"http/1.1";

impl Guard {
    pub fn open(settings: &Tls, place: Place) -> Result<Self, String> {
        let current = ArcSwap::from_pointee(make(settings, place)?);
        Ok(Self { place, settings: settings.clone(), current })
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load().config.clone())
    }

    /// When the first of the certificates ends, in seconds since 1970.
    pub fn expires_at_s(&self) -> Option<i64> {
        self.current.load().lives.iter().map(|life| life.expires_at_s).min()
    }

    /// Until when each of the certificates is good.
    pub fn lives(&self) -> Vec<Life> {
        self.current.load().lives.clone()
    }

    /// The state of the files that is in force.
    pub fn digest(&self) -> Digest {
        self.current.load().digest
    }

    /// What the client showed, where that may be revoked while it is there. `before` is the state of the files before its
    /// handshake began.
    pub fn shown(&self, connection: &ServerConnection, before: Digest) -> Option<Shown> {
        self.settings.crl.as_ref()?;
        let chain = connection.peer_certificates()?.iter().map(|one| one.clone().into_owned()).collect();
        Some(Shown { chain, at: UnixTime::now(), checked: Mutex::new(before) })
    }

    /// Whether a list that is in force revokes what a client showed. Nothing else is looked at: what was good when the
    /// client came may have ended, or its root be gone, without harm to who is there.
    pub fn is_revoked(&self, shown: &Shown) -> bool {
        let current = self.current.load();
        // Signatures are not worth checking again as long as nothing has changed.
        if *shown.checked.lock() == current.digest {
            return false;
        }
        let (Some(verifier), Some((own, between))) = (&current.revoking, shown.chain.split_first()) else {
            return false;
        };
        let told = verifier.verify_client_cert(own, between, shown.at);
        let is_revoked = matches!(told, Err(rustls::Error::InvalidCertificate(rustls::CertificateError::Revoked)));
        if !is_revoked {
            *shown.checked.lock() = current.digest;
        }
        is_revoked
    }

    /// The name that the client's certificate proves.
    pub fn client_name(&self, connection: &ServerConnection) -> Option<Text> {
        let certificate = connection.peer_certificates()?.first()?;
        certificate::name(certificate, self.settings.identity)
    }

    /// Whether a client must have shown a certificate that names it.
    pub fn needs_name(&self) -> bool {
        self.settings.client_certificate == ClientCertificate::Required
    }

    /// Whose TLS it is, in a word.
    pub fn place(&self) -> &'static str {
        match self.place {
            Place::Listener => "listener",
            Place::Admin => "admin",
        }
    }

    /// What it is, for the log.
    pub fn name(&self) -> String {
        format!("certificate {}", self.settings.certificate.display())
    }

    /// Every file whose change asks for a reload.
    pub fn files(&self) -> Vec<PathBuf> {
        files(&self.settings)
    }

    /// Reads all files again: either all is good and in force for the next handshake (true: something has changed), or
    /// all stays as it was.
    pub fn reload(&self) -> Result<bool, String> {
        let made = make(&self.settings, self.place)?;
        let is_changed = made.digest != self.current.load().digest;
        if is_changed {
            self.current.store(Arc::new(made));
        }
        Ok(is_changed)
    }
}

fn files(settings: &Tls) -> Vec<PathBuf> {
    let pairs = settings.certificates.iter().flat_map(|pair| [pair.certificate.clone(), pair.key.clone()]);
    let own = [settings.certificate.clone(), settings.key.clone()];
    own.into_iter().chain(pairs).chain(settings.client_ca.clone()).chain(settings.crl.clone()).collect()
}

/// Tells whether any of the files has changed. One that cannot be read is told of by whoever needs it.
fn digest(settings: &Tls) -> Digest {
    let digests = files(settings).into_iter().map(|file| Sha256::digest(std::fs::read(file).unwrap_or_default()));
    let all = digests.fold(Sha256::new(), |all, one| all.chain_update(one));
    all.finalize().into()
}

fn make(settings: &Tls, place: Place) -> Result<Made, String> {
    // Before anything is read: a change in between is noticed the next time.
    let digest = digest(settings);
    let provider = Arc::new(crypto::ring::default_provider());
    let first = Pair { certificate: settings.certificate.clone(), key: settings.key.clone() };
    let pairs = std::iter::once(&first).chain(&settings.certificates);
    let keys = pairs.map(|pair| load(pair, &provider, place)).collect::<Result<Vec<_>, _>>()?;
    let lives = keys.iter().filter_map(|named| certificate::life(named.key.cert.first()?)).collect();
    let versions = match settings.version_min {
        TlsVersion::V12 => &[&TLS13, &TLS12][..],
        TlsVersion::V13 => &[&TLS13][..],
    };
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .map_err(|error| format!("{}: {error}", place.key()))?;
    let verifier = match settings.client_certificate {
        ClientCertificate::Off => None,
        wanted => Some(verifier(settings, wanted, &provider, place)?),
    };
    let revoking = verifier.clone().filter(|_| settings.crl.is_some());
    let builder = match verifier {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(verifier),
    };
    let mut config = builder.with_cert_resolver(Arc::new(Chooser { keys }));
    config.alpn_protocols = place.protocols();
    Ok(Made { config: Arc::new(config), digest, lives, revoking })
}

fn load(pair: &Pair, provider: &CryptoProvider, place: Place) -> Result<Named, String> {
    let file = &pair.certificate;
    let chain = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| place.told("certificate", file, &error))?;
    let Some(own) = chain.first() else {
        return Err(place.told("certificate", file, &"there is no certificate in it"));
    };
    let names = certificate::dns_names(own);
    let key = PrivateKeyDer::from_pem_file(&pair.key).map_err(|error| place.told("key", &pair.key, &error))?;
    let key = provider.key_provider.load_private_key(key).map_err(|error| place.told("key", &pair.key, &error))?;
    let key = CertifiedKey::new(chain, key);
    match key.keys_match() {
        Err(error) => Err(place.told("key", &pair.key, &format!("it is not the key of {}: {error}", file.display()))),
        Ok(()) => Ok(Named { names, key: Arc::new(key) }),
    }
}

fn verifier(
    settings: &Tls,
    wanted: ClientCertificate,
    provider: &Arc<CryptoProvider>,
    place: Place,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    let file = settings.client_ca.as_deref().ok_or_else(|| format!("{}.client_ca: missing", place.key()))?;
    let certificates = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    for root in certificates.map_err(|error| place.told("client_ca", file, &error))? {
        roots.add(root).map_err(|error| place.told("client_ca", file, &error))?;
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    if let Some(file) = &settings.crl {
        let lists = CertificateRevocationListDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let lists = lists.map_err(|error| place.told("crl", file, &error))?;
        // Certificates between a client's and the root may have lists of their own, which nobody has given.
        builder = builder.with_crls(lists).only_check_end_entity_revocation();
    }
    if wanted == ClientCertificate::Optional {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map_err(|error| place.told("client_ca", file, &error))
}

#[derive(Debug)]
struct Named {
    names: Vec<String>,
    key: Arc<CertifiedKey>,
}

/// Chooses by the name that the client asks for; the first certificate is for all others.
#[derive(Debug)]
struct Chooser {
    keys: Vec<Named>,
}

impl ResolvesServerCert for Chooser {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name().map(str::to_lowercase);
        let named = asked.and_then(|asked| self.keys.iter().find(|key| key.is_for(&asked)));
        named.or(self.keys.first()).map(|named| named.key.clone())
    }
}

impl Named {
    fn is_for(&self, asked: &str) -> bool {
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            // A star stands for one label.
            Some(parent) => asked.split_once('.').is_some_and(|(_, rest)| rest == parent),
            None => name == asked,
        })
    }
}
