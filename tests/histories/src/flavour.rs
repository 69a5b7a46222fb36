//! At whom a record is, and how it comes to be there.
//!
//! It must never know what is declared of it.

/// A provider, and how a record comes to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flavour {
    /// Rutter with credentials; a store is told by its URL.
    Rutter,
    /// Rutter with credentials; nothing tells two records of one store apart.
    Nameless,
    /// Rutter with its own page for a merchant to connect by; the create answers a link.
    RutterLink,
    /// SKU.io; an instance is told by its name.
    SkuIo,
    /// Arcus without consent; an entity has one connector of a type.
    Arcus,
    /// Arcus with consent: the create answers a link.
    ArcusLink,
}

/// All of them.
pub const FLAVOURS: [Flavour; 6] =
    [Flavour::Rutter, Flavour::Nameless, Flavour::RutterLink, Flavour::SkuIo, Flavour::Arcus, Flavour::ArcusLink];

impl Flavour {
    /// Whether the type is all the name that a record has.
    pub(crate) fn is_arcus(self) -> bool {
        matches!(self, Self::Arcus | Self::ArcusLink)
    }

    /// Whether nothing tells two records of one store apart.
    pub(crate) fn is_nameless(self) -> bool {
        matches!(self, Self::Nameless | Self::RutterLink)
    }

    /// Whether it is Rutter's, one way or another.
    pub(crate) fn is_rutter(self) -> bool {
        matches!(self, Self::Rutter | Self::Nameless | Self::RutterLink)
    }

    /// What a refresh of a record loads, in the words of the provider.
    pub(crate) fn loads(self) -> &'static [&'static str] {
        match self {
            Self::Rutter => &["incremental_sync", "order"],
            Self::Nameless | Self::RutterLink => &["incremental_sync"],
            Self::SkuIo => &["products", "orders"],
            Self::Arcus | Self::ArcusLink => &[],
        }
    }

    /// Whether the merchant uses a link.
    pub(crate) fn has_link(self) -> bool {
        matches!(self, Self::RutterLink | Self::ArcusLink)
    }
}
