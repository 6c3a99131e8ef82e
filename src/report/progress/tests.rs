//! The live view, on a terminal that writes down what is drawn.

use std::io;
use std::sync::{Arc, Mutex};

use indicatif::TermLike;

use super::super::strip_controls;
use super::super::tests::{Written, script};
use super::*;

/// A terminal that keeps every line that was drawn on it.
#[derive(Clone, Debug, Default)]
struct Screen(Arc<Mutex<String>>);

impl TermLike for Screen {
    fn width(&self) -> u16 {
        100
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, line: &str) -> io::Result<()> {
        self.write_str(&format!("{line}\n"))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.0.lock().unwrap().push_str(text);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

fn renderer(verbosity: u8) -> (Renderer, Written, Screen) {
    let (written, screen) = (Written::default(), Screen::default());
    let target = ProgressDrawTarget::term_like(Box::new(screen.clone()));
    (
        Renderer::drawing(Box::new(written.clone()), verbosity, target),
        written,
        screen,
    )
}

fn without_colour(text: &str) -> String {
    text.lines()
        .map(strip_controls)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn what_is_finished_is_printed() {
    let (mut renderer, written, _) = renderer(0);
    for (_, event) in script() {
        renderer.show(&event);
    }
    assert!(renderer.live.is_empty());
    insta::assert_snapshot!(without_colour(&written.text()), @r"
    note: binaries come from `release`
     ✓ binaries 3.0s
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
fn what_runs_is_drawn() {
    let (mut renderer, _, screen) = renderer(0);
    for (_, event) in script().into_iter().take(6) {
        renderer.show(&event);
    }
    let keys: Vec<_> = renderer.live.keys().cloned().collect();
    assert!(keys.contains(&Key::Stage("binaries".into())));
    assert!(keys.contains(&Key::Item("kubelet".into())));
    renderer.live[&Key::Item("kubelet".into())].force_draw();
    let drawn = screen.0.lock().unwrap().clone();
    assert!(drawn.contains("binaries"), "{drawn}");
    assert!(drawn.contains("9.00 MiB of 60.00 MiB"), "{drawn}");
}

#[test]
fn a_stage_takes_its_steps_along() {
    let (mut renderer, _, _) = renderer(0);
    renderer.show(&Event::StageStarted { stage: "a".into() });
    renderer.show(&Event::StepStarted {
        stage: "a".into(),
        step: "b".into(),
    });
    renderer.show(&Event::StageStarted {
        stage: "other".into(),
    });
    renderer.show(&Event::StageFinished {
        stage: "a".into(),
        took: TICK,
        ok: false,
    });
    assert_eq!(
        renderer.live.keys().collect::<Vec<_>>(),
        [&Key::Stage("other".into())]
    );
    renderer.close();
    assert!(renderer.live.is_empty());
}

#[test]
fn things_without_a_total_are_counted_too() {
    let (mut renderer, _, _) = renderer(0);
    for (item, unit) in [("archive", Unit::Bytes), ("images", Unit::Items)] {
        renderer.show(&Event::Progress {
            item: item.into(),
            done: 1,
            total: None,
            unit,
            failed: Some(2),
        });
        renderer.show(&Event::Progress {
            item: item.into(),
            done: 5,
            total: Some(7),
            unit,
            failed: Some(2),
        });
        let bar = &renderer.live[&Key::Item(item.into())];
        assert_eq!((bar.position(), bar.length()), (5, Some(7)));
        assert_eq!(bar.message(), format!("{item}, 2 failed"));
    }
}
