//! What is declared: a provider, its policies, and what was there before.
//!
//! It must never know what goes wrong in the life of it.

use serde_json::{Value, json};
use tradewind::api::keys;
use tradewind_simulator::{Simulator, arcus, rutter, sku_io};

use crate::{
    event::Event,
    flavour::{FLAVOURS, Flavour},
};

/// The namespace of everything.
pub(crate) const NAMESPACE: &str = "shop";
/// The name of the object whose life it is.
pub(crate) const NAME: &str = "acme";
/// The name of the other one, for the same store.
pub(crate) const TWIN: &str = "acme-two";
/// The connection Secret.
pub(crate) const SECRET: &str = "acme-connection";
/// The Secret with the store's credentials.
pub(crate) const STORE_LOGIN: &str = "store-login";
/// The Secret with the account's login.
pub(crate) const LOGIN: &str = "login";
/// The other secret of Rutter's login.
pub(crate) const OTHER_SECRET: &str = "test-other-client-secret";
/// The other token of SKU.io's tenant.
pub(crate) const OTHER_TOKEN: &str = "2|test-other-sku-io-token";
/// The other key of the entity at Arcus.
pub(crate) const OTHER_KEY: &str = "ark_test_ent_simulator_not-the-other-secret";
/// The account.
pub(crate) const ACCOUNT: &str = "account";

/// What is declared beside the record itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The defaults: no adoption, the record goes with its object.
    Plain,
    /// The record stays when the object goes.
    Retain,
    /// What the record was is made anew when somebody deletes it.
    Recreate,
    /// What cannot be changed in place is made anew, and the edit is such a change.
    Replace,
    /// A person who is asked whose a record is answers, and the account allows it.
    Answer,
    /// A stranger's record is there before, and is not taken over.
    Stranger,
    /// A stranger's record is there before, and may be taken over.
    Adopt,
    /// A stranger's record is there before that differs from what is declared, and may be taken over and put right.
    Override,
    /// A stranger's record is there before, and is only looked at.
    Observe,
    /// Two operators run all the time, without a lease.
    Twins,
    /// The API server's clock is a minute and a half ahead of everybody else's.
    Ahead,
    /// The operator's clock is a minute and a half behind everybody else's.
    Behind,
}

/// All of them.
pub const POLICIES: [Policy; 12] = [
    Policy::Plain,
    Policy::Retain,
    Policy::Recreate,
    Policy::Replace,
    Policy::Answer,
    Policy::Stranger,
    Policy::Adopt,
    Policy::Override,
    Policy::Observe,
    Policy::Twins,
    Policy::Ahead,
    Policy::Behind,
];

/// One combination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// The provider.
    pub flavour: Flavour,
    /// The rest.
    pub policy: Policy,
}

/// Every combination that means something.
#[must_use]
pub fn all() -> Vec<Scenario> {
    let means = |s: &Scenario| match s.policy {
        // A record that nothing tells cannot be found.
        Policy::Stranger | Policy::Adopt | Policy::Observe => !s.flavour.is_nameless(),
        // Elsewhere nothing is put right in place that a stranger's record may differ in.
        Policy::Override => matches!(s.flavour, Flavour::SkuIo | Flavour::Arcus),
        // What a merchant has connected is theirs to connect anew: the CRD refuses the combination.
        Policy::Recreate => s.flavour != Flavour::RutterLink,
        // Arcus changes everything in place, and a merchant chooses the store behind a link.
        Policy::Replace => matches!(s.flavour, Flavour::Rutter | Flavour::Nameless | Flavour::SkuIo),
        Policy::Plain | Policy::Answer | Policy::Retain | Policy::Twins | Policy::Ahead | Policy::Behind => true,
    };
    let pairs = FLAVOURS.iter().flat_map(|f| POLICIES.iter().map(|p| Scenario { flavour: *f, policy: *p }));
    pairs.filter(means).collect()
}

impl std::fmt::Display for Scenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}/{:?}", self.flavour, self.policy)
    }
}

impl Scenario {
    /// Whether a stranger's record is there before.
    pub(crate) fn has_stranger(self) -> bool {
        matches!(self.policy, Policy::Stranger | Policy::Adopt | Policy::Override | Policy::Observe)
    }

