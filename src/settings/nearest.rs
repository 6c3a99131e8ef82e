//! The known name that is nearest to an unknown one.

/// The nearest of the known names, if it is near enough to be meant.
///
/// Only the last parts of dotted names must be alike: people forget sections.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let enough = ((last(name).chars().count() + 1) / 3).max(1);
    known
        .map(|known| {
            (
                (distance(last(name), last(known)), distance(name, known)),
                known,
            )
        })
        .filter(|((of_last, _), _)| *of_last <= enough)
        .min_by_key(|(distances, _)| *distances)
        .map(|(_, known)| known)
}

fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// How many letters must be changed, added or dropped; case does not count.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, letter) in left.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, other) in right.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let known = [
            "cluster.numNodes",
            "cluster.noDedicated",
            "cluster.id",
            "verbose",
        ];
        let find = |name| nearest(name, known.into_iter());
        assert_eq!(find("cluster.numnodes"), Some("cluster.numNodes"));
        assert_eq!(find("numNode"), Some("cluster.numNodes"));
        assert_eq!(find("clusters.numNodes"), Some("cluster.numNodes"));
        assert_eq!(find("verbos"), Some("verbose"));
        assert_eq!(find("cluster.foo"), None);
        assert_eq!(find(""), None);
    }
}
