//! Which workers, or masters, a cluster is to have. They are a set of numbers and not a count: the set may have holes.

use std::collections::BTreeSet;

/// The numbers of the nodes of a kind that a cluster is to have which has `existing`: so many, or those that it has.
///
/// The lowest that are there stay and the highest go; new ones take the lowest numbers that are free.
pub fn enough(existing: &BTreeSet<u16>, wanted: Option<u16>) -> BTreeSet<u16> {
    let Some(wanted) = wanted.map(usize::from) else {
        return existing.clone();
    };
    let kept = existing.iter().copied().take(wanted);
    let free = (1..=u16::MAX).filter(|number| !existing.contains(number));
    kept.chain(free).take(wanted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(numbers: &[u16]) -> BTreeSet<u16> {
        numbers.iter().copied().collect()
    }

    #[test]
    fn the_lowest_stay_and_the_lowest_free_come() {
        for (existing, wanted, right) in [
            (&[][..], Some(2), &[1, 2][..]),
            (&[1, 2], None, &[1, 2]),
            (&[2, 5], None, &[2, 5]),
            (&[2, 5], Some(2), &[2, 5]),
            (&[2, 5], Some(3), &[1, 2, 5]),
            (&[2, 5], Some(5), &[1, 2, 3, 4, 5]),
            (&[2, 5], Some(1), &[2]),
            (&[2, 5], Some(0), &[]),
        ] {
            assert_eq!(
                enough(&set(existing), wanted),
                set(right),
                "{existing:?} {wanted:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn as_many_as_wanted_and_no_needless_change(
            existing in proptest::collection::btree_set(1..=100_u16, 0..10),
            wanted in 0..=100_u16,
        ) {
            let chosen = enough(&existing, Some(wanted));
            prop_assert_eq!(chosen.len(), usize::from(wanted));
            prop_assert!(chosen.is_subset(&existing) || existing.is_subset(&chosen));
            prop_assert_eq!(enough(&chosen, Some(wanted)), chosen.clone());
            prop_assert_eq!(enough(&chosen, None), chosen);
        }
    }
}
