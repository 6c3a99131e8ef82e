//! `run`: a new cluster, for as long as the program runs. It is brought up as `up` does it, kept, and removed as
//! `clean` does it, whatever ends the run: a signal, a request, the time, a failure.

mod link;
mod service;

use super::down;
use super::identity::Identity;
use super::session::{self, Session};
use super::up::{self, Old, Up};
use crate::cli::RunArgs;
use crate::engine::{Engine, label};
use crate::error::{Error, exit_code, in_one_line, render};
use crate::execute::Times;
use crate::lock::Lock;
use crate::report::Event;
use crate::run::probe::Probe;
use crate::run::progress::{Phase, Progress};
use crate::run::server::{Teller, listen};
use crate::signal;
use futures_util::future;
use link::Link;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How often it is looked whether the cluster that is kept is still there.
const WATCHING: Duration = Duration::from_secs(2);

/// What ends a run, where that is no signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// `POST /stop`.
    Asked,
    /// `--timeout`.
    Late,
}

/// The one end of a run, which can come from several sides.
#[derive(Clone)]
struct Ending {
    cancel: CancellationToken,
    why: Arc<OnceLock<End>>,
}

impl Ending {
    /// It comes, unless it has come.
    fn come(&self, why: End) {
        if !self.cancel.is_cancelled() {
            // Two may come at once: one of them is told.
            let _ = self.why.set(why);
            self.cancel.cancel();
        }
    }

    fn words(&self) -> &'static str {
        match self.why.get() {
            None => "a signal came",
            Some(End::Asked) => "somebody asked for it by HTTP",
            Some(End::Late) => "its time is over",
        }
    }
}

/// `run`.
pub(super) async fn run(session: &Session, arguments: &RunArgs) -> Result<u8, Error> {
    let began = Instant::now();
    let ending = Ending {
        cancel: signal::watch(session.reporter.clone()),
        why: Arc::default(),
    };
    // Before anything is made: a port that is taken cannot be waited for.
    let listener = listen(arguments.listen).await?;
    let address = listener.local_addr().unwrap_or(arguments.listen);
    if let Some(name) = &arguments.systemd_unit {
        drop(listener);
        return service::hand_over(session, arguments, name, &ending.cancel).await;
    }
    let engine = session.engine().await?;
    let networks = session::networks(&engine).await?;
    let identity = session.identity_among(&engine, &networks).await?;
    let dry_run = arguments.up.dry_run;
    let lock = if dry_run {
        None
    } else {
        Some(session.lock(&identity)?)
    };
    must_be_new(&engine, &identity).await?;
    let link = match &arguments.kubectl_link {
        Some(path) => Some(Link::plan(session, &identity, path)?),
        None => None,
    };
    let mut up = Up {
        session,
        engine: &engine,
        identity,
        networks,
        old: Old::Stays,
        // It would be removed with all else.
        keeps_fresh: false,
        cancel: &ending.cancel,
        began,
    };
    if dry_run {
        up.bring(&arguments.up).await?;
        return Ok(exit_code::OK);
    }
    let teller = teller(&up, &ending);
    let context = up.identity.names.context();
    session.reporter.started("run", Some(context));
    // All of them end with the run.
    let mut beside = JoinSet::new();
    beside.spawn(Arc::clone(&teller).serve(listener));
    if let Some(timeout) = arguments.timeout {
        beside.spawn(end_after(timeout, ending.clone()));
    }

    let brought = async {
        link.as_ref().map_or(Ok(()), Link::make)?;
        let times = up.bring(&arguments.up).await?.unwrap_or_default();
        {
            let mut progress = teller.progress();
            progress.phase = Phase::Up;
            progress.up = Some(began.elapsed());
        }
        tell_ready(&up, arguments, address, times)
    };
    let brought = brought.await;
    let (brought, lock) = if brought.is_ok() {
        // Others may change the cluster while it is kept.
        drop(lock);
        let kept = tokio::select! {
            () = ending.cancel.cancelled() => Ok(()),
            () = gone(&engine, &up.identity) => Err(Error::message(format!(
                "somebody has removed cluster `{context}`, which was to be kept",
                context = up.identity.names.context()
            ))),
        };
        (kept, None)
    } else {
        (brought, lock)
    };
    if ending.cancel.is_cancelled() {
        let note = format!("the cluster is taken down: {}", ending.words());
        session.reporter.note(note);
    }
    teller.progress().phase = Phase::GoingDown;
    let removed = take_down(&up, lock, link).await;
    match (brought, removed) {
        (Ok(()), Ok(())) => {
            session
                .reporter
                .finished(Vec::new(), began.elapsed(), Vec::new());
            Ok(exit_code::OK)
        }
        (Ok(()), Err(error)) => {
            let left = what_is_left(&up.identity);
            Ok(failed(session, &error, left))
        }
        (Err(error), removed) => {
            let left = removed.as_ref().err().map(|also| {
                let left = what_is_left(&up.identity);
                session.reporter.warn(in_one_line(also), Some(&left));
                left
            });
            ended_early(session, arguments, &ending, &error, left)
        }
    }
}

