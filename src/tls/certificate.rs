//! What certificates say: whose they are, for which names, and until when.
use super::Life;
use crate::config::CertificateName;
use crate::types::Text;
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// The name of a client's certificate, which its TLS handshake has proved.
pub(super) fn name(certificate: &CertificateDer<'_>, which: CertificateName) -> Option<Text> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let found = match which {
        CertificateName::Cn => {
            let mut names = parsed.subject().iter_common_name();
            let name = names.next()?.as_str().ok()?.to_owned();
            // Which of two names is meant would be a guess.
            names.next().is_none().then_some(name)
        }
        CertificateName::San => alternative_names(&parsed).into_iter().next(),
    };
    Text::try_from(found?.as_str()).ok()
}

/// The DNS names that a server's certificate is for, in small letters.
pub(super) fn dns_names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(extension)) = parsed.subject_alternative_name() else { return Vec::new() };
    let names = extension.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_lowercase()),
        _ => None,
    });
    names.collect()
}

/// Characters of a subject that are told.
const SUBJECT_CHARS_MAX: usize = 64;

/// From when on a certificate is worth nothing, and whose it is: by its common name or, without one, its first DNS name.
pub(super) fn life(certificate: &CertificateDer<'_>) -> Option<Life> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let common = parsed.subject().iter_common_name().find_map(|name| name.as_str().ok());
    let subject = common.map(str::to_owned).or_else(|| alternative_names(&parsed).into_iter().next());
    let subject = subject.unwrap_or_default().chars().take(SUBJECT_CHARS_MAX).collect();
    Some(Life { subject, expires_at_s: parsed.validity().not_after.timestamp() })
}

fn alternative_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let names = extension.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => Some((*name).to_owned()),
        _ => None,
    });
    names.collect()
}
