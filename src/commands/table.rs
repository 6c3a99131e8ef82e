//! What is listed for people: a line of headings, and columns as wide as what is in them.

use std::fmt::Write as _;

/// The lines of a table; none where there are no rows.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let headings: Vec<String> = headings.iter().map(|&heading| heading.to_owned()).collect();
    let lines = || std::iter::once(&headings).chain(rows);
    let widest = |column: usize| lines().map(|line| line[column].chars().count()).max();
    let widths: Vec<usize> = (0..headings.len()).filter_map(widest).collect();
    lines().fold(String::new(), |mut text, line| {
        let cells = line.iter().zip(&widths);
        let cells: Vec<_> = cells
            .map(|(cell, &width)| format!("{cell:width$}"))
            .collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = [row(["a", "longer", "é"]), row(["bcdef", "", ""])];
        insta::assert_snapshot!(table(&["NAME", "B", "C"], &rows), @r"
        NAME   B       C
        a      longer  é
        bcdef
        ");
        assert_eq!(table(&["NAME"], &[]), "");
    }
}
