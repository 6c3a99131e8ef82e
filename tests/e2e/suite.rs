//! Kubernetes' own tests, run by the program.

use crate::program::{Program, engine};
use serde_json::Value;
use std::process::Command;

const TEST: &str = "should serve a basic endpoint from pods";

#[test]
fn the_tests_of_kubernetes_run() {
    let program = Program::new(217);
    program.ok(&["up", "--num-nodes", "1", "--skip-snapshot"]);
    let report = program.home().join("report");
    program.ok(&["e2e", TEST, "--report", report.to_str().unwrap()]);
    let junit = std::fs::read_to_string(report.join("junit.xml")).unwrap();
    assert!(junit.contains(TEST), "{junit}");
    for name in ["e2e.log", "report.json"] {
        assert!(
            std::fs::metadata(report.join(name)).unwrap().len() > 0,
            "{name}"
        );
    }
    assert_nothing_stays(&program);

    let names = program.ok(&["e2e", "--dry-run", TEST]);
    assert_eq!(names.lines().count(), 1, "{names}");
    let images = program.ok(&["--output", "json", "e2e", "images", TEST]);
    let images = images.lines().find_map(|line| {
        let value: Value = serde_json::from_str(line).ok()?;
        value.get("images").cloned()
    });
    assert!(
        images
            .unwrap()
            .to_string()
            .contains("e2e-test-images/agnhost")
    );
    // The older agnhost is named in a file that helps these tests.
    let images = program.ok(&["e2e", "images", "StatefulSet Basic"]);
    let assembled = images.lines().filter(|line| line.contains("/agnhost:"));
    assert_eq!(assembled.count(), 2, "{images}");
    let (code, told) = program.fails(&["e2e", "there is no such test"]);
    assert_eq!(code, Some(1));
    assert!(
        told.contains("there is no test with `there is no such test` in its name"),
        "{told}"
    );

    a_test_that_fails_is_told(&program);

    // A signal in the midst of a test.
    let mut running = program.spawn(&["e2e", TEST]);
    program.until("a test has a namespace", |program| {
        !namespaces(program).is_empty()
    });
    let signalled = Command::new("kill")
        .args(["-INT", &running.id().to_string()])
        .status()
        .unwrap();
    assert!(signalled.success());
    assert_eq!(running.wait().unwrap().code(), Some(130));
    assert_nothing_stays(&program);

    // A run that fails in the midst of a test: somebody has removed its container.
    let mut running = program.spawn(&["e2e", TEST]);
    program.until("a test has a namespace", |program| {
        !namespaces(program).is_empty()
    });
    engine(
        "DELETE",
        "/containers/local-cluster-e2e-local-cluster-217?force=1",
    );
    assert_eq!(running.wait().unwrap().code(), Some(1));
    assert_nothing_stays(&program);

    // With the images in the nodes from the start, which share them, nothing is sent.
    let nodes = ["--num-nodes", "1", "--skip-snapshot"];
    program.ok(&[&["reup", "--preload", "e2e"], &nodes[..]].concat());
    let of_tests = program.ok(&["image", "list"]);
    assert!(of_tests.contains("e2e-test-images/nginx"), "{of_tests}");
    assert!(
        of_tests
            .lines()
            .skip(1)
            .all(|image| image.contains("all nodes"))
    );
    let told = program.ok(&["--output", "json", "e2e", TEST]);
    assert!(told.contains("\"stage\":\"run\""), "{told}");
    assert!(!told.contains("\"stage\":\"send\""), "{told}");
}

/// It wants two nodes for pods, and there is one. It would be run again and again if it passed.
fn a_test_that_fails_is_told(program: &Program) {
    let report = program.home().join("failed");
    let (code, told) = program.fails(&[
        "e2e",
        "should have at least two untainted nodes",
        "--parallel",
        "1",
        "--until-it-fails",
        "--report",
        report.to_str().unwrap(),
    ]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("0 passed, 1 failed"), "{told}");
    assert!(told.contains("\n  at "), "{told}");
    let junit = std::fs::read_to_string(report.join("junit.xml")).unwrap();
    assert!(junit.contains("<failure"), "{junit}");
    assert_nothing_stays(program);
}

/// Those areas whose tests pass quickly; all of them are in `docs/conformance.md`.
#[test]
fn half_of_the_conformance_tests_pass() {
    let program = Program::new(217);
    program.ok(&["up", "--num-nodes", "2", "--skip-snapshot"]);
    let focus = r"\[sig-(apps|auth|cli|network|scheduling|storage)\].*\[Conformance\]";
    let told = program.run(&["e2e", "--regex", focus, r"\[(Slow|Serial)\]"]);
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    let end = told
        .lines()
        .find(|line| line.ends_with(" passed, 0 failed"));
    let passed = end.and_then(|line| line.split(' ').next()?.parse::<u32>().ok());
    assert!(passed.is_some_and(|passed| passed > 200), "{told}");
}

fn namespaces(program: &Program) -> String {
    program.kubectl(&["get", "namespaces", "-l", "e2e-run", "-o", "name"])
}

fn assert_nothing_stays(program: &Program) {
    assert_eq!(namespaces(program), "");
    let containers = engine("GET", "/containers/json?all=1");
    assert!(
        !containers.contains("local-cluster-e2e-local-cluster-217"),
        "{containers}"
    );
}
