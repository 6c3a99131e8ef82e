//! The renderers on one script of events.

use super::*;

/// What a renderer wrote.
#[derive(Clone, Default)]
pub(super) struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn step_started(step: &str) -> Event {
    Event::StepStarted {
        stage: "nodes".into(),
        step: step.into(),
    }
}

fn step_finished(step: &str, took: f64, ok: bool) -> Event {
    Event::StepFinished {
        stage: "nodes".into(),
        step: step.into(),
        took: seconds(took),
        ok,
    }
}

fn progress(done: u64) -> Event {
    Event::Progress {
        item: "kubelet".into(),
        done: done << 20,
        total: Some(60 << 20),
        unit: Unit::Bytes,
        failed: None,
    }
}

/// A run in which a bit of everything happens, each event at its time.
pub(super) fn script() -> Vec<(Duration, Event)> {
    let events = [
        (
            0.0,
            Event::RunStarted {
                command: "up".into(),
                cluster: Some("default".into()),
            },
        ),
        (
            0.0,
            Event::Note {
                text: "binaries come from `release`".into(),
            },
        ),
        (
            0.1,
            Event::StageStarted {
                stage: "binaries".into(),
            },
        ),
        (0.1, progress(0)),
        (0.2, progress(1)),
        (1.5, progress(9)),
        (3.0, progress(60)),
        (
            3.0,
            Event::ProgressFinished {
                item: "kubelet".into(),
            },
        ),
        (
            3.1,
            Event::StageFinished {
                stage: "binaries".into(),
                took: seconds(3.0),
                ok: true,
            },
        ),
        (
            3.1,
            Event::StageStarted {
                stage: "nodes".into(),
            },
        ),
        (3.1, step_started("create container `kube-master`")),
        (3.1, step_started("create container `kube-node-1`")),
        (
            3.2,
            Event::Output {
                source: "kube-master".into(),
                line: "\u{1b}[1msystemd\u{1b}[0m 257\u{7}".into(),
            },
        ),
        (
            3.6,
            step_finished("create container `kube-master`", 0.5, true),
        ),
        (
            4.0,
            Event::Warning {
                text: "the engine's data root cannot nest".into(),
                hint: Some("move it to a file system that is no overlay".into()),
            },
        ),
        (
            9.1,
            step_finished("create container `kube-node-1`", 6.0, false),
        ),
        (
            9.1,
            Event::StageFinished {
                stage: "nodes".into(),
                took: seconds(6.0),
                ok: false,
            },
        ),
        (
            9.1,
            Event::Failed {
                text: "error: stage `nodes` failed\n  caused by: no space".into(),
            },
        ),
        (
            9.2,
            Event::Summary {
                stages: vec![
                    ("binaries".into(), seconds(3.0)),
                    ("nodes".into(), seconds(64.0)),
                ],
                total: seconds(67.0),
            },
        ),
        (
            9.2,
            Event::RunFinished {
                ok: false,
                next: vec!["run `local-cluster dump`".into()],
                log: Some("/state/up.log".into()),
            },
        ),
    ];
    events
        .into_iter()
        .map(|(at, event)| (seconds(at), clean::event(event)))
        .collect()
}

fn plain(verbosity: u8) -> String {
    let written = Written::default();
    let mut renderer =
        plain::Renderer::new(Box::new(written.clone()), verbosity, text::Colour::OFF);
    for (at, event) in script() {
        renderer.show(&event, at);
    }
    written.text()
}

