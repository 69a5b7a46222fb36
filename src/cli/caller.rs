//! What people type to run something again against the same cluster: a command that they are told is ready to be run.

/// The name that this program was called by, and the flags that named the cluster.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    program: String,
    /// Each begins with a space.
    flags: String,
}

impl Caller {
    /// `flags`: name and value of each.
    pub(super) fn new(program: &str, flags: &[(&str, String)]) -> Self {
        let flags = flags.iter().map(|(name, value)| [" ", name, " ", &quoted(value)].concat()).collect();
        Self { program: program.to_owned(), flags }
    }

    /// The program alone, for what needs no cluster.
    pub(super) fn program(&self) -> &str {
        &self.program
    }

    /// A command of this program.
    pub(super) fn command(&self, rest: &str) -> String {
        format!("{} {rest}{}", self.program, self.flags)
    }

    /// A command of kubectl, which has the same flags.
    pub(super) fn kubectl(&self, rest: &str) -> String {
        format!("kubectl {rest}{}", self.flags)
    }
}

/// A word that a shell takes as it is.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::a_name("prod", "prod")]
    #[case::an_arn("arn:aws:eks:eu-west-1:1234:cluster/prod", "arn:aws:eks:eu-west-1:1234:cluster/prod")]
    #[case::a_user("admin@prod", "admin@prod")]
    #[case::a_space("my prod", "'my prod'")]
    #[case::a_variable("$HOME", "'$HOME'")]
    #[case::a_home("~/x", "'~/x'")]
    #[case::a_quote("it's", r"'it'\''s'")]
    #[case::nothing("", "''")]
    fn a_value_is_quoted_where_a_shell_would_read_it_otherwise(#[case] value: &str, #[case] written: &str) {
        let caller = Caller::new("kubectl tradewind", &[("--context", value.to_owned())]);
        assert_eq!(caller.command("status"), format!("kubectl tradewind status --context {written}"));
        assert_eq!(caller.kubectl("get pods"), format!("kubectl get pods --context {written}"));
    }
}
