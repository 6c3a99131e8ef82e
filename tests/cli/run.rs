//! What is typed for `run`.

use std::time::Duration;

use assert_cmd::Command as Binary;
use local_cluster::cli::{Cli, Command, RunArgs};

fn read(arguments: &[&str]) -> Result<RunArgs, String> {
    let cli = Cli::read(["local-cluster"].iter().chain(arguments));
    match cli.map_err(|error| error.to_string())?.command {
        Some(Command::Run(arguments)) => Ok(arguments),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_run_takes_what_up_takes_and_more() {
    let arguments = [
        "--num-nodes",
        "0",
        "run",
        "--timeout",
        "1h 30m",
        "--listen=[::1]:0",
        "--dry-run",
    ];
    let run = read(&arguments).unwrap();
    assert_eq!(run.timeout, Some(Duration::from_mins(90)));
    assert_eq!(run.listen.to_string(), "[::1]:0");
    assert!(run.up.dry_run && run.up.settings.has("cluster.numNodes"));
    // Nobody else gets there unless that is asked for.
    assert!(read(&["run"]).unwrap().listen.ip().is_loopback());
    let unit = read(&["run", "--systemd-unit", "ci.service"])
        .unwrap()
        .systemd_unit;
    assert_eq!(unit.as_deref(), Some("ci"));
}

#[test]
fn what_cannot_be_is_refused() {
    let told = |arguments: &[&str]| {
        let error = read(&[&["run"], arguments].concat()).unwrap_err();
        let line = error.lines().next().unwrap();
        format!("{}\n    {line}\n", arguments.join(" "))
    };
    let all = [
        told(&["--timeout", "90"]),
        told(&["--timeout", "soon"]),
        told(&["--timeout", "0s"]),
        told(&["--timeout", "1M"]),
        told(&["--listen", "8989"]),
        told(&["--listen", "localhost:8989"]),
        told(&["--systemd-unit", "../ci"]),
        told(&["--systemd-unit", "ci@1"]),
        told(&["--kubectl-link"]),
    ];
    insta::assert_snapshot!(all.concat(), @r"
    --timeout 90
        error: invalid value '90' for '--timeout <DURATION>': time unit needed, for example 90sec or 90ms; give it as in `45m` or `1h 30m`
    --timeout soon
        error: invalid value 'soon' for '--timeout <DURATION>': expected number at 0; give it as in `45m` or `1h 30m`
    --timeout 0s
        error: invalid value '0s' for '--timeout <DURATION>': what ends at once does nothing
    --timeout 1M
        error: invalid value '1M' for '--timeout <DURATION>': that is 1month; 30 days are the longest
    --listen 8989
        error: invalid value '8989' for '--listen <ADDRESS:PORT>': give an address, no name, and a port, as in `127.0.0.1:8989`
    --listen localhost:8989
        error: invalid value 'localhost:8989' for '--listen <ADDRESS:PORT>': give an address, no name, and a port, as in `127.0.0.1:8989`
    --systemd-unit ../ci
        error: invalid value '../ci' for '--systemd-unit <NAME>': give 1 to 100 letters, digits and `_`, `-`, `.`, `:`, a letter or digit first
    --systemd-unit ci@1
        error: invalid value 'ci@1' for '--systemd-unit <NAME>': give 1 to 100 letters, digits and `_`, `-`, `.`, `:`, a letter or digit first
    --kubectl-link
        error: a value is required for '--kubectl-link <PATH>' but none was supplied
    ");
}

/// Without a `systemd-run` it is the same as without systemd: an error, and what can be done instead.
#[test]
fn without_systemd_there_is_nobody_to_hand_it_to() {
    let home = tempfile::tempdir().unwrap();
    let output = Binary::cargo_bin("local-cluster")
        .unwrap()
        .env_clear()
        .env("HOME", home.path())
        .env("PATH", "/nowhere")
        .args(["run", "--systemd-unit", "ci", "--listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.starts_with("error: cannot hand the run to systemd: "),
        "{told}"
    );
    assert!(told.contains("hint: leave `--systemd-unit` out"), "{told}");
}
