//! Who uses an account: the objects that need its login, or are about to.

use super::{
    accounts::{AccountName, Found},
    context::Engine,
    error::{PassError, is_missing},
    lean::Lean,
    memory::SHOWN,
    object::{AccountTarget, Target},
    outcome::Next,
};
use crate::{
    api::v1alpha1::{Connection, IntegrationInstance, Managed},
    domain::reason::{Problem, Reason},
};
use kube::{Api, Resource, ResourceExt, api::ListParams, runtime::reflector::Store};

/// So many objects are counted one by one.
const FEW: usize = 10;
/// Objects in a page of a list.
const PAGE: u32 = 100;

/// The objects that name an account.
#[derive(Default)]
pub(super) struct Users {
    /// So many have started: they need its login to clean up. What cannot be read may be one of them.
    pub(super) bound: usize,
    /// So many may start.
    pub(super) coming: usize,
    /// So many of the bound ones are gone, or will be in a moment: this process has let them go.
    pub(super) gone: usize,
    /// Some of the bound ones were let go a while ago, and are shown nevertheless.
    pub(super) lingering: bool,
    /// Some that have not started by the cache were written by this process since.
    pub(super) unclear: bool,
}

impl Users {
    /// How many there are, in words: of many only about how many, so that not each that goes is a write.
    pub(super) fn who(&self) -> String {
        match self.bound + self.coming {
            1 => "1 object uses this account".to_owned(),
            few @ 0..=FEW => format!("{few} objects use this account"),
            many => format!("More than {} objects use this account", 10_usize.pow((many - 1).ilog10())),
        }
    }

    /// Whether none of them needs the account: none has started and, unless it is being deleted, none may.
    pub(super) fn need_nothing(&self, target: &AccountTarget) -> bool {
        self.bound == 0 && (target.deleting || self.coming == 0)
    }

    /// Whether all that have started may be gone, though the cache does not show it yet.
    pub(super) fn are_gone(&self) -> bool {
        self.bound > 0 && self.bound == self.gone
    }

    /// When to look at the account again: soon where some of them may be gone in a moment.
    pub(super) fn next(&self, next: Next) -> Next {
        if self.lingering { next.at_most(SHOWN) } else { next }
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

    /// Whether the account of an object that has let go has few users left, as far as the caches show: only then it may have
    /// something else to say, or may go.
    pub(super) fn are_few(engine: &Engine, target: &Target) -> bool {
        let leaves = engine.accounts.of(target).is_some_and(|account| account.is_leaving());
        match remaining(engine, &target.account_name()) {
            0 => true,
            others => leaves && others < FEW,
        }
    }

    /// An object is gone, and nobody knows which account it had named, or who has let it go: an account on its way out may have
    /// waited for that.
    pub(super) fn one_is_gone(engine: &Engine) {
        let waits = |account: Found| account.is_leaving() && remaining(engine, &account.name()) < FEW;
        if engine.accounts.all().any(waits) {
            engine.look_at_accounts();
        }
    }

    /// Those that the caches show; where these go on showing what was let go, those that there are. A cache is never told of
    /// what went together with its CRD.
    ///
    /// # Errors
    /// Where the API server did not take part.
    pub(super) async fn of(engine: &Engine, target: &AccountTarget) -> Result<Self, PassError> {
        let mut users = Self::default();
        users.count(engine, target, engine.connections.state().iter().map(AsRef::as_ref));
        users.count(engine, target, engine.instances.state().iter().map(AsRef::as_ref));
        if users.lingering { Self::read(engine, target).await } else { Ok(users) }
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
            if target.is_shared() { Api::all(client) } else { Api::namespaced(client, &target.namespace) };
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let list = match api.list(&page).await {
                // Its CRD is gone, and with it all of them.
                Err(kube::Error::Api(status)) if is_missing(&status) => return Ok(()),
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
            if !target.is_shared() && target.namespace != namespace {
                continue;
            }
            if !object.good().is_none_or(|o| target.is_named(o.account_ref(), namespace)) {
                continue;
            }
            let bound = object.finalizers().iter().any(|f| f == K::FINALIZER);
            let deleting = object.meta().deletion_timestamp.is_some();
            let may_start = object.good().is_some_and(|o| o.provider() == target.spec.provider)
                && !deleting
                && engine.accounts.admits(target.allowed.as_ref(), namespace);
            let (uid, version) = (object.uid().unwrap_or_default(), object.resource_version().unwrap_or_default());
            self.bound += usize::from(bound);
            self.coming += usize::from(!bound && may_start);
            let let_go = engine.memory.let_go_for(&uid, &version).filter(|_| bound && deleting);
            self.gone += usize::from(let_go.is_some_and(|since| since < SHOWN));
            self.lingering |= let_go.is_some_and(|since| since >= SHOWN);
            self.unclear |= !bound && engine.memory.outdated(&uid, &version);
        }
    }
}

/// How many objects need an account, as far as the caches show; of many only the first few of each kind.
fn remaining(engine: &Engine, account: &AccountName) -> usize {
    users(engine, account, &engine.connections) + users(engine, account, &engine.instances)
}

fn users<K: Managed>(engine: &Engine, account: &AccountName, store: &Store<Lean<K>>) -> usize {
    let needs = |object: &Lean<K>| {
        let namespace = object.meta().namespace.as_deref().unwrap_or_default();
        let names = |o: &K| AccountName::of(o.account_ref(), namespace) == *account;
        let (uid, version) = (object.uid().unwrap_or_default(), object.resource_version().unwrap_or_default());
        object.finalizers().iter().any(|f| f == K::FINALIZER)
            && object.good().is_none_or(names)
            && !engine.memory.has_let_go(&uid, &version)
    };
    store.state().iter().filter(|object| needs(object)).take(FEW).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(1, "1 object uses")]
    #[case(2, "2 objects use")]
    #[case(10, "10 objects use")]
    #[case(11, "More than 10 objects use")]
    #[case(100, "More than 10 objects use")]
    #[case(101, "More than 100 objects use")]
    #[case(2000, "More than 1000 objects use")]
    fn many_are_told_by_about_how_many_they_are(#[case] bound: usize, #[case] says: &str) {
        assert_eq!(Users { bound, ..Users::default() }.who(), format!("{says} this account"));
    }
}
