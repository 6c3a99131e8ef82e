//! Commands in a form that can be pasted.

/// The arguments as one line of a POSIX shell.
pub fn shell_quote(args: &[String]) -> String {
    args.iter()
        .map(|arg| quote(arg))
        .collect::<Vec<_>>()
        .join(" ")
}

fn quote(arg: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !arg.is_empty() && arg.chars().all(harmless) {
        arg.to_owned()
    } else {
        format!("'{}'", arg.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::shell_quote;

    fn quoted(args: &[&str]) -> String {
        shell_quote(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn plain_words_stay_plain() {
        assert_eq!(
            quoted(&["kubeadm", "init", "--config=/etc/k.conf", "-v5"]),
            "kubeadm init --config=/etc/k.conf -v5"
        );
    }

    #[test]
    fn all_else_is_quoted() {
        assert_eq!(
            quoted(&["echo", "", "a b", "it's", "$HOME"]),
            r"echo '' 'a b' 'it'\''s' '$HOME'"
        );
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(32))]
        #[test]
        fn a_shell_reads_back_what_was_quoted(
            args in proptest::collection::vec("[^\0\n\r]{0,12}", 1..4)
        ) {
            let line = format!("printf '%s\\n' {}", shell_quote(&args));
            let shell = std::process::Command::new("sh").arg("-c").arg(&line).output();
            let printed = String::from_utf8(shell.unwrap().stdout).unwrap();
            assert_eq!(printed.strip_suffix('\n').unwrap(), args.join("\n"));
        }
    }
}
