//! Errors as they are shown.

use super::*;

fn command() -> Error {
    Error::Command {
        node: "kube-master".into(),
        command: "kubeadm init --config /etc/kubeadm.conf".into(),
        ending: Ending::Status(1),
        output_tail: vec![
            "[init] waiting".into(),
            "\u{1b}[31merror execution phase\u{1b}[0m".into(),
        ],
        unit: Some("kubelet.service".into()),
        journal_tail: vec!["kubelet: inotify_init: too many open files".into()],
    }
}

fn stage(source: Error, others: Vec<Error>) -> Error {
    Error::Stage {
        stage: "control plane".into(),
        source: Box::new(source),
        others,
    }
}

fn shown(error: &Error) -> String {
    render(error, &error.hints())
}

#[test]
fn a_failed_command_in_a_stage() {
    insta::assert_snapshot!(shown(&stage(command(), Vec::new())), @r"
    error: stage `control plane` failed
      caused by: `kubeadm init --config /etc/kubeadm.conf` on `kube-master` ended with status 1

    the end of the output on `kube-master`:
        [init] waiting
        error execution phase

    the end of the journal of `kubelet.service` on `kube-master`:
        kubelet: inotify_init: too many open files

    hint: the host's limits for inotify are too low for several nodes:
          `sudo sysctl fs.inotify.max_user_instances=1024 fs.inotify.max_user_watches=524288`
    ");
}

#[test]
fn a_command_ends_in_several_ways() {
    for (ending, wanted) in [
        (Ending::Status(3), "`a` on `n` ended with status 3"),
        (Ending::Signal(9), "`a` on `n` was ended by signal 9"),
        (Ending::Running, "`a` on `n` still runs"),
        (Ending::Unknown, "`a` on `n` has failed"),
    ] {
        let error = Error::Command {
            node: "n".into(),
            command: "a".into(),
            ending,
            output_tail: Vec::new(),
            unit: None,
            journal_tail: Vec::new(),
        };
        assert_eq!(error.to_string(), wanted);
    }
}

#[test]
fn several_failures_in_a_stage() {
    let io = std::io::Error::other("connection reset");
    let others = vec![
        Error::other("create container `kube-node-1`", io),
        Error::message("no"),
    ];
    let first = Error::with_hint("the node image is gone", "run `local-cluster up`");
    insta::assert_snapshot!(shown(&stage(first, others)), @r"
    error: stage `control plane` failed
      caused by: the node image is gone

    also: cannot create container `kube-node-1`
      caused by: connection reset

    also: no

    hint: run `local-cluster up`
    ");
}

#[test]
fn causes_of_several_lines_and_repeated_ones() {
    #[derive(Debug, thiserror::Error)]
    #[error("broken:\nfirst\n\n  second")]
    struct Several(#[source] Repeated);
    #[derive(Debug, thiserror::Error)]
    #[error("cannot read: {0}")]
    struct Repeated(#[source] std::io::Error);
    let error = Error::other(
        "read the file",
        Several(Repeated(std::io::Error::other("is gone"))),
    );
    insta::assert_snapshot!(shown(&error), @r"
    error: cannot read the file
      caused by: broken:
          first

            second
      caused by: cannot read: is gone
    ");
}

#[test]
fn settings_stand_for_themselves() {
    let error = Error::Settings("2 problems:\n`--nodes`: 0 is too few\n`--x`: unknown".into());
    insta::assert_snapshot!(shown(&error), @r"
    error: 2 problems:
        `--nodes`: 0 is too few
        `--x`: unknown
    ");
}

#[test]
fn interruptions_say_how_to_go_on() {
    insta::assert_snapshot!(shown(&Error::Interrupted { after: "nodes".into() }), @r"
    error: interrupted after stage `nodes`

    hint: run the same command again to go on
    ");
    let early = Error::Interrupted {
        after: String::new(),
    };
    assert_eq!(
        early.to_string(),
        "interrupted before the first stage was finished"
    );
}

#[test]
fn exit_codes() {
    assert_eq!(Error::Settings("x".into()).exit_code(), 2);
    assert_eq!(
        Error::Interrupted {
            after: String::new()
        }
        .exit_code(),
        130
    );
    assert_eq!(Error::message("x").exit_code(), 1);
    assert_eq!(command().exit_code(), 1);
    assert_eq!(
        stage(
            Error::Interrupted {
                after: String::new()
            },
            Vec::new()
        )
        .exit_code(),
        130
    );
}

#[test]
fn an_error_can_cross_tasks() {
    fn crosses<T: Send + Sync + 'static>(_: &T) {}
    crosses(&command());
}

#[test]
fn hints_of_errors_below_are_found_once() {
    let error = stage(stage(command(), Vec::new()), vec![command()]);
    assert_eq!(error.hints().len(), 1);
}
