//! `e2e`, `e2e-serial` and `e2e images`: Kubernetes' own tests of the cluster's version, in a container on its network.

mod images;
mod namespaces;
mod report;

use super::identity::Identity;
use super::image;
use super::kubectl::must_run;
use super::load;
use super::print;
use super::session::{self, Session};
use super::standing::Standing;
use super::surroundings::Surroundings;
use crate::cli::{E2eArgs, Output};
use crate::cluster::{ClusterSpec, Names};
use crate::e2e::suite::Suite;
use crate::e2e::{Choice, Chosen, Failure, Seen, Tally};
use crate::engine::{Engine, Found, Job, State};
use crate::error::{Error, exit_code, render};
use crate::execute::{self, Times, Work};
use crate::image::context::{File, archive};
use crate::image::{Origin, cache_mount, job_labels};
use crate::inventory::is_load_balancer;
use crate::node::access::{self, Way};
use crate::plan::Observed;
use crate::report::{Event, Unit};
use crate::signal;
use serde_json::json;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Instant;
use tokio_util::io::{StreamReader, SyncIoBridge};
use tokio_util::sync::CancellationToken;

/// The value of the label of the jobs that test a cluster.
pub(super) const TESTS_JOB: &str = "e2e";
/// The older tool's number; more are of no use to so few nodes.
const MOST_PROCESSES: usize = 25;

/// The container that a cluster's tests run in.
pub(super) fn container(names: &Names) -> String {
    format!("local-cluster-e2e-{}", names.context())
}

/// A run of tests.
struct Tests<'a> {
    session: &'a Session,
    engine: &'a Engine,
    identity: &'a Identity,
    cancel: &'a CancellationToken,
    spec: ClusterSpec,
    way: Way,
    suite: Suite,
    choice: Choice,
    /// The nodes that run.
    nodes: Vec<String>,
}

/// What became of it.
#[derive(Default)]
struct Outcome {
    status: i64,
    tally: Tally,
    failures: Vec<Failure>,
}

/// `e2e`, and `e2e-serial`.
pub(super) async fn run(session: &Session, arguments: &E2eArgs, serial: bool) -> Result<u8, Error> {
    if serial && arguments.parallel.is_some() {
        let told = "`--parallel` is for `e2e`: `e2e-serial` runs one test after another";
        return Err(Error::Settings(told.into()));
    }
    let list_images = arguments.command.is_some();
    let began = Instant::now();
    let cancel = signal::watch(session.reporter.clone());
    let engine = session.engine().await?;
    let facts = session::facts(&engine).await?;
    let identity = session.identity(&engine).await?;
    let standing = Standing::of(&engine, &identity).await?;
    let master = standing.master().ok_or_else(|| identity.absent())?;
    must_run(&identity, master)?;
    let way = standing.way().ok_or_else(|| identity.absent())?;
    must_run(
        &identity,
        identity.node(&standing.containers, &way.publisher)?,
    )?;
    let spec = standing.spec(&identity)?;
    let (wanted, suite) = image::of_tests(session, spec.version, master)?;
    let (name, focus, skip) = match &arguments.command {
        Some(crate::cli::E2eCommand::Images(chosen)) => ("e2e images", &chosen.focus, &chosen.skip),
        None if serial => (
            "e2e-serial",
            &arguments.chosen.focus,
            &arguments.chosen.skip,
        ),
        None => ("e2e", &arguments.chosen.focus, &arguments.chosen.skip),
    };
    let regex = arguments.chosen.regex
        || matches!(&arguments.command, Some(crate::cli::E2eCommand::Images(chosen)) if chosen.regex);
    session
        .reporter
        .started(name, Some(identity.names.context()));
    let runs = |found: &&Found| found.state == State::Running && !is_load_balancer(found);
    let tests = Tests {
        session,
        engine: &engine,
        identity: &identity,
        cancel: &cancel,
        spec,
        way,
        choice: Choice::new(focus.as_deref(), skip.as_deref(), serial, regex),
        nodes: standing
            .containers
            .iter()
            .filter(runs)
            .map(|found| found.name.clone())
            .collect(),
        suite,
    };
    let surroundings = Surroundings::of(session);
    let work = surroundings.work(&engine, &facts, &wanted, &cancel, &session.reporter);
    let mut times = vec![("check".to_owned(), began.elapsed())];
    let _lock = session.lock_tests(&identity)?;
    tests.make(&work, &mut times).await?;
    let chosen = tests.list(&mut times).await?;
    if arguments.dry_run {
        return tests.print_specs(&chosen);
    }
    let asked = load::ask(&engine, &tests.nodes, &cancel);
    let held = execute::stage("ask", &session.reporter, &mut times, asked).await?;
    let absent = images::absent(&chosen.needs(), &held);
    let nowhere = tests.nowhere(&absent, &mut times).await?;
    if list_images {
        return tests.print_images(&chosen, &absent, &nowhere);
    }
    tests.tell_nowhere(&nowhere);
    if let Suite::Built(suite) = &tests.suite {
        tests.load(suite, &chosen, &held, &mut times).await?;
    }
    let report = arguments.report.as_deref();
    let processes = if serial {
        1
    } else {
        arguments.parallel.map_or_else(processes, usize::from)
    };
    let (_, before) = tests.namespaces().await?;
    tests.tell_earlier(&before);
    let outcome = tests
        .run(processes, arguments.until_it_fails, report, &mut times)
        .await;
    // Whatever came of it: nothing of the tests stays.
    let removed = engine
        .remove_container(&container(&tests.identity.names))
        .await;
    let removed = removed.map_err(|source| Error::other("remove the tests' container", source));
    let cleaned = tests.clean(&before, &mut times).await;
    let cleaned = removed.and(cleaned);
    let interrupted = cancel.is_cancelled();
    if let Err(error) = &cleaned
        && (interrupted || outcome.is_err())
    {
        // The run ends with another error, and what stays must be known all the same.
        session.reporter.failed(render(error, &error.hints()));
    }
    if interrupted {
        return Err(execute::interrupted(&times));
    }
    let outcome = outcome?;
    cleaned?;
    Ok(tests.tell(&outcome, report, times, began))
}

