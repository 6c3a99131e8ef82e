//! Downloads that can be broken off at any moment: resumed, checked, and there as a whole or not at all.

mod client;
mod error;
mod part;
#[cfg(test)]
pub(super) mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Response, StatusCode};
use tokio_util::sync::CancellationToken;

pub use super::digest::Expected;
pub use client::{client, client_with};
pub use error::DownloadError;

pub(super) use client::{shown, text};

use super::digest::read_into;
use client::{send, successful};
use part::Part;

/// What is wanted, from where, and where to.
#[derive(Debug, Clone)]
pub struct Download {
    /// From where.
    pub url: String,
    /// Where it shall be in the end; it grows in `<file>.part`.
    pub file: PathBuf,
    /// What it must have.
    pub expected: Expected,
    /// What it is, for people: `kubeadm`.
    pub item: String,
}

/// Told of each piece: how many bytes are there, and how many there will be where the server says it.
pub type Progress<'a> = &'a (dyn Fn(u64, Option<u64>) + Send + Sync);

/// When to try again what may pass: a broken connection, an overloaded server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retry {
    pub(super) times: u32,
    /// Before the first repetition; it doubles with each.
    pub(super) delay: Duration,
}

impl Retry {
    /// How long to wait when `tries` repetitions have failed.
    pub(super) fn wait(self, tries: u32) -> Duration {
        self.delay * 2u32.pow(tries)
    }
}

pub(super) const RETRY: Retry = Retry {
    times: 3,
    delay: Duration::from_millis(500),
};

/// Fetches a file, unless it is there already with the right digest. What an earlier run left is used where the
/// server can go on from there.
pub async fn fetch(
    client: &reqwest::Client,
    request: &Download,
    progress: Progress<'_>,
    cancel: &CancellationToken,
) -> Result<(), DownloadError> {
    fetch_with(client, request, progress, cancel, RETRY).await
}

pub(super) async fn fetch_with(
    client: &reqwest::Client,
    request: &Download,
    progress: Progress<'_>,
    cancel: &CancellationToken,
    retry: Retry,
) -> Result<(), DownloadError> {
    if !request.expected.is_well_formed() {
        return Err(DownloadError::Malformed {
            item: request.item.clone(),
            expected: request.expected.to_string(),
        });
    }
    let work = async {
        let mut tries = 0;
        loop {
            let failure = match attempt(client, request, progress).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            if !failure.again || tries == retry.times {
                return Err(failure.error);
            }
            tracing::debug!(error = %failure.error, "trying again");
            tokio::time::sleep(retry.wait(tries)).await;
            tries += 1;
        }
    };
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(DownloadError::Cancelled { item: request.item.clone() }),
        done = work => done,
    }
}

/// One try that failed.
struct Failure {
    error: DownloadError,
    again: bool,
}

impl From<DownloadError> for Failure {
    fn from(error: DownloadError) -> Self {
        let again = error.is_transient();
        Self { error, again }
    }
}

async fn attempt(
    client: &reqwest::Client,
    request: &Download,
    progress: Progress<'_>,
) -> Result<(), Failure> {
    let Download {
        url,
        item,
        expected,
        ..
    } = request;
    let unwritable = |source| cannot_write(&part::path_of(&request.file), source);
    if is_there(request).await {
        return Ok(());
    }
    let mut part = Part::open(&request.file, expected)
        .await
        .map_err(unwritable)?;
    // Another process may have brought it while this one waited for the part file.
    if is_there(request).await {
        let (empty, _) = part.finish().await.map_err(unwritable)?;
        return Ok(empty.reject().await.map_err(unwritable)?);
    }
    let resumed = part.length() > 0;
    if let Err(error) = receive(client, request, &mut part, progress).await {
        if part.length() == 0 {
            let (empty, _) = part.finish().await.map_err(unwritable)?;
            empty.reject().await.map_err(unwritable)?;
        }
        return Err(error.into());
    }
    let (finished, actual) = part.finish().await.map_err(unwritable)?;
    if expected.equals(&actual) {
        let accepted = finished.accept(&request.file).await;
        return Ok(accepted.map_err(|source| cannot_write(&request.file, source))?);
    }
    finished.reject().await.map_err(unwritable)?;
    Err(Failure {
        error: DownloadError::Digest {
            item: item.clone(),
            url: shown(url),
            expected: expected.to_string(),
            actual,
        },
        // The beginning may come from another day's file: only a whole download tells.
        again: resumed,
    })
}

