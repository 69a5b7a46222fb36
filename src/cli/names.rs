//! Names of objects as people type them: `acme`, `connection/acme`, `ii/acme-bc`, `pacct/rutter`, `cpacct/rutter`.
//!
//! A bare name is a Connection's: objects of two kinds may have the same name, so that it must not depend on what
//! there happens to be.

use super::refusal::BadInput;
use crate::{
    api::v1alpha1::{Account, ClusterProviderAccount, Connection, IntegrationInstance, Managed, ProviderAccount},
    domain::text::is_name,
};
use std::{fmt, str::FromStr};

/// A kind whose objects each have a record at a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ManagedKind {
    Connection,
    IntegrationInstance,
}

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Managed(ManagedKind),
    ProviderAccount,
    ClusterProviderAccount,
}

impl Kind {
    /// The kind as its CRD spells it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Managed(ManagedKind::Connection) => <Connection as Managed>::KIND,
            Self::Managed(ManagedKind::IntegrationInstance) => <IntegrationInstance as Managed>::KIND,
            Self::ProviderAccount => <ProviderAccount as Account>::KIND,
            Self::ClusterProviderAccount => <ClusterProviderAccount as Account>::KIND,
        }
    }

    /// The kind as kubectl takes it.
    pub(super) fn resource(self) -> &'static str {
        match self {
            Self::Managed(ManagedKind::Connection) => "connection",
            Self::Managed(ManagedKind::IntegrationInstance) => "integrationinstance",
            Self::ProviderAccount => "provideraccount",
            Self::ClusterProviderAccount => "clusterprovideraccount",
        }
    }

    /// Whether its objects are in no namespace.
    pub(super) fn is_shared(self) -> bool {
        match self {
            Self::ClusterProviderAccount => true,
            Self::Managed(_) | Self::ProviderAccount => false,
        }
    }

    /// An object of this kind in the shortest form that this program takes.
    pub(super) fn argument(self, name: &str) -> String {
        match self {
            Self::Managed(ManagedKind::Connection) => name.to_owned(),
            Self::Managed(ManagedKind::IntegrationInstance) | Self::ProviderAccount | Self::ClusterProviderAccount => {
                format!("{}/{name}", self.resource())
            }
        }
    }

    /// What kubectl takes, too: singular, plural, short name, and with the group.
    fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        match text.strip_suffix(".tradewind.dev").unwrap_or(&text) {
            "connection" | "connections" | "conn" => Some(Self::Managed(ManagedKind::Connection)),
            "integrationinstance" | "integrationinstances" | "ii" => {
                Some(Self::Managed(ManagedKind::IntegrationInstance))
            }
            "provideraccount" | "provideraccounts" | "pacct" => Some(Self::ProviderAccount),
            "clusterprovideraccount" | "clusterprovideraccounts" | "cpacct" => Some(Self::ClusterProviderAccount),
            _ => None,
        }
    }
}

/// An object of any kind; a Connection where the kind is left out.
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
            None => (Kind::Managed(ManagedKind::Connection), text),
            Some((kind, name)) => (Kind::parse(kind).ok_or_else(|| unknown(kind))?, name),
        };
        if !is_name(name) {
            return Err(BadInput::new(format!("{name:?} is no name of an object: small letters, digits, '-' and '.'")));
        }
        Ok(Self { kind, name: name.to_owned() })
    }
}

fn unknown(kind: &str) -> BadInput {
    BadInput::new(format!(
        "{kind} is no kind: write connection/NAME, integrationinstance/NAME, provideraccount/NAME or clusterprovideraccount/NAME"
    ))
}

/// An object with a record, for the verbs that an account has no use for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ManagedName {
    pub(super) kind: ManagedKind,
    pub(super) name: String,
}

impl fmt::Display for ManagedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Kind::Managed(self.kind).resource(), self.name)
    }
}

impl FromStr for ManagedName {
    type Err = BadInput;

    fn from_str(text: &str) -> Result<Self, BadInput> {
        let ObjectName { kind, name } = text.parse()?;
        match kind {
            Kind::Managed(kind) => Ok(Self { kind, name }),
            Kind::ProviderAccount | Kind::ClusterProviderAccount => {
                Err(BadInput::new("this is for connections and integration instances, which have a record"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::bare("acme", "connection/acme")]
    #[case::singular("connection/acme", "connection/acme")]
    #[case::short("conn/acme.eu", "connection/acme.eu")]
    #[case::instance("ii/acme-bc", "integrationinstance/acme-bc")]
    #[case::instances("integrationinstances/acme", "integrationinstance/acme")]
    #[case::kind("ProviderAccount/rutter", "provideraccount/rutter")]
    #[case::shared("cpacct/rutter", "clusterprovideraccount/rutter")]
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

    #[rstest]
    #[case::bare("acme", ManagedKind::Connection, "acme")]
    #[case::connection("conn/acme", ManagedKind::Connection, "acme")]
    #[case::instance("ii/acme", ManagedKind::IntegrationInstance, "integrationinstance/acme")]
    fn what_has_a_record_is_named_so_that_it_can_be_typed_again(
        #[case] text: &str,
        #[case] kind: ManagedKind,
        #[case] argument: &str,
    ) {
        let name: ManagedName = text.parse().expect("a name");
        assert_eq!((name.kind, Kind::Managed(kind).argument(&name.name).as_str()), (kind, argument));
        assert_eq!(argument.parse(), Ok(name));
    }

    #[test]
    fn an_account_has_no_record() {
        let error = "pacct/rutter".parse::<ManagedName>().expect_err("a refusal").to_string();
        assert!(error.contains("connections and integration instances"), "{error}");
    }
}
