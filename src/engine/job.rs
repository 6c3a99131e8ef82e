//! Jobs: containers that do one thing and end.

use super::container::docker_mount;
use super::error::Doing;
use super::{Engine, EngineError, Mount, Rights};
use bollard::container::LogOutput;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    DownloadFromContainerOptions, KillContainerOptions, LogsOptions, WaitContainerOptions,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use std::collections::BTreeMap;
use tokio_util::sync::CancellationToken;

/// A container that does one thing and ends: a build, the filling of a volume.
#[derive(Clone, Debug)]
pub struct Job {
    /// The container's name: two of the same job cannot run at once.
    pub name: String,
    /// Its image.
    pub image: String,
    /// Program and arguments, instead of the image's own.
    pub command: Vec<String>,
    /// Environment as `NAME=value`.
    pub environment: Vec<String>,
    /// Volumes.
    pub mounts: Vec<Mount>,
    /// Labels by which the container is found.
    pub labels: BTreeMap<String, String>,
    /// What it may do; none for a plain container.
    pub rights: Option<Rights>,
    /// The network that it takes part in, instead of Docker's own: a cluster's, [`HOST_NETWORK`] or [`NO_NETWORK`].
    pub network: Option<String>,
}

/// The engine host's own network, so that its registries and proxies answer as they do there.
pub const HOST_NETWORK: &str = "host";

/// None but a loopback: who only copies files need not wait until Docker has connected it, and disconnected it again.
pub const NO_NETWORK: &str = "none";

impl Job {
    pub(super) fn body(&self) -> ContainerCreateBody {
        let mut host = HostConfig {
            mounts: Some(self.mounts.iter().map(docker_mount).collect()),
            network_mode: self.network.clone(),
            init: Some(true),
            ..HostConfig::default()
        };
        if let Some(rights) = &self.rights {
            rights.apply(&mut host);
        }
        ContainerCreateBody {
            image: Some(self.image.clone()),
            entrypoint: Some(self.command.clone()),
            cmd: Some(Vec::new()),
            env: Some(self.environment.clone()),
            labels: Some(self.labels.clone().into_iter().collect()),
            host_config: Some(host),
            ..ContainerCreateBody::default()
        }
    }
}

impl Engine {
    /// Runs a job that was made to its end and hands on each line that it prints; gives its exit status. The wish to
    /// stop is told to it, and it is waited for: it has something to clean up.
    pub async fn follow_patiently(
        &self,
        job: &Job,
        cancel: &CancellationToken,
        mut line: impl FnMut(&str) + Send,
    ) -> Result<i64, EngineError> {
        let name = &job.name;
        self.start(name).await?;
        let mut logs = self.logs(name);
        let mut lines = Lines::default();
        let mut told = false;
        loop {
            let part = tokio::select! {
                part = logs.next() => part,
                () = cancel.cancelled(), if !told => {
                    told = true;
                    self.terminate(name).await?;
                    continue;
                }
            };
            match part {
                Some(part) => lines.take(&part.doing(|| format!("follow {name}"))?, &mut line),
                None => break,
            }
        }
        lines.finish(&mut line);
        self.exit_status(name).await
    }

    /// Asks a container's first process to end; one that has ended is fine.
    async fn terminate(&self, name: &str) -> Result<(), EngineError> {
        let options = KillContainerOptions {
            signal: "SIGTERM".to_owned(),
        };
        match self
            .docker
            .kill_container(name, Some(options))
            .await
            .doing(|| format!("end {name}"))
        {
            Err(error) if matches!(error.status(), Some(404 | 409)) => Ok(()),
            ended => ended,
        }
    }

    fn logs(
        &self,
        name: &str,
    ) -> impl Stream<Item = Result<LogOutput, bollard::errors::Error>> + Unpin + Send + use<> {
        let options = LogsOptions {
            follow: true,
            stdout: true,
            stderr: true,
            tail: "all".to_owned(),
            ..LogsOptions::default()
        };
        Box::pin(self.docker.logs(name, Some(options)))
    }

    /// What lies at a path of a container that need not run, as a tar archive.
    pub fn download(
        &self,
        name: &str,
        path: &str,
    ) -> impl Stream<Item = std::io::Result<Bytes>> + Send + use<> {
        let action = format!("read {path} of container {name}");
        let options = DownloadFromContainerOptions {
            path: path.to_owned(),
        };
        let parts = self.patient().download_from_container(name, Some(options));
        parts.map(move |part| part.doing(|| action.clone()).map_err(std::io::Error::other))
    }

    /// Makes a job's container. One of that name that is there already is replaced: a run that is over left it.
    pub async fn create_job(&self, job: &Job) -> Result<(), EngineError> {
        self.remove_container(&job.name).await?;
        self.create(&job.name, job.body()).await
    }

