//! Who uses an account: the objects that need its login, or are about to.

use super::{context::Engine, error::PassError, lean::Lean, object::AccountTarget};
use crate::{
    api::v1alpha1::{Connection, IntegrationInstance, Managed},
    domain::reason::{Problem, Reason},
};
use kube::{Api, Resource, ResourceExt, api::ListParams};

/// Objects in a page of a list.
const PAGE: u32 = 100;

/// The objects that name an account.
#[derive(Default)]
pub(super) struct Users {
    /// So many have started: they need its login to clean up. What cannot be read may be one of them.
    pub(super) bound: usize,
    /// So many may start.
    pub(super) coming: usize,
    /// So many of the bound ones may be gone: this process has let them go.
    pub(super) gone: usize,
    /// Some that have not started by the cache were written by this process since.
    pub(super) unclear: bool,
}

impl Users {
    /// How many there are, in words.
    pub(super) fn who(&self) -> String {
        let all = self.bound + self.coming;
        if all == 1 { "1 object uses this account".to_owned() } else { format!("{all} objects use this account") }
    }

    /// What an account says whose Secret somebody deletes while it is in use.
    pub(super) fn keep_secret(&self, target: &AccountTarget) -> Problem {
        let name = &target.spec.credentials_secret_ref.name;
        let text = format!(
            "The provider accepts the login. Secret {name} is being deleted, and is held: {}. Delete them first, or put the \
             login into another Secret and name that one in credentialsSecretRef",
            self.who()
        );
        Problem::new(Reason::DeletionHeld, text)
    }

    /// Those that the caches show.
    pub(super) fn of(engine: &Engine, target: &AccountTarget) -> Self {
        let mut users = Self::default();
        users.count(engine, target, engine.connections.state().iter().map(AsRef::as_ref));
        users.count(engine, target, engine.instances.state().iter().map(AsRef::as_ref));
        users
    }

    /// Those that there are now.
    ///
    /// # Errors
    /// Where the API server did not take part.
    pub(super) async fn read(engine: &Engine, target: &AccountTarget) -> Result<Self, PassError> {
        let mut users = Self::default();
        users.list::<Connection>(engine, target).await?;
        users.list::<IntegrationInstance>(engine, target).await?;
        Ok(users)
    }

    async fn list<K: Managed>(&mut self, engine: &Engine, target: &AccountTarget) -> Result<(), PassError> {
        let client = engine.client.clone();
        let api: Api<Lean<K>> =
            if target.namespace.is_empty() { Api::all(client) } else { Api::namespaced(client, &target.namespace) };
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let list = match api.list(&page).await {
                // Its CRD is gone, and with it all of them.
                Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(()),
                list => list.map_err(|e| PassError::Resolve(Box::new(e)))?,
            };
            self.count(engine, target, list.items.iter());
            match list.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => page = page.continue_token(&next),
                None => return Ok(()),
            }
        }
    }

    fn count<'a, K: Managed>(
        &mut self,
        engine: &Engine,
        target: &AccountTarget,
        objects: impl Iterator<Item = &'a Lean<K>>,
    ) {
        for object in objects {
            let namespace = object.meta().namespace.as_deref().unwrap_or_default();
            if !target.namespace.is_empty() && target.namespace != namespace {
                continue;
            }
            if !object.good().is_none_or(|o| target.is_named(o.account_ref(), namespace)) {
                continue;
            }
            let bound = object.finalizers().iter().any(|f| f == K::FINALIZER);
            let deleting = object.meta().deletion_timestamp.is_some();
            let may_start = object.good().is_some_and(|o| o.provider() == target.spec.provider) && !deleting;
            let (uid, version) = (object.uid().unwrap_or_default(), object.resource_version().unwrap_or_default());
            self.bound += usize::from(bound);
            self.coming += usize::from(!bound && may_start);
            self.gone += usize::from(bound && deleting && engine.memory.has_let_go(&uid));
            self.unclear |= !bound && engine.memory.outdated(&uid, &version);
        }
    }
}
