//! One file a subcommand: settings, then what is wanted, then acts, then prints.

mod bar;
mod client;
mod clone;
pub mod config;
mod down;
mod dump;
mod e2e;
mod identity;
mod image;
mod image_list;
mod kubectl;
mod lifecycle;
mod list;
mod load;
mod making;
mod node;
mod preflight;
mod recovery;
mod restore;
mod run;
mod session;
mod snapshot;
mod split_dump;
mod standing;
mod status;
mod surroundings;
mod table;
mod transfer;
mod up;

use crate::cli::{self, Cli, Command, Output};
use crate::error::{Error, exit_code, render};
use crate::plan::{self, Stage};
use crate::report::{Event, Reporter, print_data};
use clap::CommandFactory;
use serde_json::json;
use session::Session;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

/// Runs the program with these arguments; gives its exit code.
pub async fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::read(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // A terminal that has gone away cannot be told anything.
            let _ = error.print();
            return if error.use_stderr() {
                exit_code::USAGE
            } else {
                exit_code::OK
            };
        }
    };
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let session = match Session::begin(&cli, environment) {
        Ok(session) => session,
        Err(error) => {
            return fail(
                &Reporter::new(cli.global.output.into(), 1, false, None),
                &error,
                None,
            );
        }
    };
    match act(&cli, &session).await {
        Ok(code) => {
            session.reporter.close();
            code
        }
        Err(error) => fail(&session.reporter, &error, session.log.as_deref()),
    }
}

/// Tells why a command failed, and where all that it did is written.
fn fail(reporter: &Reporter, error: &Error, log: Option<&Path>) -> u8 {
    reporter.close();
    reporter.failed(render(error, &error.hints()));
    reporter.send(Event::RunFinished {
        ok: false,
        next: Vec::new(),
        log: log.map(|path| path.display().to_string()),
    });
    reporter.close();
    error.exit_code()
}

async fn act(cli: &Cli, session: &Session) -> Result<u8, Error> {
    match cli.command.as_ref() {
        None => Err(Error::message("no command")),
        Some(Command::Up(arguments)) => up::run(session, arguments, up::Old::Stays).await,
        Some(Command::Reup(arguments)) => up::run(session, arguments, up::Old::Goes).await,
        Some(Command::Run(arguments)) => run::run(session, arguments).await,
        Some(Command::Down) => down::down(session).await,
        Some(Command::Clean(arguments)) => down::clean(session, arguments).await,
        Some(Command::Stop(nodes)) => lifecycle::stop(session, nodes).await,
        Some(Command::Start(nodes)) => lifecycle::start(session, nodes).await,
        Some(Command::Pause(nodes)) => lifecycle::pause(session, nodes).await,
        Some(Command::Unpause(nodes)) => lifecycle::unpause(session, nodes).await,
        Some(Command::List) => list::run(session).await,
        Some(Command::Clone(arguments)) => clone::run(session, arguments).await,
        Some(Command::Snapshot(command)) => snapshot_command(session, command).await,
        Some(Command::E2e(arguments)) => e2e::run(session, arguments, false).await,
        Some(Command::E2eSerial(arguments)) => e2e::run(session, arguments, true).await,
        Some(Command::Load(arguments)) => load::run(session, arguments).await,
        Some(Command::Status) => status::run(session).await,
        Some(Command::Dump(arguments)) => dump::run(session, arguments).await,
        Some(Command::Dump64(time)) => dump::packed(session, time).await,
        Some(Command::SplitDump(arguments)) => split_dump::plain(session, arguments),
        Some(Command::SplitDump64(arguments)) => split_dump::packed(session, arguments),
        Some(Command::Kubectl { args }) => kubectl::kubectl(session, args).await,
        Some(Command::Exec { node, command }) => kubectl::exec(session, node, command).await,
        Some(Command::Kubeconfig) => kubectl::kubeconfig(session).await,
        Some(Command::ApiserverPort) => kubectl::apiserver_port(session).await,
        Some(Command::Version) => kubectl::version(session).await,
        Some(Command::Completion { shell }) => completion(*shell),
        Some(Command::Config(command)) => config_command(cli, session, command),
        Some(Command::Node(cli::NodeCommand::Add(arguments))) => {
            node::add(session, arguments).await
        }
        Some(Command::Node(cli::NodeCommand::Remove(arguments))) => {
            node::remove(session, arguments).await
        }
        Some(Command::Node(cli::NodeCommand::List)) => node::list(session).await,
        Some(Command::Image(cli::ImageCommand::Build { .. })) => image::build(session).await,
        Some(Command::Image(cli::ImageCommand::List { nodes })) => {
            image_list::run(session, nodes).await
        }
    }
}

async fn snapshot_command(session: &Session, command: &cli::SnapshotCommand) -> Result<u8, Error> {
    match command {
        cli::SnapshotCommand::Save { name } => snapshot::save(session, name.as_deref()).await,
        cli::SnapshotCommand::List => snapshot::list(session).await,
        cli::SnapshotCommand::Restore { name } => restore::run(session, name).await,
        cli::SnapshotCommand::Export { name, file } => transfer::export(session, name, file).await,
        cli::SnapshotCommand::Import { file, name } => {
            transfer::import(session, file, name.as_deref()).await
        }
        cli::SnapshotCommand::Rm { name } => snapshot::remove(session, name).await,
    }
}

fn print(text: &str) -> Result<u8, Error> {
    print_data(text).map_err(|source| Error::other("write to standard output", source))?;
    Ok(exit_code::OK)
}

/// Prints what would be done, for `--dry-run`.
fn print_plan(session: &Session, stages: &[Stage]) -> Result<u8, Error> {
    if session.output == Output::Text {
        return print(&plan::render(stages));
    }
    let stage = |stage: &Stage| {
        let steps: Vec<String> = stage.steps.iter().map(ToString::to_string).collect();
        json!({ "stage": stage.title, "steps": steps })
    };
    let plan = json!({ "plan": stages.iter().map(stage).collect::<Vec<_>>() });
    print(&plan.to_string())
}

fn completion(shell: clap_complete::Shell) -> Result<u8, Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "local-cluster", &mut script);
    print(&String::from_utf8_lossy(&script))
}

fn config_command(cli: &Cli, session: &Session, command: &cli::ConfigCommand) -> Result<u8, Error> {
    let flags = cli.settings();
    let surroundings = config::Surroundings {
        flags: &flags,
        environment: &session.environment,
        home: session.home.as_deref(),
    };
    let text =
        config::run(command, &surroundings, cli.global.output).map_err(|error| match error {
            config::ConfigError::Settings(_) | config::ConfigError::NoPlace => {
                Error::Settings(error.into())
            }
            error => Error::other("do that", error),
        })?;
    print(&text)
}
