//! Keeps control characters of other programs away from the terminal.

use super::Event;

/// The event with its [`Event::Output`] line cleaned; our own texts are fit to print as they are, except for what they quote.
pub(super) fn event(event: Event) -> Event {
    match event {
        Event::Output { source, line } => Event::Output {
            source,
            line: strip_controls(&line),
        },
        Event::Note { text } => Event::Note {
            text: strip_lines(&text),
        },
        Event::Warning { text, hint } => Event::Warning {
            text: strip_lines(&text),
            hint,
        },
        Event::Failed { text } => Event::Failed {
            text: strip_lines(&text),
        },
        other => other,
    }
}

fn strip_lines(text: &str) -> String {
    text.lines()
        .map(strip_controls)
        .collect::<Vec<_>>()
        .join("\n")
}

/// A line without escape sequences and other control characters. Of a line that was overwritten with carriage returns, as
/// progress bars are, the last form stays.
pub fn strip_controls(line: &str) -> String {
    let line = line.trim_end_matches(['\r', '\n']);
    let line = line.rsplit('\r').next().unwrap_or(line);
    let mut clean = String::with_capacity(line.len());
    let mut rest = line.chars();
    while let Some(character) = rest.next() {
        match character {
            '\u{1b}' => skip_escape(&mut rest),
            '\t' => clean.push('\t'),
            _ if character.is_control() => {}
            _ => clean.push(character),
        }
    }
    clean
}

/// Skips the rest of an escape sequence: CSI to its final byte, OSC and its like to BEL or ST, others by one character.
fn skip_escape(rest: &mut std::str::Chars<'_>) {
    match rest.next() {
        Some('[') => {
            rest.find(|character| ('\u{40}'..='\u{7e}').contains(character));
        }
        Some(']' | 'P' | 'X' | '^' | '_') => skip_string(rest),
        // Intermediate bytes, as in `ESC ( B`, are followed by one more.
        Some('\u{20}'..='\u{2f}') => {
            rest.next();
        }
        _ => {}
    }
}

fn skip_string(rest: &mut std::str::Chars<'_>) {
    while let Some(character) = rest.next() {
        match character {
            '\u{7}' => return,
            '\u{1b}' => {
                rest.next();
                return;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::strip_controls;

    #[test]
    fn escape_sequences_go() {
        assert_eq!(strip_controls("\u{1b}[1;31mred\u{1b}[0m text"), "red text");
        assert_eq!(strip_controls("\u{1b}]0;title\u{7}text"), "text");
        assert_eq!(
            strip_controls("\u{1b}]8;;https://x\u{1b}\\link\u{1b}]8;;\u{1b}\\"),
            "link"
        );
        assert_eq!(strip_controls("\u{1b}(Btext\u{1b}"), "text");
        assert_eq!(strip_controls("bell\u{7} null\0 c1\u{9b}"), "bell null c1");
    }

    #[test]
    fn tabs_and_letters_of_all_kinds_stay() {
        assert_eq!(strip_controls("a\tb ✓ ü"), "a\tb ✓ ü");
    }

    #[test]
    fn an_overwritten_line_keeps_its_last_form() {
        assert_eq!(strip_controls("10%\r50%\r100%\r\n"), "100%");
    }

    proptest::proptest! {
        #[test]
        fn nothing_but_tabs_controls_what_is_left(line in ".*") {
            assert!(strip_controls(&line).chars().all(|c| c == '\t' || !c.is_control()));
        }
    }
}
