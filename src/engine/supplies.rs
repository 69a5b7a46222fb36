//! What a create needs beside the Want: the store's credentials, read only where the next step may need them.

use super::{context::Engine, error::PassError, link, object::Target, resolve};
use crate::{
    api::v1alpha1::{AdoptionPolicy, AppliedCredentials, DeletionPolicy},
    domain::{
        dates,
        decide::LinkState,
        intent::Creation,
        reason::{Problem, Reason},
        validate::Credentials,
    },
    provider::External,
};

/// The credentials, or what is wrong with them.
#[derive(Default)]
pub(super) struct Supplies {
    pub(super) problem: Option<Problem>,
    pub(super) credentials: Option<Credentials>,
    /// The version of the Secret that they were read from.
    pub(super) version: Option<AppliedCredentials>,
    /// The record works with what it was given, but what the Secret has now does not reach it.
    pub(super) concern: Option<Problem>,
}

/// How things stand with the account and with the link of an open attempt.
#[derive(Clone, Copy)]
pub(super) struct At {
    /// The account is being deleted.
    pub(super) leaving: bool,
    /// The link.
    pub(super) link: LinkState,
}

/// Whether the next step may be to create.
fn creates(creation: &Creation, link: LinkState) -> bool {
    *creation == Creation::NotStarted || matches!(link, LinkState::Expired | LinkState::Lost)
}

impl Supplies {
    /// What an object that has not started will need, or one whose record takes new credentials. The declaration itself
    /// comes first.
    ///
    /// # Errors
    /// The API server's refusal.
    pub(super) async fn gather<E: External>(
        engine: &Engine,
        external: &E,
        target: &Target,
        creation: &Creation,
        want: Result<&E::Want, &Problem>,
        at: At,
    ) -> Result<Self, PassError> {
        let At { leaving, link } = at;
        if let Err(problem) = want {
            return Ok(Self { problem: Some(problem.clone()), ..Self::default() });
        }
        let idle = target.deleting || target.spec.is_suspended() || target.stored().observe_only;
        let starts = *creation == Creation::NotStarted && !idle;
        if starts && leaving {
            return Ok(Self { problem: Some(is_leaving(target)), ..Self::default() });
        }
        match creation {
            Creation::Done(_) if E::TAKES_CREDENTIALS && !idle => {
                let read = Self::read(engine, external, target, want).await?;
                Ok(Self { concern: read.problem, problem: None, ..read })
            }
            Creation::Done(_) if !idle => {
                Ok(Self { concern: Self::outdated::<E>(engine, target).await?, ..Self::default() })
            }
            Creation::NotStarted | Creation::Pending(_)
                if !idle && creates(creation, link) && target.spec.external_ref().is_none() =>
            {
                let now = engine.now_at(external);
                // What may be taken over needs less than what is made.
                let creating = target.spec.adoption_policy() == AdoptionPolicy::Fail;
                let late = want.ok().and_then(|want| external.objection(want, dates::today(now), creating));
                let late = late.or_else(|| link::given_up(target, link, engine.clock.now()));
                if let Some(problem) = late.or_else(|| leaving.then(|| is_leaving(target))) {
                    return Ok(Self { problem: Some(problem), ..Self::default() });
                }
                Self::read(engine, external, target, want).await
            }
            Creation::NotStarted | Creation::Pending(_) | Creation::Done(_) | Creation::Unverifiable(_) => {
                Ok(Self::default())
            }
        }
    }

    /// The credentials that the record has not been given yet.
    pub(super) fn fresh(&self, target: &Target, creation: &Creation) -> Option<&Credentials> {
        let given = self.version.as_ref().zip(target.status.applied_credentials.as_ref());
        let known = given.is_some_and(|(today, given)| is_same(today, given));
        self.credentials.as_ref().filter(|_| matches!(creation, Creation::Done(_)) && !known)
    }

    /// The version of the Secret that the object names now.
    ///
    /// # Errors
    /// The API server's refusal.
    pub(super) async fn version_now<E: External>(
        engine: &Engine,
        target: &Target,
    ) -> Result<Option<AppliedCredentials>, PassError> {
        let Some(name) = E::credentials_secret(&target.spec) else { return Ok(None) };
        resolve::secret_version(engine, &target.namespace, name).await
    }

    /// The Secret has changed since the record was made, at a provider that takes no new credentials for it.
    ///
    /// Nothing more than that is known: what it was made with is remembered as a version, never as a value.
    async fn outdated<E: External>(engine: &Engine, target: &Target) -> Result<Option<Problem>, PassError> {
        let named = E::credentials_secret(&target.spec).zip(target.status.applied_credentials.as_ref());
        let Some((name, given)) = named else { return Ok(None) };
        let today = Self::version_now::<E>(engine, target).await?;
        let text = || {
            let provider = E::NAME;
            let first = match target.spec.deletion_policy() {
                DeletionPolicy::Retain => "set deletionPolicy: Delete, ",
                DeletionPolicy::Delete => "",
            };
            format!(
                "Secret {name} was changed since the record was made with it, or taken over, and {provider} takes no new \
                 credentials for a record: it goes on with those of then. If the store does not accept those any more, \
                 {first}delete this object and apply it again"
            )
        };
        let changed = today.is_some_and(|today| !is_same(&today, given));
        Ok(changed.then(|| Problem::new(Reason::ReplacementRequired, text())))
    }

    /// The credentials as they stand in the Secret now.
    ///
    /// # Errors
    /// The API server's refusal.
    pub(super) async fn read<E: External>(
        engine: &Engine,
        external: &E,
        target: &Target,
        want: Result<&E::Want, &Problem>,
    ) -> Result<Self, PassError> {
        let Ok(want) = want else { return Ok(Self::default()) };
        let Some(name) = E::credentials_secret(&target.spec) else {
            // Nothing is given to the provider: whatever it needs, a person enters there.
            return Ok(Self { credentials: Some(Credentials::default()), ..Self::default() });
        };
        let problem = |problem| Self { problem: Some(problem), ..Self::default() };
        Ok(match resolve::secret(engine, &target.namespace, name).await? {
            Err(missing) => problem(missing),
            Ok((data, version)) => {
                let version = Some(AppliedCredentials { key: E::credentials_key(want).map(str::to_owned), ..version });
                match external.credentials(want, name, &data) {
                    Err(wrong) => Self { version, ..problem(wrong) },
                    Ok(credentials) => Self { credentials: Some(credentials), version, ..Self::default() },
                }
            }
        })
    }
}

/// Whether both are the same version of the same Secret, and of the same key of it as far as both tell.
fn is_same(one: &AppliedCredentials, other: &AppliedCredentials) -> bool {
    let same_key = one.key.is_none() || other.key.is_none() || one.key == other.key;
    same_key && (&one.uid, &one.resource_version) == (&other.uid, &other.resource_version)
}

/// Nothing new is made in an account that goes.
pub(super) fn is_leaving(target: &Target) -> Problem {
    let text = format!("{} is being deleted: name another account", target.spec.account_ref());
    Problem::new(Reason::DependencyNotReady, text)
}
