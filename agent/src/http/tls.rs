//! TLS of the client: whom to trust, and whom to be.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// The files of a client's TLS.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// The authorities to trust; the system's when absent.
    pub ca_file: Option<PathBuf>,
    /// The client's own certificate and chain.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
}

/// What rustls needs; an error is one line that names the file.
pub(super) fn config(tls: &Tls, used: bool) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    let builder = match &tls.ca_file {
        Some(path) => builder.with_root_certificates(authorities(path)?),
        None if used => builder
            .with_native_roots()
            .map_err(|error| format!("the system's certificate authorities: {error}"))?,
        None => builder.with_root_certificates(RootCertStore::empty()),
    };
    match (&tls.cert_file, &tls.key_file) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(cert), Some(key)) => {
            let chain = certificates(cert)?;
            let private = PrivateKeyDer::from_pem_file(key).map_err(named(key))?;
            builder.with_client_auth_cert(chain, private).map_err(named(key))
        }
        (Some(path), None) => Err(format!("{}: a key file must go with it", path.display())),
        (None, Some(path)) => Err(format!("{}: a certificate must go with it", path.display())),
    }
}

/// What TLS complains about, in words with a remedy; `None` when it is not about TLS.
pub(super) fn told(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    use rustls::{AlertDescription as Alert, CertificateError as Bad, Error};
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let tls = loop {
        let error = cause?;
        if let Some(found) = error.downcast_ref::<Error>() {
            break found;
        }
        // An I/O error shows its inside only by another way than the others.
        let io = error.downcast_ref::<std::io::Error>();
        let inside = io.and_then(std::io::Error::get_ref);
        cause = match inside {
            Some(inside) => Some(inside as &(dyn std::error::Error + 'static)),
            None => error.source(),
        };
    };
    let what = match tls {
        Error::InvalidCertificate(Bad::UnknownIssuer) => {
            "the server's certificate is of no authority that is trusted; set ca_file".to_owned()
        }
        Error::InvalidCertificate(Bad::NotValidForNameContext { expected, presented }) => format!(
            "the server's certificate is not for the name {} but for {}",
            expected.to_str(),
            presented.iter().map(|name| bare(name)).collect::<Vec<_>>().join(", ")
        ),
        Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
            "the server's certificate has expired".to_owned()
        }
        Error::AlertReceived(Alert::CertificateRequired) => {
            "the server asks for a certificate of the client; set cert_file and key_file".to_owned()
        }
        Error::AlertReceived(
            Alert::BadCertificate
            | Alert::UnknownCA
            | Alert::CertificateUnknown
            | Alert::CertificateExpired
            | Alert::AccessDenied,
        ) => format!("the server does not accept the certificate of cert_file ({tls})"),
        other => format!("TLS: {other}"),
    };
    Some(what)
}

/// `DnsName("a")` as `a`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').map_or(name, |(_, inner)| inner);
    inner.trim_end_matches(')').trim_matches('"')
}

/// What a broken TLS connection may mean: a server that refuses a client's certificate says so only
/// after the handshake, and what it says is lost when it hangs up at once.
pub(super) fn suspicion(tls: &Tls) -> &'static str {
    match tls.cert_file {
        Some(_) => "; perhaps the server does not accept the certificate of cert_file",
        None => {
            "; perhaps the server asks for a certificate of the client; set cert_file and key_file"
        }
    }
}

fn authorities(path: &Path) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        store.add(certificate).map_err(named(path))?;
    }
    Ok(store)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let list = CertificateDer::pem_file_iter(path).map_err(named(path))?;
    let list = list.collect::<Result<Vec<_>, _>>().map_err(named(path))?;
    if list.is_empty() {
        return Err(format!("{}: no certificate in it", path.display()));
    }
    Ok(list)
}

fn named<E: std::fmt::Display>(path: &Path) -> impl Fn(E) -> String + '_ {
    move |error| format!("{}: {error}", path.display())
}
