//! The examples for CI systems: their steps, as they stand, in the order in which those systems run them.

use crate::program::{Program, engine};
use serde_yaml::Value;

/// What a CI system runs, and when.
#[derive(Debug, Default)]
struct Job {
    install: Vec<String>,
    steps: Vec<String>,
    on_failure: Vec<String>,
    always: Vec<String>,
}

fn read(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

fn travis() -> Job {
    let file = read(include_str!("../../examples/travis.yml"));
    let phase = |name: &str| -> Vec<String> {
        let commands = file[name].as_sequence().unwrap().iter();
        commands
            .map(|command| command.as_str().unwrap().to_owned())
            .collect()
    };
    Job {
        install: phase("install"),
        steps: phase("script"),
        on_failure: phase("after_failure"),
        always: phase("after_script"),
    }
}

fn github() -> Job {
    let file = read(include_str!("../../examples/github-workflow.yml"));
    let mut job = Job::default();
    for step in file["jobs"]["cluster"]["steps"].as_sequence().unwrap() {
        // GitHub's own actions.
        let Some(command) = step["run"].as_str() else {
            assert!(step["uses"].is_string(), "{step:?}");
            continue;
        };
        let place = match step["if"].as_str() {
            Some("failure()") => &mut job.on_failure,
            Some("always()") => &mut job.always,
            Some(other) => panic!("{other}"),
            None if job.install.is_empty() => &mut job.install,
            None => &mut job.steps,
        };
        place.push(command.to_owned());
    }
    job
}

#[test]
fn the_example_for_travis_works() {
    works(&Program::new(32), &travis());
}

#[test]
fn the_example_for_github_works() {
    works(&Program::new(33), &github());
}

/// All steps succeed. Then one that a user has added fails, so that those for a failure come, and those that always do.
fn works(program: &Program, job: &Job) {
    // The one step that is replaced: it fetches what was released and builds it for long; here the program is the one
    // that is tested. It is found by its name, as it is after `cargo install`.
    assert_eq!(
        job.install,
        ["cargo install --locked --git REPOSITORY local-cluster"]
    );
    let all = job.steps.join("\n");
    assert!(
        all.contains("should serve a basic endpoint from pods"),
        "{all}"
    );
    for step in &job.steps {
        let output = program.shell(step);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{step}:\n{told}");
    }
    assert!(!program.shell("false").status.success());
    let mut log = Vec::new();
    for step in &job.on_failure {
        log.extend(program.shell(step).stdout);
    }
    // The log has all that the steps wrote, and a dump in it.
    let (path, files) = (program.home().join("job.log"), program.home().join("dump"));
    std::fs::write(
        &path,
        [b"$ local-cluster dump64\r\n".as_slice(), &log].concat(),
    )
    .unwrap();
    let names = [files.to_str().unwrap(), path.to_str().unwrap()];
    program.ok(&["split-dump64", "--to", names[0], names[1]]);
    let index = std::fs::read_to_string(files.join("index.txt")).unwrap();
    assert!(index.contains("kube-master"), "{index}");
    for step in &job.always {
        let output = program.shell(step);
        assert!(output.status.success(), "{step}: {output:?}");
    }
    let left = engine("GET", "/containers/json?all=1");
    assert!(!left.contains(&program.container("kube-master")), "{left}");
}