/// Asks for what the part file lacks, and appends it.
async fn receive(
    client: &reqwest::Client,
    request: &Download,
    part: &mut Part,
    progress: Progress<'_>,
) -> Result<(), DownloadError> {
    let Download { url, item, .. } = request;
    let mut response = ask(client, request, part.length()).await?;
    if part.length() > 0 {
        match response.status() {
            StatusCode::PARTIAL_CONTENT if continues(&response, part.length()) => {}
            StatusCode::RANGE_NOT_SATISFIABLE if is_complete(&response, part.length()) => {
                return Ok(());
            }
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                restart(part, request).await?;
                response = ask(client, request, 0).await?;
            }
            // The server knows no ranges, and sends the whole.
            StatusCode::OK => restart(part, request).await?,
            // No file at all: what is there may still be good.
            _ => {}
        }
    }
    let response = successful(response, url, item)?;
    append_body(response, request, part, progress).await
}

async fn ask(
    client: &reqwest::Client,
    request: &Download,
    from: u64,
) -> Result<Response, DownloadError> {
    let mut get = client.get(&request.url);
    if from > 0 {
        get = get.header(RANGE, format!("bytes={from}-"));
    }
    send(get, &request.url, &request.item).await
}

async fn restart(part: &mut Part, request: &Download) -> Result<(), DownloadError> {
    let restarted = part.restart(&request.expected).await;
    restarted.map_err(|source| cannot_write(part.path(), source))
}

async fn append_body(
    mut response: Response,
    request: &Download,
    part: &mut Part,
    progress: Progress<'_>,
) -> Result<(), DownloadError> {
    let total = response.content_length().map(|rest| part.length() + rest);
    progress(part.length(), total);
    let broken = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                let appended = part.append(&chunk).await;
                appended.map_err(|source| cannot_write(part.path(), source))?;
                progress(part.length(), total);
            }
            Ok(None) => break None,
            Err(error) => break Some(error.without_url()),
        }
    };
    if broken.is_none() && total.is_none_or(|total| total == part.length()) {
        return Ok(());
    }
    let kept = part.keep().await;
    kept.map_err(|source| cannot_write(part.path(), source))?;
    Err(DownloadError::Truncated {
        item: request.item.clone(),
        url: shown(&request.url),
        got: part.length(),
        expected: total,
        source: broken,
    })
}

/// Whether the answer goes on where the part file ends.
fn continues(response: &Response, length: u64) -> bool {
    response.status() == StatusCode::PARTIAL_CONTENT
        && content_range(response)
            .is_some_and(|range| range.starts_with(&format!("bytes {length}-")))
}

/// Whether the server says that there is nothing after what the part file has.
fn is_complete(response: &Response, length: u64) -> bool {
    response.status() == StatusCode::RANGE_NOT_SATISFIABLE
        && content_range(response) == Some(&format!("bytes */{length}"))
}

fn content_range(response: &Response) -> Option<&str> {
    response.headers().get(CONTENT_RANGE)?.to_str().ok()
}

async fn is_there(request: &Download) -> bool {
    let read = read_into(request.expected.hasher(), request.file.clone()).await;
    read.is_ok_and(|(hasher, _)| request.expected.equals(&hasher.finish()))
}

fn cannot_write(path: &Path, source: std::io::Error) -> DownloadError {
    DownloadError::Write {
        path: path.to_owned(),
        source,
    }
}
