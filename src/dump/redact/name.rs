//! Names under which secrets stand. PURE.

/// Whether what stands under this name is a secret.
pub fn is_secret(name: &str) -> bool {
    const ENDS: &[&str] = &[
        "pass",
        "password",
        "passwords",
        "passwd",
        "passphrase",
        "passcode",
        "pwd",
        "token",
        "tokens",
        "secret",
        "apikey",
        "secretkey",
        "secretkeybase",
        "accesskey",
        "accountkey",
        "authkey",
        "masterkey",
        "sharedkey",
        "signingkey",
        "privatekey",
        "keydata",
        "certificatekey",
        "encryptionkey",
        "credential",
        "credentials",
    ];
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    plain == "auth" || (!plain.ends_with("bypass") && ENDS.iter().any(|end| plain.ends_with(end)))
}

/// Whether what stands under this name says who asks a proxy.
pub(super) fn is_proxy(name: &str) -> bool {
    name.to_ascii_lowercase().trim_end_matches("_proxy").len() < name.len()
        && !name.eq_ignore_ascii_case("no_proxy")
}

/// Whether an argument is an option whose value is a secret, and follows as the next argument.
pub(super) fn is_option(argument: &str) -> bool {
    let name = argument.strip_prefix('-').unwrap_or_default();
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !name.is_empty() && name.chars().all(is_name) && is_secret(name)
}
