//! Commands in a running container.

use super::error::Doing;
use super::{Engine, EngineError};
use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use serde::Serialize;
use tokio::io::AsyncWriteExt;

/// How a command in a container ended, with all that it wrote.
#[derive(Clone, Debug, Default)]
pub struct Executed {
    /// Exit status.
    pub status: i64,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl Executed {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    fn take(&mut self, output: LogOutput) {
        match output {
            LogOutput::StdErr { message } => self.stderr.extend_from_slice(&message),
            LogOutput::StdOut { message } | LogOutput::Console { message } => {
                self.stdout.extend_from_slice(&message);
            }
            LogOutput::StdIn { .. } => {}
        }
    }

    /// The last lines of both outputs.
    pub fn tail(&self, lines: usize) -> Vec<String> {
        let both = format!("{}\n{}", self.text(), String::from_utf8_lossy(&self.stderr));
        let all: Vec<&str> = both
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        all.iter()
            .skip(all.len().saturating_sub(lines))
            .map(|line| (*line).to_owned())
            .collect()
    }
}

/// What an interactive command is given of the caller's terminal.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    /// Standard input and output are a terminal, and the command gets one too.
    pub tty: bool,
    /// Standard input is passed on.
    pub stdin: bool,
}

/// The terminal at standard input hands on each key as it is, to be dealt with by the terminal in the container; when
/// this is dropped, it is as it was.
struct Raw(Termios);

impl Raw {
    /// None where it cannot be: then lines are handed on, as they are typed.
    fn begin() -> Option<Self> {
        let stdin = std::io::stdin();
        let before = tcgetattr(&stdin).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Now, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that has gone away needs nothing back.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}

impl Engine {
    /// Runs a command in a container to its end and keeps what it wrote.
    pub async fn exec(&self, container: &str, command: &[&str]) -> Result<Executed, EngineError> {
        let mut executed = Executed::default();
        executed.status = self
            .exec_streaming(container, command, |output| executed.take(output))
            .await?;
        Ok(executed)
    }

    /// Runs a command in a container and hands on what it writes, to either output, as it comes; gives its exit status.
    pub async fn exec_output(
        &self,
        container: &str,
        command: &[&str],
        mut take: impl FnMut(&[u8]) + Send,
    ) -> Result<i64, EngineError> {
        self.exec_streaming(container, command, |output| take(&output.into_bytes()))
            .await
    }

    /// Runs a command in a container and hands on each line of its output as it comes; gives its exit status.
    pub async fn exec_lines(
        &self,
        container: &str,
        command: &[&str],
        mut line: impl FnMut(&str) + Send,
    ) -> Result<i64, EngineError> {
        let mut pending = String::new();
        let status = self
            .exec_streaming(container, command, |output| {
                pending.push_str(&String::from_utf8_lossy(&output.into_bytes()));
                while let Some(end) = pending.find('\n') {
                    line(pending[..end].trim_end_matches('\r'));
                    pending.drain(..=end);
                }
            })
            .await?;
        if !pending.is_empty() {
            line(&pending);
        }
        Ok(status)
    }

    /// Runs a command in a container on input that comes as a stream, to its end, and keeps what it wrote.
    pub async fn exec_with_input(
        &self,
        container: &str,
        command: &[&str],
        from: impl Stream<Item = std::io::Result<Bytes>> + Send,
    ) -> Result<Executed, EngineError> {
        let action = || format!("run `{}` in {container}", command.join(" "));
        let options = CreateExecOptions {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(command.to_vec()),
            ..CreateExecOptions::default()
        };
        let (id, started) = self.begin(container, options, false, action).await?;
        let mut executed = Executed::default();
        if let StartExecResults::Attached {
            mut output,
            mut input,
        } = started
        {
            let feeding = async {
                let mut from = std::pin::pin!(from);
                while let Some(chunk) = from.next().await {
                    // A command that takes no more has ended, or will say why; one whose input cannot be read must not
                    // take what it has for the whole.
                    if input.write_all(&chunk?).await.is_err() {
                        break;
                    }
                }
                let _ = input.shutdown().await;
                Ok::<(), std::io::Error>(())
            };
            let taking = async {
                while let Some(part) = output.next().await {
                    executed.take(part.doing(action)?);
                }
                Ok::<(), EngineError>(())
            };
            let (fed, taken) = futures_util::future::join(feeding, taking).await;
            taken?;
            fed.map_err(|source| EngineError::Ours {
                action: action(),
                source,
            })?;
        }
        executed.status = self.ended(&id, action).await?;
        Ok(executed)
    }

    /// Makes a command of a container and starts it; gives its id and its streams.
    async fn begin<T: Into<String> + Serialize>(
        &self,
        container: &str,
        options: CreateExecOptions<T>,
        tty: bool,
        action: impl Fn() -> String,
    ) -> Result<(String, StartExecResults), EngineError> {
        let exec = self.docker.create_exec(container, options).await;
        let id = exec.doing(&action)?.id;
        let start = StartExecOptions {
            tty,
            ..StartExecOptions::default()
        };
        let started = self.docker.start_exec(&id, Some(start)).await;
        Ok((id, started.doing(&action)?))
    }

    /// The exit status of a command that has ended.
    async fn ended(&self, id: &str, action: impl Fn() -> String) -> Result<i64, EngineError> {
        let inspected = self.docker.inspect_exec(id).await.doing(action)?;
        Ok(inspected.exit_code.unwrap_or(-1))
    }

    async fn exec_streaming(
        &self,
        container: &str,
        command: &[&str],
        mut take: impl FnMut(LogOutput) + Send,
    ) -> Result<i64, EngineError> {
        let action = || format!("run `{}` in {container}", command.join(" "));
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(command.to_vec()),
            ..CreateExecOptions::default()
        };
        let (id, started) = self.begin(container, options, false, action).await?;
        if let StartExecResults::Attached { mut output, .. } = started {
            while let Some(part) = output.next().await {
                take(part.doing(action)?);
            }
        }
        self.ended(&id, action).await
    }

    /// Runs a command in a container on the caller's own input and output; gives its exit status.
    pub async fn exec_interactive(
        &self,
        container: &str,
        command: &[String],
        environment: &[String],
        terminal: Terminal,
    ) -> Result<i64, EngineError> {
        let action = || format!("run `{}` in {container}", command.join(" "));
        let options = CreateExecOptions {
            attach_stdin: Some(terminal.stdin),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(terminal.tty),
            env: Some(environment.to_vec()),
            cmd: Some(command.to_vec()),
            ..CreateExecOptions::default()
        };
        let (id, started) = self.begin(container, options, terminal.tty, action).await?;
        if let StartExecResults::Attached {
            mut output,
            mut input,
        } = started
        {
            // Given back when this is left, by whatever way.
            let _raw = terminal.tty.then(Raw::begin).flatten();
            let feeding = tokio::spawn(async move {
                if terminal.stdin {
                    // The other end going away is the command's end, and told by its exit status.
                    let _ = tokio::io::copy(&mut tokio::io::stdin(), &mut input).await;
                }
                let _ = input.shutdown().await;
            });
            let (mut stdout, mut stderr) = (tokio::io::stdout(), tokio::io::stderr());
            while let Some(part) = output.next().await {
                // A reader that has gone (`| head`) ends the output, not the command.
                let _ = match part.doing(action)? {
                    LogOutput::StdErr { message } => stderr.write_all(&message).await,
                    other => {
                        let written = stdout.write_all(&other.into_bytes()).await;
                        stdout.flush().await.and(written)
                    }
                };
            }
            feeding.abort();
        }
        self.ended(&id, action).await
    }
}
