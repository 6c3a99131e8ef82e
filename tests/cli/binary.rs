//! The real binary: what goes to which stream, and how it ends.

use assert_cmd::Command;

use super::Case;

/// Runs the binary with the case's arguments and nothing but its environment.
fn run(case: &Case) -> (i32, String, String) {
    let output = Command::cargo_bin("local-cluster")
        .unwrap()
        .env_clear()
        .envs(&case.environment)
        .args(&case.arguments)
        .output()
        .unwrap();
    let text = |bytes| case.without_place(&String::from_utf8(bytes).unwrap());
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// A case whose configuration file the binary finds.
fn case(file: &str, arguments: &[&str]) -> Case {
    let case = Case::new().file(file).arguments(arguments);
    let path = case.home().join("config.yaml").display().to_string();
    case.variable("LOCAL_CLUSTER_CONF", &path)
}

#[test]
#[ignore = "the binary does nothing yet"]
fn help_and_version_are_data() {
    let (code, stdout, stderr) = run(&case("", &["--help"]));
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(stdout.contains("Exit codes:"));
    let (code, stdout, _) = run(&case("", &["--version"]));
    assert_eq!(
        (code, stdout),
        (0, format!("local-cluster {}\n", env!("CARGO_PKG_VERSION")))
    );
}

#[test]
#[ignore = "the binary does nothing yet"]
fn settings_are_data() {
    let (code, stdout, stderr) = run(&case("verbose: 2\n", &["config", "show", "--origin"]));
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(stdout.starts_with("verbose: 2 "), "{stdout}");
    assert!(stdout.contains("# file config.yaml:1"), "{stdout}");
}

#[test]
#[ignore = "the binary does nothing yet"]
fn wrong_settings_end_with_2() {
    for command in ["up", "down", "config"] {
        let arguments: &[&str] = if command == "config" {
            &["config", "show"]
        } else {
            &[command]
        };
        let (code, stdout, stderr) = run(&case("verbose: loud\nlabel: x\n", arguments));
        assert_eq!((code, stdout.as_str()), (2, ""), "{command}");
        assert!(
            stderr.contains("config.yaml:1: verbose: `loud` is not a whole number"),
            "{stderr}"
        );
        assert!(
            stderr.contains("config.yaml:2: label: is no setting"),
            "{stderr}"
        );
    }
}

#[test]
#[ignore = "the binary does nothing yet"]
fn wrong_usage_ends_with_2() {
    let (code, stdout, stderr) = run(&case("", &["up", "--colour", "blue"]));
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(
        stderr.contains("unexpected argument '--colour'"),
        "{stderr}"
    );
}
