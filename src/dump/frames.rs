//! Several commands' outputs in one. PURE.
//!
//! Running something in a node costs the engine more than most looks cost the node, so many are run by one script. It prints
//! `BOUNDARY begin NAME` before each output and `BOUNDARY end STATUS` after it, on lines of their own; the boundary is
//! drawn anew each time, so that nothing in an output can look like it.

/// What is found in the output of such a script.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// The output that has this name begins.
    Begin(&'a str),
    /// More of it.
    Text(&'a [u8]),
    /// It is over, and the command ended with this status.
    End(i64),
}

/// Tells the outputs apart, whatever parts they come in.
#[derive(Debug)]
pub struct Frames {
    boundary: Vec<u8>,
    /// The beginning of a line, as long as it may be a boundary.
    line: Vec<u8>,
    /// The line goes on, and is none.
    is_text: bool,
    /// The end of a line, which belongs to the text only if more text follows.
    newline: bool,
    is_within: bool,
}

/// The functions of such a script: `run NAME COMMAND...` with the variables `boundary` and `limit`, and with `stop` set
/// where what hangs once would hang again.
pub const FUNCTIONS: &str = r#"run() {
  name=$1
  shift
  printf '%s begin %s\n' "$boundary" "$name"
  timeout -k 1 "$limit" "$@" 2>&1 </dev/null
  status=$?
  printf '\n%s end %s\n' "$boundary" $status
  case $stop$status in stop124 | stop137) exit 0 ;; esac
}
"#;

impl Frames {
    /// Looks for this boundary.
    pub fn new(boundary: &str) -> Self {
        Self {
            boundary: format!("{boundary} ").into_bytes(),
            line: Vec::new(),
            is_text: false,
            newline: false,
            is_within: false,
        }
    }

    /// Takes the next part.
    pub fn take(&mut self, mut part: &[u8], take: &mut impl FnMut(Frame<'_>)) {
        while !part.is_empty() {
            let end = part.iter().position(|byte| *byte == b'\n');
            let (text, rest) = part.split_at(end.unwrap_or(part.len()));
            part = rest.get(1..).unwrap_or_default();
            if self.is_text {
                self.text(text, take);
            } else {
                self.line.extend_from_slice(text);
                let known = self.line.len().min(self.boundary.len());
                if self.line[..known] != self.boundary[..known] {
                    self.is_text = true;
                    let line = std::mem::take(&mut self.line);
                    self.text(&line, take);
                }
            }
            if end.is_some() {
                self.end_line(take);
            }
        }
    }

    fn text(&mut self, text: &[u8], take: &mut impl FnMut(Frame<'_>)) {
        if self.is_within {
            if std::mem::take(&mut self.newline) {
                take(Frame::Text(b"\n"));
            }
            if !text.is_empty() {
                take(Frame::Text(text));
            }
        }
    }

    fn end_line(&mut self, take: &mut impl FnMut(Frame<'_>)) {
        let line = std::mem::take(&mut self.line);
        if !std::mem::take(&mut self.is_text) {
            let words = line
                .strip_prefix(self.boundary.as_slice())
                .map(String::from_utf8_lossy);
            match words.as_deref().and_then(|words| words.split_once(' ')) {
                Some(("begin", name)) => {
                    (self.is_within, self.newline) = (true, false);
                    return take(Frame::Begin(name));
                }
                Some(("end", status)) if self.is_within => {
                    (self.is_within, self.newline) = (false, false);
                    return take(Frame::End(status.parse().unwrap_or(-1)));
                }
                _ => self.text(&line, take),
            }
        }
        self.newline = self.is_within;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Outputs = Vec<(String, Vec<u8>, Option<i64>)>;

    fn outputs(text: &[u8], part: usize) -> Outputs {
        let mut outputs: Outputs = Vec::new();
        let mut frames = Frames::new("b0");
        for part in text.chunks(part.max(1)) {
            frames.take(part, &mut |frame| match frame {
                Frame::Begin(name) => outputs.push((name.to_owned(), Vec::new(), None)),
                Frame::Text(text) => outputs.last_mut().unwrap().1.extend_from_slice(text),
                Frame::End(status) => outputs.last_mut().unwrap().2 = Some(status),
            });
        }
        outputs
    }

    /// What the script prints is what is read: run by a real shell.
    #[test]
    fn a_script_runs_them_one_after_another() {
        let script = format!(
            "boundary=b0 limit=1 stop=stop\n{FUNCTIONS}echo noise\nrun one printf 'a\\n\\nb\\n'\nrun two sh -c 'printf c; echo d >&2; exit 3'\n\
             run three true\nrun four sleep 9\nrun five echo never\n"
        );
        let ran = std::process::Command::new("sh")
            .args(["-c", &script])
            .output()
            .unwrap();
        let wanted = [
            ("one", &b"a\n\nb\n"[..], Some(0)),
            ("two", b"cd\n", Some(3)),
            ("three", b"", Some(0)),
            ("four", b"", Some(124)),
        ]
        .map(|(name, text, status)| (name.to_owned(), text.to_vec(), status));
        assert_eq!(outputs(&ran.stdout, 5), wanted);
    }

    #[test]
    fn what_is_cut_off_has_no_end() {
        let found = outputs(b"b0 begin x\nb0 \nb0 ending\nsome", 3);
        assert_eq!(
            found,
            [("x".to_owned(), b"b0 \nb0 ending\nsome".to_vec(), None)]
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn each_output_is_as_it_was(
            texts in prop::collection::vec("(b0|b| |\n|begin|x|\r){0,12}", 0..5), part in 1_usize..20
        ) {
            let texts: Vec<String> = texts.iter().map(|text| text.replace("b0 begin", "b0  begin")).collect();
            let printed: Vec<String> = texts.iter().map(|text| format!("b0 begin x\n{text}\nb0 end 0\n")).collect();
            let wanted: Outputs = texts.into_iter().map(|text| ("x".to_owned(), text.into_bytes(), Some(0))).collect();
            prop_assert_eq!(outputs(printed.concat().as_bytes(), part), wanted);
        }

        #[test]
        fn any_bytes_are_read(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = outputs(&text, 7);
        }
    }
}
