//! `config show`, `config path`, `config init` and `config schema`.

use std::os::unix::fs::PermissionsExt;

use local_cluster::cli::Command;
use local_cluster::commands::config::{self, ConfigError, Surroundings};
use local_cluster::settings::DEFAULTS;

use super::Case;

fn run(case: &Case) -> Result<String, ConfigError> {
    let cli = case.cli();
    let Some(Command::Config(command)) = &cli.command else {
        panic!("{cli:?}")
    };
    let flags = cli.settings();
    let surroundings = Surroundings {
        flags: &flags,
        environment: &case.environment,
        home: Some(case.home()),
    };
    config::run(command, &surroundings, cli.global.output)
}

fn printed(case: &Case) -> String {
    let text = run(case).unwrap();
    // The place has a name of changing length, and the comments line up behind the values.
    case.without_place(&text)
}

fn changed() -> Case {
    Case::new()
        .file("source:\n  kubernetesVersion: 1.30\n  goProxy: off\nimage:\n  preload: [agnhost]\n")
        .variable("CLUSTER_ID", "4")
        .variable("K8S_DIND_LABEL", "dev")
}

#[test]
fn shows_the_settings_as_a_file() {
    let case = changed().arguments(&["config", "show", "--num-nodes", "5", "--no-merge"]);
    insta::assert_snapshot!(printed(&case));
}

#[test]
fn what_is_shown_can_be_the_configuration_file() {
    let case = changed();
    let shown = run(&Case {
        arguments: vec!["config".into(), "show".into()],
        ..changed()
    })
    .unwrap();
    assert_eq!(
        Case::new().file(&shown).load().unwrap().settings,
        case.load().unwrap().settings
    );
}

#[test]
fn shows_where_the_settings_come_from() {
    let case = changed().arguments(&["config", "show", "--origin", "--num-nodes", "5"]);
    insta::assert_snapshot!(printed(&case));
}

#[test]
fn shows_json() {
    let case = changed().arguments(&["config", "show", "--output", "json"]);
    insta::assert_snapshot!(printed(&case));
    let case = changed().arguments(&["config", "show", "--origin", "--output", "json"]);
    let shown: serde_json::Value = serde_json::from_str(&printed(&case)).unwrap();
    assert_eq!(shown["settings"]["cluster"]["id"], 4);
    assert_eq!(shown["origins"]["cluster.id"], "environment CLUSTER_ID");
    assert_eq!(shown["origins"]["source.goProxy"], "file config.yaml:3");
}

#[test]
fn tells_the_path_also_when_the_file_is_wrong() {
    let case = Case::new().file("wrong").arguments(&["config", "path"]);
    assert_eq!(printed(&case), "config.yaml\n");
    let case = case.variable("LOCAL_CLUSTER_CONF", "/elsewhere.yaml");
    assert_eq!(printed(&case), "/elsewhere.yaml\n");
}

#[test]
fn writes_the_defaults_once() {
    let case = Case::new().arguments(&["config", "init"]);
    let path = case.home().join("new/directory/config.yaml");
    let case = case.variable("LOCAL_CLUSTER_CONF", &path.to_string_lossy());
    assert_eq!(printed(&case), "new/directory/config.yaml\n");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), DEFAULTS);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    std::fs::write(&path, "verbose: 2\n").unwrap();
    let error = run(&case).unwrap_err().to_string();
    assert_eq!(
        case.without_place(&error),
        "`new/directory/config.yaml` is there already; `--force` replaces it"
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "verbose: 2\n");

    run(&case.arguments(&["--force"])).unwrap();
}

#[test]
fn force_replaces_the_file() {
    let case = Case::new()
        .file("verbose: 2\n")
        .arguments(&["config", "init", "--force"]);
    run(&case).unwrap();
    let path = case.home().join("config.yaml");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), DEFAULTS);
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn prints_the_schema() {
    let case = Case::new().arguments(&["config", "schema"]);
    let schema: serde_json::Value = serde_json::from_str(&printed(&case)).unwrap();
    assert_eq!(schema["properties"]["version"]["const"], 1);
}
