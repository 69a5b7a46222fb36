//! What a life declares: accounts with their logins, objects, edits; and what the simulated providers start with.
//!
//! Owns the manifests. It must never name an address that is not loopback, or a credential that does not look like one of a test.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tradewind_simulator::arcus::{self, Connector};
use tradewind_simulator::{Provider, Setup, rutter, sku_io};
use uuid::Uuid;

/// One declared object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thing {
    /// At whom.
    pub provider: Provider,
    /// Its name.
    pub name: String,
    /// The record stays when it is deleted.
    pub retain: bool,
    /// At Arcus: of which entity.
    pub entity: usize,
    /// At Arcus: which type.
    pub connector: Option<Connector>,
}

impl Thing {
    /// One of this provider, the first entity there.
    #[must_use]
    pub fn new(provider: Provider, number: usize) -> Self {
        Self::of_entity(provider, 0, number)
    }

    /// One of this provider; of this entity where it is Arcus.
    #[must_use]
    pub fn of_entity(provider: Provider, entity: usize, number: usize) -> Self {
        let connector = (provider == Provider::Arcus).then(|| CONFIGURED.get(number).copied()).flatten();
        let name = match (provider, connector) {
            (Provider::Rutter, _) => format!("rutter-{number}"),
            (Provider::SkuIo, _) => format!("sku-{number}"),
            (Provider::Arcus, connector) => {
                format!("arcus-{entity}-{}", connector.map_or_else(|| "none".to_owned(), |c| c.name().to_owned()))
            }
        };
        Self { provider, name, retain: false, entity, connector }
    }

    /// The same; its record stays when it is deleted.
    #[must_use]
    pub fn retained(self) -> Self {
        Self { retain: true, ..self }
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        if self.provider == Provider::SkuIo { "IntegrationInstance" } else { "Connection" }
    }

    /// How the board names it.
    #[must_use]
    pub fn on_board(&self) -> String {
        format!("{}/{}", self.kind(), self.name)
    }

    /// What makes its record the same thing whoever made it.
    #[must_use]
    pub fn key(&self) -> String {
        match self.provider {
            Provider::Rutter => store(&self.name),
            Provider::SkuIo => self.name.clone(),
            Provider::Arcus => connector_key(entity_id(self.entity), self.connector.map_or("none", Connector::name)),
        }
    }

    /// Whether its provider changes a record in place.
    #[must_use]
    pub fn is_editable(&self) -> bool {
        self.provider != Provider::Rutter
    }

    /// What an edit changes, as [`crate::oracle::Record::edited`] shows it.
    #[must_use]
    pub fn edited(&self, edit: usize) -> String {
        match self.provider {
            Provider::Rutter => String::new(),
            Provider::SkuIo => (edit + 1).to_string(),
            Provider::Arcus => display_name(edit),
        }
    }

    /// Whether its provider loads data on request.
    #[must_use]
    pub fn has_refresh(&self) -> bool {
        self.provider != Provider::Arcus
    }

    /// The manifest; each edit is another declaration.
    #[must_use]
    pub fn manifest(&self, edit: usize) -> Value {
        let policy = if self.retain { "Retain" } else { "Delete" };
        let spec = match self.provider {
            Provider::Rutter => json!({
                "provider": "Rutter", "accountRef": {"name": "rutter"}, "platform": "BIG_COMMERCE",
                "rutter": {"credentialsSecretRef": {"name": "store-login"},
                    "parameters": {"store_url": store(&self.name)}},
                "connectionSecretRef": {"name": format!("{}-connection", self.name)},
                "deletionPolicy": policy,
            }),
            Provider::SkuIo => json!({
                "provider": "SkuIo", "accountRef": {"name": "sku"}, "platform": "big-commerce",
                "name": self.name, "integrationId": 5, "deletionPolicy": policy,
                "accessTokenSecretRef": {"name": "store-login", "key": "oauth_access_token"},
                "settings": {"storeHash": hash(&self.name), "startDate": "2026-01-01", "storeId": edit + 1,
                    "autoLinkProducts": true, "autoCreateProducts": false,
                    "batchPeriodSalesOrderFulfillments": "daily"},
            }),
            Provider::Arcus => json!({
                "provider": "Arcus", "accountRef": {"name": format!("arcus-{}", self.entity)},
                "platform": self.connector.map_or("none", Connector::name), "deletionPolicy": policy,
                "arcus": {"mode": "Sandbox", "displayName": display_name(edit)},
            }),
        };
        json!({"apiVersion": "tradewind.dev/v1alpha1", "kind": self.kind(), "metadata": {"name": self.name}, "spec": spec})
    }

    /// The Secret with the login of its account.
    #[must_use]
    pub fn login(&self) -> String {
        format!("{}-api", self.account())
    }