/// Ends when the cluster's network is gone, which only `clean` removes: who relies on the cluster must not wait for the end.
async fn gone(engine: &Engine, identity: &Identity) {
    let network = identity.names.network();
    loop {
        tokio::time::sleep(WATCHING).await;
        // An engine that does not answer says nothing of the cluster.
        if let Ok(networks) = session::networks(engine).await
            && networks.iter().all(|one| one.name != network)
        {
            return;
        }
    }
}

fn what_is_left(identity: &Identity) -> String {
    let flag = identity.flag();
    format!("`local-cluster{flag} clean` removes what is left of the cluster")
}

/// Tells of a failure; gives the exit code. Hints of what failed are for a cluster that is there: the last one says
/// what there is.
fn failed(session: &Session, error: &Error, last: String) -> u8 {
    let mut hints = error.hints();
    hints.push(last);
    session.reporter.failed(render(error, &hints));
    over(session);
    error.exit_code()
}

fn over(session: &Session) {
    let log = session.log.as_deref();
    session.reporter.send(Event::RunFinished {
        ok: false,
        next: Vec::new(),
        log: log.map(|path| path.display().to_string()),
    });
}

/// What became of a run whose cluster was never ready.
fn ended_early(
    session: &Session,
    arguments: &RunArgs,
    ending: &Ending,
    error: &Error,
    left: Option<String>,
) -> Result<u8, Error> {
    if error.exit_code() != exit_code::INTERRUPTED {
        let gone =
            "nothing of the cluster is left: `up` in place of `run` leaves it there, for a look";
        let last = left.unwrap_or_else(|| gone.to_owned());
        return Ok(failed(session, error, last));
    }
    if let (Some(End::Late), Some(timeout)) = (ending.why.get(), arguments.timeout) {
        let timeout = humantime::format_duration(timeout);
        return Err(Error::with_hint(
            format!("the cluster was not ready within {timeout}: {error}"),
            "give it more time, or look at the log for what it took so long",
        ));
    }
    // Nothing is left that the same command could go on with, as the hint of an interruption says.
    session.reporter.warn(error.to_string(), None);
    over(session);
    Ok(error.exit_code())
}

async fn end_after(timeout: Duration, ending: Ending) {
    tokio::time::sleep(timeout).await;
    ending.come(End::Late);
}

/// What answers by HTTP, and hears from the reporter how far the run is.
fn teller(up: &Up<'_>, ending: &Ending) -> Arc<Teller> {
    let ending = ending.clone();
    let probe = Probe {
        engine: up.engine.clone(),
        selector: up.identity.selector(),
    };
    let stop = Box::new(move || ending.come(End::Asked));
    let teller = Arc::new(Teller::new(Progress::default(), up.began, probe, stop));
    let following = Arc::clone(&teller);
    let follow = move |event: &Event| following.progress().follow(event);
    up.session.reporter.listen(follow);
    teller
}

/// What is removed in the end must be new.
async fn must_be_new(engine: &Engine, identity: &Identity) -> Result<(), Error> {
    let selector = identity.selector();
    let both = future::try_join(engine.containers(&selector), engine.volumes(&selector)).await;
    let (containers, volumes) = both.map_err(|source| identity.not_found(source))?;
    let mut snapshots = volumes
        .iter()
        .filter(|one| one.labels.contains_key(label::SNAPSHOT));
    let what = if !containers.is_empty() {
        "is there already"
    } else if snapshots.next().is_some() {
        "is down, and snapshots of it are kept"
    } else if !volumes.is_empty() {
        "was not removed as a whole"
    } else {
        return Ok(());
    };
    Err(Error::with_hint(
        format!(
            "cluster `{}` {what}: `run` removes all of a cluster in the end, and takes only a new one",
            identity.names.context()
        ),
        format!(
            "`--cluster-id N` or `--label NAME` names another; `local-cluster{} clean` removes this one",
            identity.flag()
        ),
    ))
}

/// Says that the cluster is there, how it is used, and what ends it.
fn tell_ready(
    up: &Up<'_>,
    arguments: &RunArgs,
    address: SocketAddr,
    times: Times,
) -> Result<(), Error> {
    let reporter = &up.session.reporter;
    reporter.send(Event::Summary {
        stages: times,
        total: up.began.elapsed(),
    });
    for line in up::to_use(up.session, &up.identity)? {
        reporter.note(line);
    }
    let time = arguments.timeout.map(|timeout| {
        format!(
            ", and so does the end of {}",
            humantime::format_duration(timeout)
        )
    });
    reporter.note(format!(
        "the cluster is ready; Ctrl-C, SIGTERM or `curl -X POST http://{address}/stop` takes it down{}",
        time.unwrap_or_default()
    ));
    if !address.ip().is_loopback() {
        let text = format!("whoever reaches {address} can have the cluster taken down");
        reporter.warn(text, None);
    }
    Ok(())
}

/// Removes all that there is of the cluster, when nobody else works on it.
async fn take_down(up: &Up<'_>, lock: Option<Lock>, link: Option<Link>) -> Result<(), Error> {
    let unlinked = link.map_or(Ok(()), |link| link.remove());
    let _lock = match lock {
        Some(lock) => lock,
        // Another run must come to its end. A second signal ends this wait with the program.
        None => {
            up.session
                .lock_waiting(&up.identity, &CancellationToken::new())
                .await?
        }
    };
    down::remove_all(up.session, up.engine, &up.identity).await?;
    unlinked
}
