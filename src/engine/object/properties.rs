//! Docker's words on how a container ended.

use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn any_words_are_read(words: String) {
        exit_status(&words);
    }

    #[test]
    fn the_number_is_the_one_in_the_first_brackets(status: i64, ago in "[a-z0-9 ]{0,20}(\\([a-z0-9]*\\))?") {
        prop_assert_eq!(exit_status(&format!("Exited ({status}) {ago}")), status);
    }

    /// Only a real nothing may pass for success: a preload volume counts as whole by it.
    #[test]
    fn words_without_a_number_are_no_success(words in "[^(]*|[^(]*\\([^)]*|[^(]*\\([^0-9)]*\\).*") {
        prop_assert_eq!(exit_status(&words), -1);
    }
}
