//! The help of all commands.

use clap::CommandFactory;
use local_cluster::cli::{Cli, Command, Output, UpArgs};

pub(super) const COMMANDS: &[&[&str]] = &[
    &[],
    &["up"],
    &["reup"],
    &["run"],
    &["down"],
    &["clean"],
    &["stop"],
    &["start"],
    &["pause"],
    &["unpause"],
    &["clone"],
    &["list"],
    &["load"],
    &["e2e"],
    &["e2e", "images"],
    &["e2e-serial"],
    &["e2e-serial", "images"],
    &["status"],
    &["dump"],
    &["dump64"],
    &["split-dump"],
    &["split-dump64"],
    &["kubectl"],
    &["exec"],
    &["kubeconfig"],
    &["apiserver-port"],
    &["version"],
    &["completion"],
    &["config"],
    &["config", "show"],
    &["config", "path"],
    &["config", "init"],
    &["config", "schema"],
    &["image"],
    &["image", "build"],
    &["image", "list"],
    &["node"],
    &["node", "add"],
    &["node", "remove"],
    &["node", "list"],
    &["snapshot"],
    &["snapshot", "save"],
    &["snapshot", "list"],
    &["snapshot", "restore"],
    &["snapshot", "export"],
    &["snapshot", "import"],
    &["snapshot", "rm"],
];

fn help(command: &[&str]) -> String {
    let arguments = ["local-cluster", "help"].iter().chain(command);
    Cli::read(arguments).unwrap_err().to_string()
}

#[test]
fn every_command_has_its_help() {
    for command in COMMANDS {
        insta::assert_snapshot!(
            ["help"]
                .iter()
                .chain(*command)
                .copied()
                .collect::<Vec<_>>()
                .join("-"),
            help(command)
        );
    }
}

#[test]
fn every_command_is_looked_at() {
    let count = |command: &clap::Command| command.get_subcommands().count();
    let cli = Cli::command();
    let below: usize = cli.get_subcommands().map(count).sum();
    assert_eq!(COMMANDS.len(), 1 + count(&cli) + below);
}

#[test]
fn every_line_fits_into_80_columns() {
    for command in COMMANDS {
        for line in help(command).lines() {
            assert!(line.chars().count() <= 80, "{command:?}: {line}");
        }
    }
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

fn read(arguments: &[&str]) -> Cli {
    Cli::read(["local-cluster"].iter().chain(arguments)).unwrap()
}

fn settings(arguments: &[&str]) -> Vec<(&'static str, String)> {
    let settings = read(arguments).settings();
    settings
        .iter()
        .map(|(setting, text)| (setting.name, text.to_owned()))
        .collect()
}

#[test]
fn no_command_means_up() {
    assert_eq!(read(&[]).command, Some(Command::Up(UpArgs::default())));
    let with_flags = read(&["--num-nodes", "3", "--dry-run"]);
    assert_eq!(
        with_flags.command,
        read(&["up", "--num-nodes", "3", "--dry-run"]).command
    );
}

#[test]
fn flags_stand_before_or_after_the_command() {
    let wanted = settings(&["up", "--label", "dev", "--num-nodes", "3", "-v", "2"]);
    assert_eq!(
        settings(&["--label", "dev", "-v2", "--num-nodes", "3", "up"]),
        wanted
    );
    assert_eq!(
        settings(&["--v=2", "--num-nodes", "3", "--label=dev"]),
        wanted
    );
    let below = settings(&["--num-nodes", "3", "up", "--num-nodes", "4"]);
    assert_eq!(below, [("cluster.numNodes", "4".to_owned())]);
    assert_eq!(
        settings(&["--label", "dev", "down"]),
        settings(&["down", "--label", "dev"])
    );
    assert_eq!(
        read(&["status", "--output", "json"]).global.output,
        Output::Json
    );
}

#[test]
fn truth_values_need_no_value() {
    let text = |flag| settings(&["up", flag])[0].1.clone();
    assert_eq!(text("--no-dedicated"), "true");
    assert_eq!(text("--no-dedicated=false"), "false");
    assert_eq!(
        settings(&["up", "--preload", "a", "--preload", "b"])[0].1,
        "a,b"
    );
}

#[test]
fn kubectl_gets_all_that_follows_it() {
    let arguments = [
        "kubectl", "get", "pods", "-v", "6", "--label", "x", "--", "--help",
    ];
    let Some(Command::Kubectl { args }) = read(&arguments).command else {
        panic!()
    };
    assert_eq!(args, arguments[1..]);
    let Some(Command::Kubectl { args }) = read(&["kubectl", "--help"]).command else {
        panic!()
    };
    assert_eq!(args, ["--help"]);
    let Some(Command::Exec { node, command }) =
        read(&["exec", "kube-master", "crictl", "ps", "-a", "--output=json"]).command
    else {
        panic!()
    };
    assert_eq!((node.as_str(), command.len()), ("kube-master", 4));
}

#[test]
fn what_belongs_to_up_is_refused_elsewhere() {
    let error = |arguments: &[&str]| {
        let error = Cli::read(["local-cluster"].iter().chain(arguments)).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        error.to_string()
    };
    insta::assert_snapshot!(error(&["--num-nodes", "3", "down"]), @r#"
    error: `--num-nodes` is for `up`, and not for this command

    Usage: local-cluster [OPTIONS] [COMMAND]

    For more information, try '--help'.
    "#);
    insta::assert_snapshot!(error(&["--dry-run", "config", "show"]), @r#"
    error: `--dry-run` is for `up`, and not for this command

    Usage: local-cluster [OPTIONS] [COMMAND]

    For more information, try '--help'.
    "#);
    insta::assert_snapshot!(error(&["down", "--num-nodes", "3"]), @r#"
    error: unexpected argument '--num-nodes' found

    Usage: local-cluster down [OPTIONS]

    For more information, try '--help'.
    "#);
    insta::assert_snapshot!(error(&["up", "--num-node", "3"]), @r#"
    error: unexpected argument '--num-node' found

      tip: a similar argument exists: '--num-nodes'

    Usage: local-cluster up --num-nodes <N>

    For more information, try '--help'.
    "#);
    insta::assert_snapshot!(error(&["upp"]), @r#"
    error: unrecognized subcommand 'upp'

      tip: some similar subcommands exist: 'dump', 'up'

    Usage: local-cluster [OPTIONS] [COMMAND]

    For more information, try '--help'.
    "#);
    insta::assert_snapshot!(error(&["up", "--num-nodes"]), @r#"
    error: a value is required for '--num-nodes <N>' but none was supplied

    For more information, try '--help'.
    "#);
    insta::assert_snapshot!(error(&["--output", "yaml"]), @r#"
    error: invalid value 'yaml' for '--output <FORM>'
      [possible values: text, json]

    For more information, try '--help'.
    "#);
}

#[test]
fn names_that_no_snapshot_can_have_are_refused() {
    for arguments in [
        &["snapshot", "save", "a b"][..],
        &["snapshot", "save", ""],
        &["snapshot", "save", "Kept"],
        &["snapshot", "import", "file", "--name", "../x"],
    ] {
        let error = Cli::read(["local-cluster"].iter().chain(arguments)).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{arguments:?}");
        let told = error.to_string();
        let why = if arguments[2].is_empty() {
            "it must have 1 to 64 characters"
        } else {
            "only lower case letters, digits and, between them, `-` are allowed"
        };
        assert!(told.contains(why), "{told}");
    }
}