/// As many processes as there is something to do for: tests mostly wait.
fn processes() -> usize {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    (2 * cores).min(MOST_PROCESSES)
}

impl Tests<'_> {
    /// Builds the tests and their images, where they are not there.
    async fn make(&self, work: &Work<'_>, times: &mut Times) -> Result<(), Error> {
        let _lock = self.session.lock_images(self.cancel).await?;
        let mut observed = Observed::default();
        image::observe(self.engine, &mut observed).await?;
        let stages = self.suite.plan(work.images, &observed);
        if let Origin::Release { url, .. } = &work.inputs.origin
            && !stages.is_empty()
        {
            let version = self.spec.version;
            let told = format!("the tests of Kubernetes {version} come from {url}");
            self.session.reporter.note(told);
        }
        execute::run(&stages, work, None, times).await
    }

    fn job(&self, name: String, what: &str, more: Vec<String>) -> Job {
        let mut command = vec![
            "/usr/local/bin/run-tests".to_owned(),
            what.to_owned(),
            self.suite.programs_path(),
            self.choice.focus.clone(),
            self.choice.skip.clone(),
        ];
        command.extend(more);
        let mounts = match self.suite {
            Suite::Built(_) => vec![cache_mount(true)],
            Suite::Released(_) => Vec::new(),
        };
        Job {
            name,
            image: self.suite.image().to_owned(),
            command,
            environment: Vec::new(),
            mounts,
            labels: job_labels(TESTS_JOB),
            rights: None,
            network: None,
        }
    }

    /// Asks the suite which of its tests are meant.
    async fn list(&self, times: &mut Times) -> Result<Chosen, Error> {
        let job = self.job(
            format!("{}-list", container(&self.identity.names)),
            "list",
            Vec::new(),
        );
        let listing = async {
            let mut chosen = Chosen::default();
            let listed = self
                .engine
                .run_job(&job, None, self.cancel, |line| chosen.take(line))
                .await;
            let removed = self.engine.remove_container(&job.name).await;
            let doing = "ask the tests which of them are meant";
            listed
                .and(removed)
                .map_err(|source| Error::other(doing, source))?;
            if chosen.specs.is_empty() {
                return Err(Error::with_hint(
                    format!("there is no test {}", self.choice),
                    "names are matched as they are, large and small letters apart; `--regex` takes a regular expression",
                ));
            }
            Ok(chosen)
        };
        execute::stage("choose", &self.session.reporter, times, Box::pin(listing)).await
    }

    /// Files that are known, of a folder or a file of a container. Their names are ours.
    async fn files(
        &self,
        container: &str,
        path: &str,
        known: &'static [&'static str],
    ) -> std::io::Result<Vec<(&'static str, Vec<u8>)>> {
        let stream = self.engine.download(container, path);
        let mut source = SyncIoBridge::new(StreamReader::new(Box::pin(stream)));
        let read = tokio::task::spawn_blocking(move || {
            let mut found = Vec::new();
            let mut files = tar::Archive::new(&mut source);
            for file in files.entries()? {
                let mut file = file?;
                let name = file.path()?.into_owned();
                if let Some(known) = known.iter().find(|known| name == Path::new(known)) {
                    let mut content = Vec::new();
                    file.read_to_end(&mut content)?;
                    found.push((*known, content));
                }
            }
            Ok(found)
        });
        read.await
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
    }

    /// Runs the tests, and tells how far they are.
    async fn run(
        &self,
        processes: usize,
        until_it_fails: bool,
        report: Option<&Path>,
        times: &mut Times,
    ) -> Result<Outcome, Error> {
        let name = container(&self.identity.names);
        let mut log = report.map(report::open_log).transpose()?;
        let mut flags = vec![
            processes.to_string(),
            self.spec.workers().count().max(1).to_string(),
        ];
        if until_it_fails {
            flags.push("--until-it-fails".to_owned());
        }
        let job = Job {
            network: Some(self.spec.names.network()),
            ..self.job(name.clone(), "run", flags)
        };
        let balancer = self.spec.load_balancer.as_ref();
        let entrance = balancer.map_or(&self.spec.master().name, |balancer| &balancer.name);
        let config = access::kubeconfig_within(self.engine, &self.way, entrance).await?;
        let files = archive(&[File::new("run/admin.conf", 0o600, config.into_bytes())]);
        let running = async {
            let failed = |source| Error::other("run the tests", source);
            self.engine.create_job(&job).await.map_err(failed)?;
            self.engine.upload(&name, files).await.map_err(failed)?;
            let mut outcome = Outcome::default();
            let reporter = &self.session.reporter;
            let followed = self.engine.follow_patiently(&job, self.cancel, |line| {
                if let Some(log) = &mut log {
                    // The report is a help: a disk that is full is told at the end, when it is read.
                    let _ = writeln!(log, "{line}");
                }
                match outcome.tally.take(line) {
                    Seen::Nothing => {}
                    Seen::Progress => reporter.send(Event::Progress {
                        item: "tests".to_owned(),
                        done: outcome.tally.done,
                        total: outcome.tally.total,
                        unit: Unit::Items,
                        failed: Some(outcome.tally.failed),
                    }),
                    Seen::Failed(test) => reporter.note(format!("failed: {test}")),
                }
                reporter.send(Event::Output {
                    source: "e2e".to_owned(),
                    line: line.to_owned(),
                });
            });
            outcome.status = followed.await.map_err(failed)?;
            reporter.send(Event::ProgressFinished {
                item: "tests".to_owned(),
            });
            self.read_report(&name, report, &mut outcome).await?;
            Ok(outcome)
        };
        execute::stage("run", &self.session.reporter, times, Box::pin(running)).await
    }

    /// The summary; gives ginkgo's own exit code.
    fn tell(&self, outcome: &Outcome, report: Option<&Path>, times: Times, began: Instant) -> u8 {
        let reporter = &self.session.reporter;
        let failed = outcome.failures.len() as u64;
        for failure in &outcome.failures {
            let message = failure.message.replace('\n', "\n  ");
            reporter.failed(format!(
                "failed: {}\n  {message}\n  at {}",
                failure.name, failure.place
            ));
        }
        let skipped = match outcome.tally.skipped {
            0 => String::new(),
            skipped => format!(", {skipped} skipped"),
        };
        let passed = outcome.tally.passed();
        let mut next = vec![format!("{passed} passed, {failed} failed{skipped}")];
        if let Some(folder) = report {
            next.push(format!(
                "{}: e2e.log, junit.xml, report.json",
                folder.display()
            ));
        }
        let code = u8::try_from(outcome.status).unwrap_or(exit_code::FAILED);
        reporter.send(Event::Summary {
            stages: times,
            total: began.elapsed(),
        });
        reporter.send(Event::RunFinished {
            ok: code == exit_code::OK,
            next,
            log: self
                .session
                .log
                .as_ref()
                .filter(|_| code != 0)
                .map(|path| path.display().to_string()),
        });
        code
    }

    /// `--dry-run`.
    fn print_specs(&self, chosen: &Chosen) -> Result<u8, Error> {
        let mut specs = chosen.specs.clone();
        specs.sort();
        if self.session.output == Output::Json {
            return print(&json!({ "tests": specs }).to_string());
        }
        print(&specs.join("\n"))
    }
}