    /// The account that it names.
    #[must_use]
    pub fn account(&self) -> String {
        match self.provider {
            Provider::Rutter => "rutter".to_owned(),
            Provider::SkuIo => "sku".to_owned(),
            Provider::Arcus => format!("arcus-{}", self.entity),
        }
    }
}

/// The types of connector that nobody has to consent to. The last one is left to strangers.
pub const CONFIGURED: [Connector; 14] = [
    Connector::Stripe,
    Connector::Avatax,
    Connector::Shippo,
    Connector::Printnode,
    Connector::Postmark,
    Connector::Mapquest,
    Connector::Google,
    Connector::Openai,
    Connector::Plaid,
    Connector::Ups,
    Connector::Fedex,
    Connector::Usps,
    Connector::Amazon,
    Connector::Ebay,
];

/// The host of a store.
#[must_use]
pub fn store(name: &str) -> String {
    format!("store-{name}.mybigcommerce.com")
}

/// The store of an instance.
#[must_use]
pub fn hash(name: &str) -> String {
    name.replace('-', "")
}

/// What a connector is called after so many edits.
#[must_use]
pub fn display_name(edit: usize) -> String {
    format!("Edit {edit}")
}

/// An entity of Arcus.
#[must_use]
pub fn entity_id(entity: usize) -> Uuid {
    Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_0e00 + entity as u128)
}

/// A connector as a key.
#[must_use]
pub fn connector_key(entity: Uuid, connector: &str) -> String {
    format!("{entity}/{connector}")
}

fn secret(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data})
}

/// The account that a thing names, and its login.
#[must_use]
pub fn account(thing: &Thing, providers: SocketAddr) -> [Value; 2] {
    let (name, secret_name) = (thing.account(), thing.login());
    let (provider, endpoint, login) = match thing.provider {
        Provider::Rutter => {
            let login = json!({"client_id": "test-client-id", "client_secret": "test-client-secret"});
            ("Rutter", format!("http://{providers}/versioned"), login)
        }
        Provider::SkuIo => ("SkuIo", format!("http://{providers}"), json!({"token": "1|test-sku-io-token"})),
        Provider::Arcus => ("Arcus", format!("http://{providers}/v1"), json!({"api_key": arcus_key(thing.entity)})),
    };
    let mut spec = json!({
        "provider": provider, "endpoint": endpoint, "credentialsSecretRef": {"name": secret_name},
        "limits": {"requestsPerMinute": 30_000, "maxInFlight": 16},
    });
    if let (Provider::SkuIo, Some(spec)) = (thing.provider, spec.as_object_mut()) {
        spec.insert("skuIo".to_owned(), json!({"tenant": "acme"}));
    }
    let account = json!({"apiVersion": "tradewind.dev/v1alpha1", "kind": "ProviderAccount",
        "metadata": {"name": name}, "spec": spec});
    [secret(&secret_name, &login), account]
}

/// The Secret that all stores share.
#[must_use]
pub fn store_login() -> Value {
    secret("store-login", &json!({"oauth_access_token": "test-store-token"}))
}

fn arcus_key(entity: usize) -> String {
    format!("ark_test_ent_crash{entity}_not-a-secret")
}

/// What the providers start with. New records show up in lists late, and deleted ones linger: within the lag that the operator is
/// told of.
#[must_use]
pub fn setup(seed: u64, entities: usize) -> Setup {
    let short = Duration::from_millis(300);
    let entity = |entity| arcus::Account {
        name: format!("entity-{entity}"),
        key: arcus_key(entity),
        entity_id: entity_id(entity),
        ..arcus::Account::default()
    };
    Setup {
        seed,
        rutter: rutter::Settings {
            initial_sync: short,
            history: short,
            list_lag: LIST_LAG,
            deleted_rows_linger: true,
            ..rutter::Settings::default()
        },
        accounts: vec![rutter::Account { rate_limit: None, ..rutter::Account::default() }],
        sku_io: sku_io::Settings { list_lag: LIST_LAG, ..sku_io::Settings::default() },
        sku_accounts: vec![sku_io::Account::default()],
        arcus: arcus::Settings {
            test_rate: None,
            live_rate: None,
            honours_idempotency_keys: false,
            ..arcus::Settings::default()
        },
        arcus_accounts: (0..entities).map(entity).collect(),
    }
}

/// How late lists show a new record.
///
/// Well beyond the three and a half seconds that an operator takes at worst from a kill to its first look, while two dozen others start
/// beside it: so a process that comes after a kill looks before the record can be seen, and only the grace keeps it from making
/// another one.
pub const LIST_LAG: Duration = Duration::from_secs(6);
