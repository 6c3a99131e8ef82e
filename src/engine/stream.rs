//! Streams of bytes out of the engine and into it: images, and what jobs write and read.

use super::error::Doing;
use super::{Engine, EngineError, Job};
use bollard::container::{AttachContainerResults, LogOutput};
use bollard::models::HostConfigLogConfig;
use bollard::query_parameters::{AttachContainerOptions, ImportImageOptions};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use std::io::{self, Read};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How much is handed on at once.
const CHUNK: usize = 1 << 20;

impl Engine {
    /// An image as the engine saves it, a tar archive.
    pub async fn save_image(
        &self,
        tag: &str,
        cancel: &CancellationToken,
        mut take: impl FnMut(&[u8]) -> io::Result<()> + Send,
    ) -> Result<(), EngineError> {
        let action = || format!("save image {tag}");
        let docker = self.patient();
        let mut parts = std::pin::pin!(docker.export_image(tag));
        loop {
            let part = tokio::select! {
                part = parts.next() => part,
                () = cancel.cancelled() => return Err(EngineError::Interrupted { action: action() }),
            };
            let Some(part) = part else { return Ok(()) };
            take(&part.doing(action)?).map_err(|source| ours(action(), source))?;
        }
    }

    /// Loads an image as it was saved.
    pub async fn load_image(
        &self,
        tag: &str,
        archive: impl Read + Send + 'static,
        cancel: &CancellationToken,
    ) -> Result<(), EngineError> {
        let action = || format!("load image {tag}");
        let parts = stream::unfold(chunks(archive), |mut parts| async {
            let part = parts.recv().await?;
            Some((part, parts))
        });
        let docker = self.patient();
        let body = bollard::body_try_stream(parts);
        let options = ImportImageOptions::default();
        let mut loading = std::pin::pin!(docker.import_image(options, body, None));
        loop {
            let part = tokio::select! {
                part = loading.next() => part,
                () = cancel.cancelled() => return Err(EngineError::Interrupted { action: action() }),
            };
            let Some(part) = part else { return Ok(()) };
            part.doing(action)?;
        }
    }

    /// Runs a job to its end on what it reads from its standard input, and hands on what it writes to its standard output,
    /// byte for byte. The engine keeps none of it.
    pub async fn stream_job(
        &self,
        job: &Job,
        input: Option<Box<dyn Read + Send>>,
        cancel: &CancellationToken,
        mut take: impl FnMut(&[u8]) -> io::Result<()> + Send,
    ) -> Result<(), EngineError> {
        let name = &job.name;
        let action = || format!("run `{}` in container {name}", job.command.join(" "));
        self.remove_container(name).await?;
        let mut body = job.body();
        if let Some(host) = &mut body.host_config {
            host.log_config = Some(HostConfigLogConfig {
                typ: Some("none".to_owned()),
                config: None,
            });
        }
        body.open_stdin = Some(input.is_some());
        body.stdin_once = Some(input.is_some());
        self.create(name, body).await?;
        let options = AttachContainerOptions {
            stream: true,
            stdin: input.is_some(),
            stdout: true,
            stderr: true,
            ..AttachContainerOptions::default()
        };
        let attached = self.docker.attach_container(name, Some(options)).await;
        let AttachContainerResults {
            mut output,
            input: mut to,
        } = attached.doing(action)?;
        self.start(name).await?;
        let feeding = async {
            if let Some(input) = input {
                let mut parts = chunks(input);
                while let Some(part) = parts.recv().await {
                    let part = part.map_err(|source| ours(action(), source))?;
                    // It has ended before its input: how, its exit status tells.
                    if to.write_all(&part).await.is_err() {
                        return Ok(());
                    }
                }
            }
            // The same.
            let _ = to.shutdown().await;
            Ok(())
        };
        let mut told = Vec::new();
        let listening = async {
            while let Some(part) = output.next().await {
                match part.doing(action)? {
                    LogOutput::StdErr { message } => {
                        told.extend_from_slice(&message[..message.len().min(CHUNK)]);
                        // Only the end of it is wanted.
                        told.drain(..told.len().saturating_sub(4096));
                    }
                    other => {
                        take(&other.into_bytes()).map_err(|source| ours(action(), source))?;
                    }
                }
            }
            Ok(())
        };
        let both = async { tokio::try_join!(feeding, listening) };
        tokio::select! {
            done = both => { done?; }
            () = cancel.cancelled() => return Err(EngineError::Interrupted { action: action() }),
        }
        let status = self.exit_status(name).await?;
        if status == 0 {
            return Ok(());
        }
        let told = String::from_utf8_lossy(&told);
        let lines: Vec<&str> = told.lines().collect();
        let last = lines.iter().skip(lines.len().saturating_sub(20));
        Err(EngineError::Failed {
            action: action(),
            status,
            output: last.map(|line| (*line).to_owned()).collect(),
        })
    }
}

fn ours(action: String, source: io::Error) -> EngineError {
    EngineError::Ours { action, source }
}

/// What can be read, piece by piece, from a thread that may wait for it. It ends when nobody listens any more.
fn chunks(mut from: impl Read + Send + 'static) -> mpsc::Receiver<io::Result<Bytes>> {
    let (to, parts) = mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        loop {
            let mut piece = vec![0; CHUNK];
            let part = match from.read(&mut piece) {
                Ok(0) => return,
                Ok(read) => {
                    piece.truncate(read);
                    Ok(Bytes::from(piece))
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let failed = part.is_err();
            if to.blocking_send(part).is_err() || failed {
                return;
            }
        }
    });
    parts
}
