//! New credentials of a record: whether its store accepts them, and what is said of that.
//!
//! It must never give the record any: that is a change like others.

use super::{act::Scene, object::Target, outcome, record::present};
use crate::{
    api::v1alpha1::{ManagedStatus, Rotation},
    domain::{
        conditions::{Health, State},
        ids::ExternalId,
        reason::Problem,
        verdict::{Detail, Kind, problem},
    },
    provider::External,
};

impl<E: External> Scene<'_, E> {
    /// What the store says to the credentials that the record has now.
    pub(super) async fn verify(&self, target: &Target, id: &ExternalId) -> Rotation {
        match self.external.verify(id).await {
            Ok(true) => Rotation::Verified,
            Ok(false) => Rotation::Rejected,
            Err(error) => {
                outcome::warn(target, &error);
                Rotation::Unverified
            }
        }
    }

    /// What the store says to new credentials that it has not accepted so far.
    pub(super) async fn verify_again(&self, target: &Target, id: &ExternalId) -> Option<Rotation> {
        let rotation = target.status.applied_credentials.as_ref()?.rotation;
        if is_open(rotation) && !target.spec.is_suspended() { Some(self.verify(target, id).await) } else { rotation }
    }

    /// What a record that is as declared says of itself.
    pub(super) fn standing(
        &self,
        health: Option<&Health>,
        status: &ManagedStatus,
        rotation: Option<Rotation>,
    ) -> State {
        match (present(health, status), &self.supplies.concern, rotation) {
            (State::Present(health), Some(concern), _) => State::Unsecured(health, concern.clone()),
            (State::Present(_), None, Some(Rotation::Rejected)) => State::Halted(rejected::<E>()),
            (State::Present(health), None, Some(rotation)) => State::Rotated(health, rotation == Rotation::Verified),
            (state, _, _) => state,
        }
    }
}

/// Whether the store is to be asked once more.
pub(super) fn is_open(rotation: Option<Rotation>) -> bool {
    matches!(rotation, Some(Rotation::Unverified | Rotation::Rejected))
}

fn rejected<E: External>() -> Problem {
    problem(Kind::Unauthorized, E::NAME, &Detail::default(), E::STORE)
}
