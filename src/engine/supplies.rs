//! What a create needs beside the Want: the store's credentials, read only where the next step may need them.

use super::{context::Engine, error::PassError, object::Target, resolve};
use crate::{
    api::v1alpha1::AppliedCredentials,
    domain::{
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
}

impl Supplies {
    /// What an object that has not started will need. The declaration itself comes first.
    ///
    /// # Errors
    /// The API server's refusal.
    pub(super) async fn for_create<E: External>(
        engine: &Engine,
        external: &E,
        target: &Target,
        creation: &Creation,
        want: Result<&E::Want, &Problem>,
        leaving: bool,
    ) -> Result<Self, PassError> {
        if let Err(problem) = want {
            return Ok(Self { problem: Some(problem.clone()), ..Self::default() });
        }
        let idle = target.deleting || target.spec.suspend || target.stored().observe_only;
        if idle || target.spec.external_ref.is_some() || *creation != Creation::NotStarted {
            return Ok(Self::default());
        }
        if leaving {
            let text =
                format!("ProviderAccount {} is being deleted: name another account", target.spec.account_ref.name);
            let problem = Some(Problem::new(Reason::DependencyNotReady, text));
            return Ok(Self { problem, ..Self::default() });
        }
        Self::read(engine, external, target, want).await
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
        let (Ok(want), Some(name)) = (want, E::credentials_secret(&target.spec)) else { return Ok(Self::default()) };
        let problem = |problem| Self { problem: Some(problem), ..Self::default() };
        Ok(match resolve::secret(engine, &target.namespace, name).await? {
            Err(missing) => problem(missing),
            Ok((data, version)) => match external.credentials(want, name, &data) {
                Err(wrong) => Self { version: Some(version), ..problem(wrong) },
                Ok(credentials) => Self { problem: None, credentials: Some(credentials), version: Some(version) },
            },
        })
    }
}
