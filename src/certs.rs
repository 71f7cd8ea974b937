//! `vowmq certs`: certificates to try TLS with. Whoever goes public takes some that others trust.
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use time::{Duration, OffsetDateTime};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The directory for ca.pem, server.pem, server.key and so on; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "certs")]
    out: PathBuf,
    /// A further name or address of the server, beside localhost, 127.0.0.1 and ::1; as often as needed
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// A client to make a certificate for; as often as needed
    #[arg(long = "client", value_name = "NAME", default_value = "client")]
    clients: Vec<String>,
    /// Days until they expire
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: u16,
}

/// Why none were made.
#[derive(Debug, thiserror::Error)]
enum CertsError {
    #[error("{path}: {source}; choose another directory with --out, or remove what is there")]
    File { path: PathBuf, source: std::io::Error },
    #[error("{name}: {source}; choose a host name, or an address")]
    Certificate { name: String, source: rcgen::Error },
}

/// Makes them, and says where they are.
pub fn run(arguments: &Arguments) -> ExitCode {
    match make(arguments) {
        Ok(files) => {
            files.iter().for_each(|file| println!("{}", file.display()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("vowmq: {error}");
            ExitCode::FAILURE
        }
    }
}

fn make(arguments: &Arguments) -> Result<Vec<PathBuf>, CertsError> {
    let directory = &arguments.out;
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|source| CertsError::File { path: directory.clone(), source })?;
    let mut files = Files { directory, written: Vec::new() };

    let ca_key = KeyPair::generate().map_err(of("CA"))?;
    let ca = ca_params(arguments).map_err(of("CA"))?;
    let certificate = ca.self_signed(&ca_key).map_err(of("CA"))?;
    files.certificate("ca.pem", &certificate.pem())?;
    files.key("ca.key", &ca_key.serialize_pem())?;
    let issuer = Issuer::new(ca, ca_key);

    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into_iter().chain(arguments.names.clone());
    let server = params(arguments, names.collect(), "VowMQ development server", ExtendedKeyUsagePurpose::ServerAuth);
    files.pair("server", &issuer, server.map_err(of("server"))?).map_err(|error| error.unwrap_or_else(of("server")))?;
    for client in &arguments.clients {
        let own = params(arguments, vec![client.clone()], client, ExtendedKeyUsagePurpose::ClientAuth);
        files.pair(client, &issuer, own.map_err(of(client))?).map_err(|error| error.unwrap_or_else(of(client)))?;
    }
    Ok(files.written)
}

fn ca_params(arguments: &Arguments) -> Result<CertificateParams, rcgen::Error> {
    let mut ca = params_of(arguments, Vec::new(), "VowMQ development CA")?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    Ok(ca)
}

fn params(
    arguments: &Arguments,
    names: Vec<String>,
    common_name: &str,
    purpose: ExtendedKeyUsagePurpose,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = params_of(arguments, names, common_name)?;
    params.extended_key_usages = vec![purpose];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn params_of(arguments: &Arguments, names: Vec<String>, common_name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, common_name);
    // Clocks differ a little.
    let now = OffsetDateTime::now_utc() - Duration::hours(1);
    params.not_before = now;
    params.not_after = now + Duration::days(i64::from(arguments.days));
    Ok(params)
}

struct Files<'a> {
    directory: &'a Path,
    written: Vec<PathBuf>,
}

impl Files<'_> {
    fn certificate(&mut self, name: &str, pem: &str) -> Result<(), CertsError> {
        self.write(name, pem, 0o644)
    }

    fn key(&mut self, name: &str, pem: &str) -> Result<(), CertsError> {
        self.write(name, pem, 0o600)
    }

    fn pair(&mut self, name: &str, issuer: &Issuer<'_, KeyPair>, params: CertificateParams) -> Result<(), Fault> {
        let key = KeyPair::generate().map_err(Fault::Rcgen)?;
        let certificate = params.signed_by(&key, issuer).map_err(Fault::Rcgen)?;
        self.certificate(&format!("{name}.pem"), &certificate.pem()).map_err(Fault::File)?;
        self.key(&format!("{name}.key"), &key.serialize_pem()).map_err(Fault::File)
    }

    /// Nothing that is there is written over: it may be somebody's only key.
    fn write(&mut self, name: &str, text: &str, mode: u32) -> Result<(), CertsError> {
        let path = self.directory.join(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|source| CertsError::File { path: path.clone(), source })?;
        self.written.push(path);
        Ok(())
    }
}

/// For a name, what its certificate failed of.
fn of(name: &str) -> impl FnOnce(rcgen::Error) -> CertsError {
    let name = name.to_owned();
    move |source| CertsError::Certificate { name, source }
}

/// What went wrong with one pair of files.
enum Fault {
    File(CertsError),
    Rcgen(rcgen::Error),
}

impl Fault {
    fn unwrap_or_else(self, of: impl FnOnce(rcgen::Error) -> CertsError) -> CertsError {
        match self {
            Self::File(error) => error,
            Self::Rcgen(source) => of(source),
        }
    }
}
