use super::super::pack::{Packer, unpack};
use super::*;
use proptest::prelude::*;
use std::convert::Infallible;
use std::io::{Read, Write};

fn packed(text: &[u8]) -> Vec<String> {
    let mut packer = Packer::begin(Vec::new()).unwrap();
    packer.write_all(text).unwrap();
    let text = String::from_utf8(packer.finish().unwrap()).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Text that does not compress away.
fn text(length: usize) -> Vec<u8> {
    let mut seed = 7_u32;
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b"abcdefghijklmnopqrstuvwxyz012345"[(seed >> 27) as usize]
    };
    (0..length).map(|_| next()).collect()
}

/// All dumps of a log, as far as they can be unpacked, and how each ended.
fn dumps(log: &str) -> Vec<(Vec<u8>, Ending)> {
    let mut dumps: Vec<(Vec<u8>, Ending)> = Vec::new();
    let mut take = |found: Found| -> Result<(), Infallible> {
        match found {
            Found::Begin => dumps.push((Vec::new(), Ending::default())),
            Found::Bytes(bytes) => dumps.last_mut().unwrap().0.extend(bytes),
            Found::End(ending) => dumps.last_mut().unwrap().1 = ending,
        }
        Ok(())
    };
    let mut finder = Finder::default();
    for (line, number) in log.lines().zip(1..) {
        for part in line.split('\r') {
            finder.line(part.as_bytes(), number, &mut take).unwrap();
        }
    }
    finder.finish(&mut take).unwrap();
    dumps
}

/// What the one dump of a log says, if it can be unpacked whole.
fn said(log: &str) -> Option<Vec<u8>> {
    let mut dumps = dumps(log);
    assert_eq!(dumps.len(), 1, "{log}");
    let (bytes, ending) = dumps.remove(0);
    ending.tails.iter().find_map(|tail| {
        let mut text = Vec::new();
        let packed = [bytes.as_slice(), tail].concat();
        unpack(packed.as_slice())
            .unwrap()
            .read_to_end(&mut text)
            .ok()?;
        Some(text)
    })
}

/// A log of these lines, each as this system prints it.
fn log(lines: &[String], print: impl Fn(usize, &str) -> String) -> String {
    let printed = lines
        .iter()
        .enumerate()
        .map(|(number, line)| print(number, line));
    printed.collect::<Vec<_>>().concat()
}

/// How a system prints a line, by its number.
type Print = fn(usize, &str) -> String;

const SYSTEMS: &[(&str, Print)] = &[
    ("plain", |_, line| format!("{line}\n")),
    ("carriage returns", |_, line| format!("{line}\r\n")),
    ("github", |n, line| {
        format!(
            "2026-11-21T15:{:02}:{:02}.{:07}Z {line}\n",
            n / 60 % 60,
            n % 60,
            n * 7919
        )
    }),
    ("gh run view", |n, line| {
        format!(
            "build (1, 2)\tRun tests\t2026-11-21T15:00:{:02}.1234567Z {line}\n",
            n % 60
        )
    }),
    ("gitlab", |n, line| {
        format!("2026-11-21T15:00:{:02}.123456Z 00O {line}\n", n % 60)
    }),
    ("jenkins", |n, line| {
        format!("[2026-11-21T15:00:{:02}.123Z] {line}\r\n", n % 60)
    }),
    ("seconds", |n, line| {
        format!("[{}.{}s] {line}\n", n * 3, n % 10)
    }),
    ("clock", |n, line| {
        format!("{:02}:{:02}:{:02} {line}\n", n / 3600, n / 60 % 60, n % 60)
    }),
    ("compose", |_, line| format!("tests_1  | {line}\n")),
    ("colours", |n, line| {
        format!("\u{1b}[0;3{}m{line}\u{1b}[0m\n", n % 8)
    }),
    ("travis", |_, line| format!("\r\u{1b}[0K{line}\r\n")),
    ("buildkite", |n, line| {
        format!("\u{1b}_bk;t=17000000{n}\u{7}{line}\r\n")
    }),
    ("folded at 80", |_, line| folded(line, 80)),
    ("folded at 40", |_, line| folded(line, 40)),
    ("folded with a time", |n, line| {
        folded(&format!("15:00:{:02} {line}", n % 60), 72)
    }),
];

