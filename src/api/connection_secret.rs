//! The Secret that the operator writes for a connection: its keys, and the label that says whose it is.
//!
//! Whoever writes one and whoever reads one has them from here. It must never know a value.

/// The record's id.
pub const CONNECTION_ID: &str = "connection_id";
/// The link that a person has to open.
pub const LINK_URL: &str = "link_url";
/// The attempt that the link is of; only where the link comes before the record.
pub const LINK_ATTEMPT: &str = "link_attempt";

/// The most that Kubernetes takes as the value of a label.
const LONGEST_LABEL: usize = 63;

/// What [`CONNECTION_LABEL`](super::keys::CONNECTION_LABEL) says in the Secret of the object of this name. A label holds
/// less than a name can have; the owner reference holds all of it.
#[must_use]
pub fn label_of(name: &str) -> String {
    let cut: String = name.chars().take(LONGEST_LABEL).collect();
    cut.trim_end_matches(['-', '.']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::short("acme", "acme")]
    #[case::as_long_as_can_be(&"a".repeat(63), &"a".repeat(63))]
    #[case::longer(&"a".repeat(64), &"a".repeat(63))]
    #[case::cut_at_a_dot(&format!("{}.eu", "a".repeat(62)), &"a".repeat(62))]
    #[case::cut_in_dashes(&format!("{}--eu", "a".repeat(61)), &"a".repeat(61))]
    fn a_label_is_the_name_as_far_as_it_fits(#[case] name: &str, #[case] label: &str) {
        assert_eq!(label_of(name), label);
    }
}