#[test]
fn plain_shows_stages_failures_and_long_steps() {
    insta::assert_snapshot!(plain(0), @r"
    note: binaries come from `release`
     • binaries ...
       kubelet 15 % (9.0 of 60.0 MiB)
       kubelet done
     ✓ binaries 3.0s
     • nodes ...
    warning: the engine's data root cannot nest
      hint: move it to a file system that is no overlay
       ✗ create container `kube-node-1` failed after 6.0s
     ✗ nodes failed after 6.0s
    error: stage `nodes` failed
      caused by: no space

       3.0s  binaries
     1m 04s  nodes
     1m 07s  in all

    run `local-cluster dump`
    the log of this run is /state/up.log
    ");
}

#[test]
fn plain_shows_steps_and_output_when_asked() {
    insta::assert_snapshot!(plain(2), @r"
    local-cluster up: cluster `default`
    note: binaries come from `release`
     • binaries ...
       kubelet 15 % (9.0 of 60.0 MiB)
       kubelet done
     ✓ binaries 3.0s
     • nodes ...
       • create container `kube-master` ...
       • create container `kube-node-1` ...
       kube-master | systemd 257
       ✓ create container `kube-master` 0.5s
    warning: the engine's data root cannot nest
      hint: move it to a file system that is no overlay
       ✗ create container `kube-node-1` failed after 6.0s
     ✗ nodes failed after 6.0s
    error: stage `nodes` failed
      caused by: no space

       3.0s  binaries
     1m 04s  nodes
     1m 07s  in all

    run `local-cluster dump`
    the log of this run is /state/up.log
    ");
}

#[test]
fn json_has_an_object_a_line() {
    let written = Written::default();
    let mut renderer = json::Renderer::new(Box::new(written.clone()), 2);
    for (at, event) in script() {
        renderer.show(&event, at);
    }
    insta::assert_snapshot!(written.text(), @r#"
    {"elapsed":0.0,"event":"run_started","command":"up","cluster":"default"}
    {"elapsed":0.0,"event":"note","text":"binaries come from `release`"}
    {"elapsed":0.1,"event":"stage_started","stage":"binaries"}
    {"elapsed":0.1,"event":"progress","item":"kubelet","done":0,"total":62914560,"unit":"bytes"}
    {"elapsed":1.5,"event":"progress","item":"kubelet","done":9437184,"total":62914560,"unit":"bytes"}
    {"elapsed":3.0,"event":"progress","item":"kubelet","done":62914560,"total":62914560,"unit":"bytes"}
    {"elapsed":3.0,"event":"progress_finished","item":"kubelet"}
    {"elapsed":3.1,"event":"stage_finished","stage":"binaries","took":3.0,"ok":true}
    {"elapsed":3.1,"event":"stage_started","stage":"nodes"}
    {"elapsed":3.1,"event":"step_started","stage":"nodes","step":"create container `kube-master`"}
    {"elapsed":3.1,"event":"step_started","stage":"nodes","step":"create container `kube-node-1`"}
    {"elapsed":3.2,"event":"output","source":"kube-master","line":"systemd 257"}
    {"elapsed":3.6,"event":"step_finished","stage":"nodes","step":"create container `kube-master`","took":0.5,"ok":true}
    {"elapsed":4.0,"event":"warning","text":"the engine's data root cannot nest","hint":"move it to a file system that is no overlay"}
    {"elapsed":9.1,"event":"step_finished","stage":"nodes","step":"create container `kube-node-1`","took":6.0,"ok":false}
    {"elapsed":9.1,"event":"stage_finished","stage":"nodes","took":6.0,"ok":false}
    {"elapsed":9.1,"event":"failed","text":"error: stage `nodes` failed\n  caused by: no space"}
    {"elapsed":9.2,"event":"summary","stages":[{"stage":"binaries","took":3.0},{"stage":"nodes","took":64.0}],"total":67.0}
    {"elapsed":9.2,"event":"run_finished","ok":false,"next":["run `local-cluster dump`"],"log":"/state/up.log"}
    "#);
    for line in written.text().lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(
            value["event"].is_string() && value["elapsed"].is_f64(),
            "{line}"
        );
    }
}

#[test]
fn json_leaves_output_out_by_default() {
    let written = Written::default();
    let mut renderer = json::Renderer::new(Box::new(written.clone()), 0);
    renderer.show(
        &Event::Output {
            source: "a".into(),
            line: "b".into(),
        },
        Duration::ZERO,
    );
    assert_eq!(written.text(), "");
}

#[test]
fn memory_keeps_clean_events() {
    let (reporter, events) = Reporter::memory();
    reporter.note("one");
    reporter.clone().warn("two\u{1b}[2J", Some("three"));
    assert_eq!(
        *events.lock().unwrap(),
        [
            Event::Note { text: "one".into() },
            Event::Warning {
                text: "two".into(),
                hint: Some("three".into())
            }
        ]
    );
}

#[test]
fn a_reporter_can_be_shared() {
    fn shared<T: Clone + Send + Sync + 'static>(_: &T) {}
    shared(&Reporter::silent());
}

#[test]
fn only_a_capable_terminal_is_drawn_on() {
    let with = |terminal, pairs: &[(&str, &str)]| {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        interactive(terminal, &pairs.collect())
    };
    assert!(with(true, &[("TERM", "xterm")]));
    assert!(with(true, &[("NO_COLOR", ""), ("CI", "false")]));
    assert!(!with(false, &[]));
    assert!(!with(true, &[("TERM", "dumb")]));
    assert!(!with(true, &[("NO_COLOR", "1")]));
    assert!(!with(true, &[("CI", "true")]));
}
