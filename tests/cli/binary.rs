//! The real binary: what goes to which stream, and how it ends. There is no engine, so nothing is ever made.

use std::collections::BTreeSet;
use std::path::PathBuf;

use assert_cmd::Command;
use serde_json::{Value, json};

use super::bad_inputs;
use super::{Case, help};

/// How a run ended, with the place of the test left out of its texts.
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

/// Runs the binary with the case's arguments and nothing but its environment, a home and an address at which there is no
/// engine.
fn run(case: &Case) -> Ended {
    let home = case.home().display().to_string();
    let output = Command::cargo_bin("local-cluster")
        .unwrap()
        .env_clear()
        .env("HOME", &home)
        .env("DOCKER_HOST", format!("unix://{home}/no.sock"))
        .envs(&case.environment)
        .args(&case.arguments)
        .output()
        .unwrap();
    let text = |bytes| case.without_place(&String::from_utf8(bytes).unwrap());
    Ended {
        code: output.status.code().unwrap(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// The case with its configuration file named, so that the binary finds it.
fn named(case: Case) -> Case {
    let path = case.home().join("config.yaml");
    if !path.exists() || case.environment.contains_key("LOCAL_CLUSTER_CONF") {
        return case;
    }
    case.variable("LOCAL_CLUSTER_CONF", &path.display().to_string())
}

/// A case whose configuration file the binary finds.
fn case(file: &str, arguments: &[&str]) -> Case {
    named(Case::new().file(file).arguments(arguments))
}

/// A run without a configuration file.
fn typed(arguments: &[&str]) -> Ended {
    run(&Case::new().arguments(arguments))
}

#[test]
fn help_and_version_are_data() {
    let ended = run(&case("", &["--help"]));
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert!(ended.stdout.contains("Exit codes:"));
    let ended = run(&case("", &["--version"]));
    assert_eq!(
        (ended.code, ended.stdout),
        (0, format!("local-cluster {}\n", env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn every_help_is_data_and_fits_into_80_columns() {
    for command in help::COMMANDS {
        let arguments: Vec<&str> = ["help"].iter().chain(*command).copied().collect();
        let ended = typed(&arguments);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{command:?}");
        assert!(ended.stdout.contains("Usage: local-cluster"), "{command:?}");
        for line in ended.stdout.lines() {
            assert!(line.chars().count() <= 80, "{command:?}: {line}");
        }
    }
}

#[test]
fn settings_are_data() {
    let ended = run(&case("verbose: 2\n", &["config", "show", "--origin"]));
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert!(ended.stdout.starts_with("verbose: 2 "), "{}", ended.stdout);
    assert!(
        ended.stdout.contains("# file config.yaml:1"),
        "{}",
        ended.stdout
    );
}

#[test]
fn wrong_settings_end_with_2() {
    for command in ["up", "down", "clean", "status", "config"] {
        let arguments: &[&str] = if command == "config" {
            &["config", "show"]
        } else {
            &[command]
        };
        let ended = run(&case("verbose: loud\nlabel: x\n", arguments));
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{command}");
        assert!(
            ended
                .stderr
                .contains("config.yaml:1: verbose: `loud` is not a whole number"),
            "{}",
            ended.stderr
        );
        assert!(
            ended.stderr.contains("config.yaml:2: label: is no setting"),
            "{}",
            ended.stderr
        );
    }
}

/// What the library says of it is what the binary prints, before it has asked the engine anything.
#[test]
fn every_bad_input_ends_with_2() {
    for (given, case) in bad_inputs::cases() {
        let problems = case.problems();
        let ended = run(&named(case));
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{given}");
        assert_eq!(ended.stderr, format!("error: {problems}\n"), "{given}");
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    let ended = run(&case("", &["up", "--colour", "blue"]));
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    assert!(
        ended.stderr.contains("unexpected argument '--colour'"),
        "{}",
        ended.stderr
    );
    let ended = typed(&["upp"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    insta::assert_snapshot!(ended.stderr, @r"
    error: unrecognized subcommand 'upp'

      tip: some similar subcommands exist: 'dump', 'up'

    Usage: local-cluster [OPTIONS] [COMMAND]

    For more information, try '--help'.
    ");
}

#[test]
fn without_an_engine_every_command_says_the_same() {
    let commands = [
        &["up"][..],
        &[],
        &["up", "--dry-run"],
        &["down"],
        &["clean"],
        &["status"],
        &["image", "build"],
    ];
    let mut said = BTreeSet::new();
    for arguments in commands {
        let ended = typed(arguments);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (1, ""),
            "{arguments:?}"
        );
        // Each run that would change something has a log of its own.
        let told = ended.stderr.split("\nthe log of this run is ").next();
        said.insert(told.unwrap_or_default().to_owned());
    }
    assert_eq!(said.len(), 1, "{said:?}");
    insta::assert_snapshot!(said.first().unwrap(), @r"
    error: cannot use the Docker engine
      caused by: cannot reach the Docker engine at unix://no.sock
      caused by: Socket not found: no.sock

    hint: is Docker running, and is it the right one? `docker context ls` and `docker info` tell;
          `DOCKER_HOST` names another engine
    ");
}

#[test]
fn a_run_without_an_engine_leaves_nothing_but_its_log() {
    let case = Case::new().arguments(&["up"]);
    run(&case);
    assert_eq!(below(&case), [".local/state/local-cluster/LOG"]);
    let case = Case::new().arguments(&["status"]);
    run(&case);
    assert_eq!(below(&case), Vec::<String>::new());
}

/// All files of a home.
fn below(case: &Case) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![case.home().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                // The names of logs have the time in them.
                let log = path.extension().is_some_and(|end| end == "log");
                let path: PathBuf = if log {
                    path.with_file_name("LOG")
                } else {
                    path
                };
                found.push(case.without_place(&path.display().to_string()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn versions_are_data_with_and_without_an_engine() {
    let ended = typed(&["version"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{}", ended.stdout);
    assert_eq!(
        lines[0],
        format!("local-cluster {}", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(lines[2], "docker        not reachable");
    let ended = typed(&["version", "--output", "json"]);
    let version: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(version["localCluster"], env!("CARGO_PKG_VERSION"));
    assert_eq!(version["docker"], Value::Null);
}

#[test]
fn completions_are_data() {
    for (shell, sign) in [
        ("bash", "complete -F "),
        ("zsh", "#compdef local-cluster"),
        ("fish", "complete -c local-cluster"),
    ] {
        let ended = typed(&["completion", shell]);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{shell}");
        assert!(ended.stdout.contains(sign), "{shell}: {}", ended.stdout);
        for word in ["apiserver-port", "--num-nodes", "--dry-run"] {
            let word = if shell == "fish" {
                word.trim_start_matches('-')
            } else {
                word
            };
            assert!(ended.stdout.contains(word), "{shell} lacks {word}");
        }
    }
    let ended = typed(&["completion", "tcsh"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
}

/// The shell itself can read what is made for it.
#[test]
fn bash_takes_its_completion() {
    let script = typed(&["completion", "bash"]).stdout;
    let checked = Command::new("bash")
        .arg("-n")
        .write_stdin(script)
        .output()
        .unwrap();
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
}

#[test]
fn what_needs_no_settings_works_without_a_home() {
    for arguments in [
        &["version"][..],
        &["completion", "bash"],
        &["config", "schema"],
        &["config", "show"],
    ] {
        let output = Command::cargo_bin("local-cluster")
            .unwrap()
            .env_clear()
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let output = Command::cargo_bin("local-cluster")
        .unwrap()
        .env_clear()
        .arg("up")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(String::from_utf8(output.stderr).unwrap(), @r"
    error: cannot tell where logs belong

    hint: set HOME
    ");
}

/// The lines of a run in JSON, without the times.
fn events(ended: &Ended) -> Vec<Value> {
    let read = |line: &str| {
        let mut event: Value = serde_json::from_str(line).unwrap();
        let elapsed = event.as_object_mut().unwrap().remove("elapsed");
        assert!(elapsed.is_some_and(|elapsed| elapsed.is_number()), "{line}");
        event
    };
    ended.stdout.lines().map(read).collect()
}

#[test]
fn failures_are_events_for_programs() {
    let finished = json!({ "event": "run_finished", "ok": false, "next": [] });
    let ended = typed(&["up", "--output", "json"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (1, ""));
    let told = events(&ended);
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0]["event"], "failed");
    let text = told[0]["text"].as_str().unwrap();
    assert!(
        text.contains("cannot reach the Docker engine at") && text.contains("hint: "),
        "{text}"
    );
    let log = told[1]["log"].as_str().unwrap();
    assert!(
        log.contains(".local/state/local-cluster/local-cluster-up-"),
        "{log}"
    );
    assert_eq!(told[1]["ok"], false);

    let ended = run(&case("verbose: loud\n", &["status", "--output", "json"]));
    assert_eq!((ended.code, ended.stderr.as_str()), (2, ""));
    let told = events(&ended);
    assert!(
        told[0]["text"]
            .as_str()
            .unwrap()
            .contains("config.yaml:1: verbose: "),
        "{told:?}"
    );
    assert_eq!(told[1], finished);
}