fn folded(line: &str, width: usize) -> String {
    let pieces: Vec<&str> = line
        .as_bytes()
        .chunks(width)
        .map(|piece| std::str::from_utf8(piece).unwrap())
        .collect();
    pieces.join("\n") + "\n"
}

#[test]
fn each_systems_log_gives_the_dump_back() {
    // All lengths that a last line can have come about.
    for length in (0..40).chain([2000, 2001, 2030, 2060, 2090, 5000]) {
        let text = text(length);
        let lines = packed(&text);
        for (name, print) in SYSTEMS {
            let log = format!("before\n{}after\n", log(&lines, print));
            assert_eq!(said(&log), Some(text.clone()), "{name}, {length}: {log}");
        }
    }
}

#[test]
fn lines_of_others_are_left_out() {
    let text = text(30_000);
    let lines = packed(&text);
    let others = [
        "ok",
        "done",
        "test/e2e/dump.rs",
        "PASS",
        "Copying",
        "I1121 15:00:00.123456 1 server.go:1] \"msg\"",
        "",
        "....",
        "    Compiling proptest v1.0.0",
        "/usr/bin/ld",
        "AAAA",
        "+ echo done",
        "\u{1b}[32mgreen\u{1b}[0m",
        "50%\r60%\r70%",
        "dGhpcyBpcyBiYXNlNjQgb2Ygb3RoZXJz",
    ];
    for (name, print) in SYSTEMS {
        let woven = log(&lines, |n, line| {
            let mut all = String::new();
            for other in 0..10_000 / lines.len() {
                all += &print(n, others[(n + other) % others.len()]);
            }
            all + &print(n, line)
        });
        assert_eq!(said(&woven), Some(text.clone()), "{name}");
    }
}

#[test]
fn what_others_did_not_end_does_not_hide_a_line() {
    let text = text(3000);
    let lines = packed(&text);
    let log = log(&lines, |n, line| match n % 3 {
        _ if line.len() < WIDTH => format!("{line}\n"),
        0 => format!("{line}\n"),
        1 => format!("Waiting...{line}\n"),
        _ => format!("{line} and more\n"),
    });
    assert_eq!(said(&log), Some(text));
}

#[test]
fn lines_that_lack_something_are_named() {
    let mut lines = packed(&text(3000));
    lines[7].truncate(60);
    let log = log(&lines, |_, line| format!("{line}\n"));
    let found = dumps(&log);
    assert_eq!(found[0].1.broken, [8]);
    assert!(found[0].1.marked);
}

#[test]
fn a_log_that_is_cut_off_gives_what_it_has() {
    let lines = packed(&text(3000));
    let log = log(&lines[..lines.len() / 2], |_, line| format!("{line}\n"));
    let found = dumps(&log);
    assert!(!found[0].1.marked);
    assert_eq!(found[0].0.len(), (lines.len() / 2 - 1) * WIDTH / 4 * 3);
}

#[test]
fn several_dumps_are_told_apart() {
    let lines = packed(b"one");
    let two = [lines.clone(), lines].concat();
    let found = dumps(&log(&two, |_, line| format!("{line}\n")));
    assert_eq!(found.len(), 2);
    assert_eq!(found[0], found[1]);
    assert!(dumps("nothing\nof %%% start-base64 %%% that kind\n").is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20)) {
        let mut finder = Finder::default();
        let mut take = |_: Found| -> Result<(), Infallible> { Ok(()) };
        for line in &lines {
            finder.line(line, 1, &mut take).unwrap();
        }
        finder.finish(&mut take).unwrap();
    }

    /// What matters to the reader, without sense.
    #[test]
    fn any_log_is_read(
        pieces in prop::collection::vec(prop::sample::select(vec![
            START, END, "\n", "\r", " ", "AAAA", "AAA=", "====", "/", "\u{1b}[", "m", "2026-11-21T15:00:00Z ", "|", "é",
            "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVpBQkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWkFCQ0RFRkdISUpLTE1OT1BRUlNUVVZX",
            "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVpBQkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWkFCQ0RFRkdI",
        ]), 0..60)
    ) {
        for (_, ending) in dumps(&pieces.concat()) {
            prop_assert!(ending.tails.len() <= MOST_ENDS + 1 && ending.broken.len() <= MOST_BROKEN);
        }
    }
}
