//! What Arcus connects, and what each kind is described by.
//!
//! The enumeration is that of Arcus' page "Create or initiate a connector connection". Which fields belong to which
//! kind is said there for `shop`, `seller_id` and `bank_account_id`; that `ship_from_*` belongs to what ships is
//! inferred.

use serde::{Deserialize, Serialize};

/// A kind of connector. An entity has at most one of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names of products")]
pub enum Connector {
    Stripe,
    Avatax,
    Shippo,
    Printnode,
    Postmark,
    Shopify,
    Mapquest,
    Google,
    Openai,
    Plaid,
    Ups,
    Fedex,
    Usps,
    Amazon,
    Ebay,
    Wwex,
}

impl Connector {
    /// All of them, in the order of the reference.
    pub const ALL: [Self; 16] = [
        Self::Stripe,
        Self::Avatax,
        Self::Shippo,
        Self::Printnode,
        Self::Postmark,
        Self::Shopify,
        Self::Mapquest,
        Self::Google,
        Self::Openai,
        Self::Plaid,
        Self::Ups,
        Self::Fedex,
        Self::Usps,
        Self::Amazon,
        Self::Ebay,
        Self::Wwex,
    ];

    /// Its name in paths and rows.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::Avatax => "avatax",
            Self::Shippo => "shippo",
            Self::Printnode => "printnode",
            Self::Postmark => "postmark",
            Self::Shopify => "shopify",
            Self::Mapquest => "mapquest",
            Self::Google => "google",
            Self::Openai => "openai",
            Self::Plaid => "plaid",
            Self::Ups => "ups",
            Self::Fedex => "fedex",
            Self::Usps => "usps",
            Self::Amazon => "amazon",
            Self::Ebay => "ebay",
            Self::Wwex => "wwex",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|connector| connector.name() == name)
    }

    /// Whether somebody must consent in a browser (mode B); the others are configured only (mode A).
    #[must_use]
    pub fn wants_consent(self) -> bool {
        self == Self::Shopify
    }

    /// Whether it sends parcels.
    pub(super) fn ships(self) -> bool {
        matches!(self, Self::Shippo | Self::Ups | Self::Fedex | Self::Usps | Self::Wwex)
    }

    /// Whether it is a marketplace with sellers.
    pub(super) fn has_sellers(self) -> bool {
        matches!(self, Self::Amazon | Self::Ebay)
    }
}

/// Whether a connector, or a key, is for trying out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It is. Keys of this kind begin with `ark_test_`.
    Sandbox,
    /// It is not. Keys of this kind begin with `ark_live_`.
    Live,
}

impl Mode {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Live => "live",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Sandbox, Self::Live].into_iter().find(|mode| mode.name() == name)
    }
}