    /// Makes a job's container, with files, and runs it to its end.
    pub async fn run_job(
        &self,
        job: &Job,
        upload: Option<Vec<u8>>,
        cancel: &CancellationToken,
        line: impl FnMut(&str) + Send,
    ) -> Result<(), EngineError> {
        self.create_job(job).await?;
        if let Some(archive) = upload {
            self.upload(&job.name, archive).await?;
        }
        self.follow_job(job, cancel, line).await
    }

    /// Runs a job that was made to its end and hands on each line that it prints. The container stays, with its exit
    /// status.
    pub async fn follow_job(
        &self,
        job: &Job,
        cancel: &CancellationToken,
        mut line: impl FnMut(&str) + Send,
    ) -> Result<(), EngineError> {
        let name = &job.name;
        let action = || format!("run `{}` in container {name}", job.command.join(" "));
        self.start(name).await?;
        let mut logs = self.logs(name);
        let mut lines = Lines::default();
        loop {
            let part = tokio::select! {
                part = logs.next() => part,
                () = cancel.cancelled() => {
                    self.remove_container(name).await?;
                    return Err(EngineError::Interrupted { action: action() });
                }
            };
            match part {
                Some(part) => lines.take(&part.doing(action)?, &mut line),
                None => break,
            }
        }
        lines.finish(&mut line);
        let status = self.exit_status(name).await?;
        if status == 0 {
            return Ok(());
        }
        Err(EngineError::Failed {
            action: action(),
            status,
            output: lines.last,
        })
    }

    pub(super) async fn exit_status(&self, name: &str) -> Result<i64, EngineError> {
        let mut waiting = self
            .docker
            .wait_container(name, None::<WaitContainerOptions>);
        match waiting.next().await {
            Some(Ok(ended)) => Ok(ended.status_code),
            Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(source)) => Err(source).doing(|| format!("wait for container {name}")),
            None => Ok(-1),
        }
    }
}

/// Output cut into lines, with the last of them kept for the message of a failure.
#[derive(Default)]
struct Lines {
    /// Bytes and not text: a part may end within a character.
    pending: Vec<u8>,
    last: Vec<String>,
}

impl Lines {
    const KEPT: usize = 20;

    fn take(&mut self, part: &LogOutput, line: &mut impl FnMut(&str)) {
        self.pending.extend_from_slice(part.as_ref());
        while let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
            let rest = self.pending.split_off(end + 1);
            let whole = std::mem::replace(&mut self.pending, rest);
            self.tell(&whole, line);
        }
    }

    /// The end of an output may lack its line break, and is often what tells most.
    fn finish(&mut self, line: &mut impl FnMut(&str)) {
        if !self.pending.is_empty() {
            let whole = std::mem::take(&mut self.pending);
            self.tell(&whole, line);
        }
    }

    fn tell(&mut self, whole: &[u8], line: &mut impl FnMut(&str)) {
        let text = String::from_utf8_lossy(whole)
            .trim_end_matches(['\r', '\n'])
            .to_owned();
        line(&text);
        if self.last.len() == Self::KEPT {
            self.last.remove(0);
        }
        self.last.push(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    /// The lines of parts, and those kept for a message.
    fn lines(parts: &[&[u8]]) -> (Vec<String>, Vec<String>) {
        let mut told = Vec::new();
        let mut tell = |line: &str| told.push(line.to_owned());
        let mut lines = Lines::default();
        for part in parts {
            let message = Bytes::copy_from_slice(part);
            lines.take(&LogOutput::StdOut { message }, &mut tell);
        }
        lines.finish(&mut tell);
        (told, lines.last)
    }

    #[test]
    fn output_is_cut_into_lines_wherever_its_parts_end() {
        let (told, last) = lines(&[b"a", b"b\r\nc\n\nd", b"e\n"]);
        assert_eq!(told, ["ab", "c", "", "de"]);
        assert_eq!(last, told);
    }

    #[test]
    fn a_part_may_end_within_a_character() {
        let [first, rest @ ..] = "é\n".as_bytes() else {
            panic!()
        };
        assert_eq!(lines(&[&[*first], rest]).0, ["é"]);
    }

    #[test]
    fn the_last_line_may_lack_its_end() {
        let (told, last) = lines(&[b"a\nno space left"]);
        assert_eq!(told, ["a", "no space left"]);
        assert_eq!(last, told);
    }

    #[test]
    fn the_last_lines_are_kept() {
        let all: Vec<u8> = (0..50_u8)
            .flat_map(|number| [b'0' + number / 10, b'0' + number % 10, b'\n'])
            .collect();
        let (told, last) = lines(&[&all]);
        assert_eq!(told.len(), 50);
        assert_eq!(last.len(), Lines::KEPT);
        assert_eq!(last.last().map(String::as_str), Some("49"));
    }
}
