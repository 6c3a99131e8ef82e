//! No output makes the reader of phases fall over, and only a marker for each phase means that a node is done.

use super::*;
use proptest::prelude::*;

fn any_role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Master), Just(Role::Worker)]
}

/// Lines as the script writes them, of phases that exist and of others, and lines of anything.
fn any_line() -> impl Strategy<Value = String> {
    let phases: Vec<&'static str> = MASTER
        .into_iter()
        .chain(WORKER)
        .chain(["other", ""])
        .collect();
    let phase = proptest::sample::select(phases);
    prop_oneof![
        4 => phase.clone().prop_map(|phase| format!("done {phase}")),
        1 => phase.prop_map(|phase| format!("failed {phase} local-cluster-phase@{phase}.service")),
        1 => "\\PC*",
    ]
}

fn text(lines: &[String]) -> String {
    lines.join("\n")
}

proptest! {
    #[test]
    fn any_text_is_read(role in any_role(), output: String) {
        read(role, &output);
    }

    #[test]
    fn done_means_that_each_phase_has_left_its_marker(
        role in any_role(),
        lines in proptest::collection::vec(any_line(), 0..30),
    ) {
        let all = of(role).iter().all(|phase| lines.contains(&format!("done {phase}")));
        prop_assert_eq!(read(role, &text(&lines)) == Phases::Done, all);
    }

    /// Markers stay: more output never makes a node less done, and the order says nothing.
    #[test]
    fn what_is_done_stays_done(role in any_role(), more in proptest::collection::vec(any_line(), 0..10), seed: prop::sample::Index) {
        let mut lines: Vec<String> = of(role).iter().map(|phase| format!("done {phase}")).collect();
        for line in more {
            let at = seed.index(lines.len() + 1);
            lines.insert(at, line);
        }
        prop_assert_eq!(read(role, &text(&lines)), Phases::Done);
    }

    #[test]
    fn a_phase_that_is_not_done_fails_the_node(role in any_role(), missing: prop::sample::Index) {
        let missing = missing.get(of(role));
        let lines: Vec<String> = of(role)
            .iter()
            .map(|phase| if phase == missing { format!("failed {phase} unit.service") } else { format!("done {phase}") })
            .collect();
        prop_assert_eq!(read(role, &text(&lines)), Phases::Failed);
    }
}
