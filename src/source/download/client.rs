//! The HTTP client, and the requests that need no file.

use std::error::Error as _;
use std::io;
use std::path::Path;
use std::time::Duration;

use reqwest::{Certificate, Response, Url};

use super::DownloadError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const READ_TIMEOUT: Duration = Duration::from_mins(1);
/// Checksums and version markers are a line each.
const LONGEST_TEXT: usize = 4096;

/// The client for all downloads: proxies of the environment, certificates of the system and those of the bundle
/// that `SSL_CERT_FILE` names.
pub fn client() -> Result<reqwest::Client, DownloadError> {
    client_with(std::env::var_os("SSL_CERT_FILE").as_deref().map(Path::new))
}

/// Like [`client`], with the bundle of certificates given. The system's own are found by the platform's
/// verifier, which knows `SSL_CERT_FILE` on Linux only, and passes over a file that is not there.
pub fn client_with(bundle: Option<&Path>) -> Result<reqwest::Client, DownloadError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("local-cluster/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT);
    if let Some(path) = bundle.filter(|path| !path.as_os_str().is_empty()) {
        builder = builder.tls_certs_merge(certificates(path)?);
    }
    builder.build().map_err(DownloadError::Client)
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, DownloadError> {
    let unreadable = |source| DownloadError::Bundle {
        path: path.to_owned(),
        source,
    };
    let pem = std::fs::read(path).map_err(|error| unreadable(error.into()))?;
    let certificates =
        Certificate::from_pem_bundle(&pem).map_err(|error| unreadable(error.into()))?;
    if certificates.is_empty() {
        return Err(unreadable("no certificate in it".into()));
    }
    Ok(certificates)
}

/// Fetches a short text once, without any second try.
pub(in crate::source) async fn text(
    client: &reqwest::Client,
    url: &str,
    item: &str,
    timeout: Duration,
) -> Result<String, DownloadError> {
    let request = client.get(url).timeout(timeout);
    let mut response = successful(send(request, url, item).await?, url, item)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|source| no_answer(source, url, item))?
    {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > LONGEST_TEXT {
            return Err(DownloadError::TooLong {
                item: item.to_owned(),
                url: shown(url),
            });
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Sends a request; an answer of any status will do.
pub(super) async fn send(
    request: reqwest::RequestBuilder,
    url: &str,
    item: &str,
) -> Result<Response, DownloadError> {
    request
        .send()
        .await
        .map_err(|source| no_answer(source, url, item))
}

pub(super) fn successful(
    response: Response,
    url: &str,
    item: &str,
) -> Result<Response, DownloadError> {
    let code = response.status();
    if code.is_success() {
        return Ok(response);
    }
    Err(DownloadError::Status {
        item: item.to_owned(),
        url: shown(url),
        code,
    })
}

fn no_answer(source: reqwest::Error, url: &str, item: &str) -> DownloadError {
    // The URL is in our own message, without its secrets.
    let source = source.without_url();
    let (item, url) = (item.to_owned(), shown(url));
    if !source.is_connect() {
        DownloadError::Answer { item, url, source }
    } else if is_refused(&source) {
        DownloadError::Refused { item, url, source }
    } else {
        DownloadError::Connect { item, url, source }
    }
}

fn is_refused(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && error.kind() == io::ErrorKind::ConnectionRefused
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A URL as it may be shown: user, password and query (signatures are there) left out.
pub(in crate::source) fn shown(url: &str) -> String {
    let Ok(mut parsed) = Url::parse(url) else {
        return url.to_owned();
    };
    // These fail for URLs that cannot have a user, which is what is wanted.
    let _ = parsed.set_username("");
    let _ = parsed.set_password(None);
    parsed.set_query(None);
    parsed.set_fragment(None);
    parsed.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_must_be_there_and_hold_certificates() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let empty = directory.path().join("empty.pem");
        std::fs::write(&empty, "nothing").unwrap();
        for path in [empty, directory.path().join("missing.pem")] {
            let error = client_with(Some(&path)).unwrap_err();
            assert!(matches!(error, DownloadError::Bundle { .. }), "{error}");
        }
    }

    #[test]
    fn shown_urls_carry_no_secrets() {
        let url = "https://me:secret@mirror.example/release/kubeadm?signature=secret#there";
        assert_eq!(shown(url), "https://mirror.example/release/kubeadm");
        assert_eq!(shown("no url"), "no url");
    }
}
