//! All that a decision may depend on: what is known of one object, its account and its record.

use super::{
    ids::{ExternalId, NaturalKey},
    intent::Creation,
    reason::Problem,
    resolution::Resolution,
};
use crate::api::v1alpha1::{
    AdoptionPolicy, DeletionPolicy, ExternalLossPolicy, ManagementPolicy, ReplacementPolicy, StoredIntent,
};

/// The policies of an object, with their defaults applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether a foreign record may be taken over.
    pub adoption: AdoptionPolicy,
    /// What deletion does at the provider.
    pub deletion: DeletionPolicy,
    /// How much may be done at the provider.
    pub management: ManagementPolicy,
    /// What to do about a change that needs a new record.
    pub replacement: ReplacementPolicy,
    /// What to do when the record vanished.
    pub loss: ExternalLossPolicy,
    /// Whether writes are stopped.
    pub suspend: bool,
}

/// One record that a look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Its id.
    pub id: ExternalId,
    /// Whether the open attempt made it; see [`super::intent::Window::author`].
    pub authored: bool,
    /// Whether another object holds it.
    pub held: bool,
    /// Whether its identity could not be read: it may or may not be a match.
    pub doubtful: bool,
}

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// For the record with this id.
    Id(ExternalId),
    /// For records with this key.
    Key(NaturalKey),
    /// For records that were made in the window of this attempt, to name candidates.
    Window(Box<StoredIntent>),
}

/// What is known of a link that a person has to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// There is none.
    None,
    /// It does not work any more, and nobody has used it.
    Expired,
    /// It still works.
    Live,
    /// It still works, but nobody has it any more.
    Lost,
}

/// How the record differs, without saying how to change it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Drift {
    /// Not at all, or not known.
    #[default]
    None,
    /// In fields that the provider can change in place.
    Fields(Vec<String>),
    /// In fields that only a new record can bring.
    Replacement(Vec<String>),
}

impl Drift {
    /// The fields in which the record differs.
    #[must_use]
    pub fn fields(&self) -> &[String] {
        match self {
            Self::None => &[],
            Self::Fields(fields) | Self::Replacement(fields) => fields,
        }
    }
}

/// All that a decision may depend on.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent fact; the table names them one by one")]
pub struct Facts<'a> {
    /// The object is being deleted.
    pub deleting: bool,
    /// It carries our finalizer.
    pub bound: bool,
    /// How far its creation has come.
    pub creation: &'a Creation,
    /// Its policies.
    pub policy: Policy,
    /// The id in status, whatever it is worth; a candidate where nothing else is certain.
    pub recorded: Option<&'a ExternalId>,
    /// The id in status is of a record that was only looked at.
    pub observed_only: bool,
    /// `spec.externalRef`.
    pub external_ref: Option<&'a ExternalId>,
    /// The key that the spec declares, where the platform has one.
    pub key: Option<&'a NaturalKey>,
    /// What a look found; `None` before the look.
    pub seen: Option<&'a [Sighting]>,
    /// The recorded account is not the one named now.
    pub other_account: bool,
    /// Another object holds the recorded id; of an object without one, the id that it names.
    pub held: bool,
    /// The recorded id is of a record that is what another object declares, and not what this one does.
    pub anothers: bool,
    /// The records that the answer of the open attempt, or an earlier look, named as what it may have made.
    pub named: &'a [ExternalId],
    /// Another object claims the key.
    pub key_claimed: bool,
    /// It is too early to conclude anything from an absence.
    pub in_grace: bool,
    /// Its attempt may have made what a look by key does not show yet.
    pub unlisted: bool,
    /// It is known that nothing comes of the open attempt: it was not sent, or was refused.
    pub comes_to_nothing: bool,
    /// The link of the open attempt.
    pub link: LinkState,
    /// A link of this object, be it of an earlier attempt, may still be used.
    pub any_link: bool,
    /// Why there is no account to ask, where there is none.
    pub unreachable: Option<&'a Problem>,
    /// What keeps the declaration from being carried out: references, credentials, the spec itself.
    pub problem: Option<&'a Problem>,
    /// The last create was refused and nothing has changed since.
    pub refused: Option<&'a Problem>,
    /// The account lets objects adopt.
    pub adoption_allowed: bool,
    /// It has credentials of before, in an account that others share, and nobody has said that it may.
    pub restored: bool,
    /// The record is on its way to be replaced.
    pub replacing: bool,
    /// How the record differs.
    pub drift: Drift,
    /// The provider waits for a person before it takes changes.
    pub needs_person: bool,
    /// A refresh was asked for and not yet handled.
    pub refresh_due: bool,
    /// A person's answer that fits the present state.
    pub resolution: Option<&'a Resolution>,
}