    /// Whether the record is the object's: made by it or taken over.
    pub(crate) fn owns(self) -> bool {
        !matches!(self.policy, Policy::Stranger | Policy::Observe)
    }

    /// Whether the record is a stranger's that is taken over.
    pub(crate) fn adopts(self) -> bool {
        matches!(self.policy, Policy::Adopt | Policy::Override)
    }

    /// Whether objects may take over what they have not made: to look at it is enough to need that.
    pub(crate) fn allows_adoption(self) -> bool {
        matches!(self.policy, Policy::Adopt | Policy::Override | Policy::Observe | Policy::Answer)
    }

    /// The plural of the object's kind.
    pub(crate) fn plural(self) -> &'static str {
        if self.flavour == Flavour::SkuIo { "integrationinstances" } else { "connections" }
    }

    /// Our finalizer on it.
    pub(crate) fn finalizer(self) -> &'static str {
        if self.flavour == Flavour::SkuIo { keys::INSTANCE_FINALIZER } else { keys::CONNECTION_FINALIZER }
    }

    /// The store, in the words of the provider.
    pub(crate) fn store(self) -> &'static str {
        match self.flavour {
            Flavour::Rutter | Flavour::RutterLink => "store-acme.mybigcommerce.com",
            Flavour::Nameless => "acct_acme",
            Flavour::SkuIo => "acme0000",
            Flavour::Arcus => "shippo",
            Flavour::ArcusLink => "acme.myshopify.com",
        }
    }

    /// Account and Secrets.
    pub(crate) fn furniture(self) -> Vec<Value> {
        let secret = |name: &str, data: Value| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data});
        let (provider, login, more) = match self.flavour {
            Flavour::Rutter | Flavour::Nameless | Flavour::RutterLink => {
                let account = rutter::Account::default();
                ("Rutter", json!({"client_id": account.client_id, "client_secret": account.client_secret}), json!({}))
            }
            Flavour::SkuIo => {
                let tenant = json!({"skuIo": {"tenant": "acme"}});
                ("SkuIo", json!({"token": sku_io::Account::default().token}), tenant)
            }
            Flavour::Arcus | Flavour::ArcusLink => {
                ("Arcus", json!({"api_key": arcus::Account::default().key}), json!({}))
            }
        };
        let mut spec = json!({
            "provider": provider, "credentialsSecretRef": {"name": LOGIN},
            "adoption": if self.allows_adoption() { "Allowed" } else { "Forbidden" },
            "limits": {"requestsPerMinute": 6000, "maxInFlight": 8}
        });
        extend(&mut spec, more);
        let account = json!({
            "apiVersion": "tradewind.dev/v1alpha1", "kind": "ProviderAccount", "metadata": {"name": ACCOUNT}, "spec": spec
        });
        let store = secret(STORE_LOGIN, json!({"oauth_access_token": "test-store-token"}));
        vec![secret(LOGIN, login), store, account]
    }

    /// The account's login with its other secret.
    pub(crate) fn other_login(self) -> Value {
        match self.flavour {
            Flavour::Rutter | Flavour::Nameless | Flavour::RutterLink => json!({"client_secret": OTHER_SECRET}),
            Flavour::SkuIo => json!({"token": OTHER_TOKEN}),
            Flavour::Arcus | Flavour::ArcusLink => json!({"api_key": OTHER_KEY}),
        }
    }

    /// The object, under this name.
    pub(crate) fn object(self, name: &str) -> Value {
        let mut spec = self.record();
        extend(&mut spec, json!({"accountRef": {"name": ACCOUNT}, "interval": "5m"}));
        extend(
            &mut spec,
            match self.policy {
                Policy::Plain | Policy::Answer | Policy::Stranger | Policy::Twins | Policy::Ahead | Policy::Behind => {
                    json!({"deletionPolicy": "Delete"})
                }
                Policy::Retain => json!({"deletionPolicy": "Retain"}),
                Policy::Recreate => json!({"deletionPolicy": "Delete", "onExternalLoss": "Recreate"}),
                Policy::Replace => json!({"deletionPolicy": "Delete", "replacementPolicy": "Recreate"}),
                Policy::Adopt => json!({"deletionPolicy": "Delete", "adoptionPolicy": "Match"}),
                Policy::Override => json!({"deletionPolicy": "Delete", "adoptionPolicy": "Override"}),
                Policy::Observe => json!({"managementPolicy": "ObserveOnly"}),
            },
        );
        let kind = if self.flavour == Flavour::SkuIo { "IntegrationInstance" } else { "Connection" };
        json!({"apiVersion": "tradewind.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
    }

    fn record(self) -> Value {
        let rutter = |platform: &str, parameters: Value| {
            json!({
                "provider": "Rutter", "platform": platform, "connectionSecretRef": {"name": SECRET},
                "rutter": {"credentialsSecretRef": {"name": STORE_LOGIN}, "parameters": parameters}
            })
        };
        match self.flavour {
            Flavour::Rutter => {
                let mut spec = rutter("BIG_COMMERCE", json!({"store_url": self.store()}));
                extend(&mut spec, json!({"sync": {"orders": {"startDate": "2026-01-01"}}}));
                spec
            }
            Flavour::Nameless => rutter("STRIPE", json!({"account_id": self.store()})),
            Flavour::RutterLink => json!({
                "provider": "Rutter", "platform": "BIG_COMMERCE", "connectionSecretRef": {"name": SECRET},
                "rutter": {"authorization": "Link"}
            }),
            Flavour::SkuIo => json!({
                "provider": "SkuIo", "platform": "big-commerce", "name": NAME, "integrationId": 5,
                "accessTokenSecretRef": {"name": STORE_LOGIN, "key": "oauth_access_token"},
                "settings": {
                    "storeHash": self.store(), "startDate": "2026-01-01", "storeId": 1, "autoLinkProducts": true,
                    "autoCreateProducts": false
                }
            }),
            Flavour::Arcus => json!({
                "provider": "Arcus", "platform": "shippo",
                "arcus": {"mode": "Sandbox", "config": {"label_format": "pdf"}}
            }),
            Flavour::ArcusLink => json!({
                "provider": "Arcus", "platform": "shopify", "connectionSecretRef": {"name": SECRET},
                "arcus": {"mode": "Sandbox", "shop": self.store()}
            }),
        }
    }

    /// A change of what can be changed in place, or of nothing at the provider where nothing can be; each number is another.
    /// Where records are replaced, of what only a new one can bring.
    pub(crate) fn edit(self, number: u8) -> Value {
        if self.policy == Policy::Replace {
            return self.replacement(number);
        }
        match self.flavour {
            Flavour::Rutter | Flavour::Nameless | Flavour::RutterLink => {
                json!({"spec": {"interval": format!("{}m", 5 - number)}})
            }
            Flavour::SkuIo => json!({"spec": {"settings": {"storeId": 1 + number}}}),
            Flavour::Arcus | Flavour::ArcusLink => {
                json!({"spec": {"arcus": {"displayName": format!("Edit {number}")}}})
            }
        }
    }

    fn replacement(self, number: u8) -> Value {
        let parameters = match self.flavour {
            Flavour::Rutter => json!({"store_url": format!("store-acme-{number}.mybigcommerce.com")}),
            Flavour::Nameless => json!({"account_id": format!("acct_acme_{number}")}),
            // Its kind of integration is what an instance cannot change.
            Flavour::RutterLink | Flavour::SkuIo | Flavour::Arcus | Flavour::ArcusLink => {
                return json!({"spec": {"integrationId": 5 + number}});
            }
        };
        json!({"spec": {"rutter": {"parameters": parameters}}})
    }

    /// A change of what names the store, where it can be changed: a name, a type and a shop are immutable, and a merchant
    /// chooses the store behind a link.
    pub(crate) fn other_key(self) -> Option<Value> {
        let parameters = match self.flavour {
            Flavour::Rutter => json!({"store_url": "store-other.mybigcommerce.com"}),
            Flavour::Nameless => json!({"account_id": "acct_other"}),
            Flavour::RutterLink | Flavour::SkuIo | Flavour::Arcus | Flavour::ArcusLink => return None,
        };
        Some(json!({"spec": {"rutter": {"parameters": parameters}}}))
    }

    /// What somebody changes of a record, where a change of it means something.
    pub(crate) fn drift(self) -> Option<Value> {
        match self.flavour {
            Flavour::SkuIo => Some(json!({"integration_settings": {"store_id": 9}})),
            Flavour::Arcus => Some(json!({"config": {"label_format": "zpl"}})),
            Flavour::Rutter | Flavour::Nameless | Flavour::RutterLink | Flavour::ArcusLink => None,
        }
    }

    /// Whether this can happen at all: there is something of that kind. What cannot is not worth a life.
    pub(crate) fn allows(self, event: Event) -> bool {
        if event == Event::EditKey {
            self.other_key().is_some()
        } else if event == Event::Drift {
            self.drift().is_some()
        } else if event == Event::DeleteSecret {
            self.object(NAME).pointer("/spec/connectionSecretRef").is_some()
        } else if event == Event::Consent {
            self.flavour.has_link()
        } else if event == Event::RotateCredentials {
            // What nobody can give a record anew waits for a new record, and says so.
            self.flavour == Flavour::SkuIo
        } else if event == Event::DeleteCredentials {
            self.object(NAME).to_string().contains(STORE_LOGIN)
        } else {
            event != Event::AskRefresh || self.refreshes()
        }
    }

    /// Whether what is declared comes to be in spite of this event, after a while: it only delays it, or the operator is
    /// there to put it right.
    pub(crate) fn bears(self, event: Event) -> bool {
        let such = |events: &[Event]| events.contains(&event);
        event.is_benign()
            // Before the end: after it, it comes too late.
            || such(&[Event::Drift, Event::SetRetain])
            // Annotation and identity tell whose the record is.
            || event == Event::WipeStatus && !self.flavour.is_nameless()
            || self.policy == Policy::Recreate && event == Event::LoseRecord
            || self.policy == Policy::Replace && event == Event::EditKey
            // Who is asked says whose the record is.
            || self.policy == Policy::Answer && such(&[Event::WipeStatus, Event::RestoreFull, Event::RestoreBare])
    }

    /// Whether data can be refreshed on request.
    pub(crate) fn refreshes(self) -> bool {
        !self.flavour.loads().is_empty()
    }

    /// Whether this is loaded once for each record that is made, beside what is asked for.
    pub(crate) fn loads_at_first(self, what: &str) -> bool {
        self.flavour == Flavour::Rutter && what == "order"
    }

    /// A stranger makes a record of the same store; whether that was possible.
    pub(crate) fn stranger_comes(self, simulator: &Simulator) -> bool {
        match self.flavour {
            Flavour::Rutter | Flavour::Nameless | Flavour::RutterLink => {
                let (platform, store_url) = if self.flavour == Flavour::Nameless {
                    ("STRIPE", "acme.example.com".to_owned())
                } else {
                    ("BIG_COMMERCE", self.store().to_owned())
                };
                let deed = rutter::Deed::Connect { client_id: None, platform: platform.to_owned(), store_url };
                simulator.act(&deed).is_ok()
            }
            Flavour::SkuIo => {
                let (name, store_hash) = (NAME.to_owned(), self.store().to_owned());
                let made = simulator.act_sku(&sku_io::Deed::Make { tenant_id: None, name, store_hash });
                made.is_ok_and(|record| {
                    let links = self.policy != Policy::Override;
                    let fields = json!({"integration_settings": {"auto_link_products": links}});
                    let fields = fields.as_object().cloned().unwrap_or_default();
                    simulator.act_sku(&sku_io::Deed::Change { instance: record.id, fields }).is_ok()
                })
            }
            Flavour::Arcus | Flavour::ArcusLink => {
                let fields = if self.flavour == Flavour::ArcusLink {
                    json!({"shop": self.store()})
                } else {
                    json!({"config": {"label_format": if self.policy == Policy::Override { "zpl" } else { "pdf" }}})
                };
                let fields = fields.as_object().cloned().unwrap_or_default();
                simulator.act_arcus(&arcus::Act::Make { fields }.on(self.connector())).is_ok()
            }
        }
    }

    /// The type of connector, at Arcus.
    pub(crate) fn connector(self) -> arcus::Connector {
        if self.flavour == Flavour::ArcusLink { arcus::Connector::Shopify } else { arcus::Connector::Shippo }
    }
}

fn extend(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}
