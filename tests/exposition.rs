//! Checks the text that Prometheus reads, by the grammar of OpenMetrics and by nothing of what writes it.

use std::collections::BTreeMap;

/// The samples of each family, each as it stands in the text; or what is wrong with it.
pub(crate) fn check(text: &str) -> Result<BTreeMap<String, Vec<String>>, String> {
    let body = text.strip_suffix("# EOF\n").ok_or("the end is missing")?;
    let sample = regex::Regex::new(
        r#"^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*"(?:,[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*")*\})? (-?[0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?)$"#,
    )
    .map_err(|error| error.to_string())?;
    let mut kinds: BTreeMap<String, String> = BTreeMap::new();
    let mut families: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut seen: Vec<String> = Vec::new();
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest
                .split_once(' ')
                .ok_or_else(|| format!("no type: {line}"))?;
            if kinds.insert(name.to_owned(), kind.to_owned()).is_some() {
                return Err(format!("typed twice: {line}"));
            }
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let parts = sample
            .captures(line)
            .ok_or_else(|| format!("no sample: {line}"))?;
        let name = &parts[1];
        let family = match name.strip_suffix("_total") {
            Some(family) if kinds.get(family).is_some_and(|kind| kind == "counter") => family,
            _ => name,
        };
        let is_bare_counter =
            family == name && kinds.get(family).is_some_and(|kind| kind == "counter");
        if !kinds.contains_key(family) || is_bare_counter {
            return Err(format!("a family without a type: {line}"));
        }
        let labels = parts.get(2).map_or("", |labels| labels.as_str());
        let series = format!("{name}{labels}");
        if seen.contains(&series) {
            return Err(format!("told twice: {line}"));
        }
        seen.push(series);
        families
            .entry(family.to_owned())
            .or_default()
            .push(line.to_owned());
    }
    Ok(families)
}
