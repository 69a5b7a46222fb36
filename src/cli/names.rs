//! Names of objects as people type them: `acme`, `connection/acme`, `pacct/rutter`.

use super::refusal::BadInput;
use std::{fmt, str::FromStr};

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Connection,
    ProviderAccount,
}

impl Kind {
    /// The kind as its CRD spells it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "Connection",
            Self::ProviderAccount => "ProviderAccount",
        }
    }

    /// The kind as kubectl takes it.
    pub(super) fn resource(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::ProviderAccount => "provideraccount",
        }
    }

    /// What kubectl takes, too: singular, plural, short name, and with the group.
    fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        match text.strip_suffix(".tradewind.dev").unwrap_or(&text) {
            "connection" | "connections" | "conn" => Some(Self::Connection),
            "provideraccount" | "provideraccounts" | "pacct" => Some(Self::ProviderAccount),
            _ => None,
        }
    }
}

/// An object of either kind; a Connection where the kind is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ObjectName {
    pub(super) kind: Kind,
    pub(super) name: String,
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.resource(), self.name)
    }
}

impl FromStr for ObjectName {
    type Err = BadInput;

    fn from_str(text: &str) -> Result<Self, BadInput> {
        let (kind, name) = match text.split_once('/') {
            None => (Kind::Connection, text),
            Some((kind, name)) => {
                let unknown =
                    || BadInput::new(format!("{kind} is no kind: write connection/NAME or provideraccount/NAME"));
                (Kind::parse(kind).ok_or_else(unknown)?, name)
            }
        };
        if !is_name(name) {
            return Err(BadInput::new(format!("{name:?} is no name of an object: small letters, digits, '-' and '.'")));
        }
        Ok(Self { kind, name: name.to_owned() })
    }
}

/// A Connection, for the verbs that an account has no use for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ConnectionName(pub(super) String);

impl FromStr for ConnectionName {
    type Err = BadInput;

    fn from_str(text: &str) -> Result<Self, BadInput> {
        let object: ObjectName = text.parse()?;
        match object.kind {
            Kind::Connection => Ok(Self(object.name)),
            Kind::ProviderAccount => Err(BadInput::new("this is for Connections only")),
        }
    }
}

/// Whether a text can be the name of an object: a DNS subdomain.
pub(super) fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::bare("acme", "connection/acme")]
    #[case::singular("connection/acme", "connection/acme")]
    #[case::short("conn/acme.eu", "connection/acme.eu")]
    #[case::kind("ProviderAccount/rutter", "provideraccount/rutter")]
    #[case::as_kubectl_prints_it("provideraccount.tradewind.dev/rutter", "provideraccount/rutter")]
    fn names_are_read_as_kubectl_reads_them(#[case] text: &str, #[case] object: &str) {
        assert_eq!(text.parse::<ObjectName>().expect("a name").to_string(), object);
    }

    #[rstest]
    #[case::kind("secret/acme", "secret is no kind")]
    #[case::empty("", "is no name")]
    #[case::capitals("Acme", "is no name")]
    #[case::path("conn/a/b", "is no name")]
    #[case::option("-a", "is no name")]
    fn what_is_no_name_is_refused(#[case] text: &str, #[case] says: &str) {
        let error = text.parse::<ObjectName>().expect_err("a refusal").to_string();
        assert!(error.contains(says), "{error}");
    }

    #[test]
    fn an_account_is_no_connection() {
        assert!("pacct/rutter".parse::<ConnectionName>().is_err());
        assert_eq!("conn/acme".parse(), Ok(ConnectionName("acme".into())));
    }
}
