//! The table of manifests that the API server must refuse or pass.
//!
//! Each is a good manifest with a JSON merge patch laid over it, so that what a case is about is all that it shows.

mod arcus;
mod instances;

pub(crate) use instances::instance;

use serde_json::{Value, json};

/// A patch, and what the refusal of it says.
pub(crate) struct Change {
    pub(crate) patch: Value,
    pub(crate) says: &'static str,
}

/// The test of one rule.
pub(crate) struct Case {
    /// The rule, by its message.
    pub(crate) message: &'static str,
    /// A good manifest.
    pub(crate) object: Value,
    pub(crate) check: Check,
}

/// What to send.
pub(crate) enum Check {
    /// For a rule about one version: patches that make a manifest the rule refuses, and one it passes.
    OnCreate { refused: Value, passes: Value },
    /// For a rule about two versions: the object is created, then patched.
    OnUpdate {
        /// A change that the rule refuses; none where the schema stops every one before.
        change: Option<Value>,
        /// Other ways to the same end, the removal of the field first of all, and who stops them.
        also_refused: Vec<Change>,
        /// A change that the rule has nothing against.
        passes: Value,
    },
}

impl Case {
    pub(crate) fn kind(&self) -> &str {
        self.object["kind"].as_str().expect("a kind")
    }

    fn on_create(message: &'static str, object: Value, refused: Value, passes: Value) -> Self {
        Self { message, object, check: Check::OnCreate { refused, passes } }
    }

    fn on_update(
        message: &'static str,
        object: Value,
        change: Value,
        also_refused: impl IntoIterator<Item = (Value, &'static str)>,
        passes: Value,
    ) -> Self {
        Self {
            message,
            object,
            check: Check::OnUpdate { change: Some(change), also_refused: changes(also_refused), passes },
        }
    }

    /// For a rule that nothing comes to, since the schema stops it before.
    fn foreclosed(
        message: &'static str,
        object: Value,
        refused: impl IntoIterator<Item = (Value, &'static str)>,
        passes: Value,
    ) -> Self {
        Self { message, object, check: Check::OnUpdate { change: None, also_refused: changes(refused), passes } }
    }
}

fn changes(all: impl IntoIterator<Item = (Value, &'static str)>) -> Vec<Change> {
    all.into_iter().map(|(patch, says)| Change { patch, says }).collect()
}

/// A manifest with a JSON merge patch (RFC 7386) laid over it.
pub(crate) fn overlaid(object: &Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut object = object.as_object().cloned().unwrap_or_default();
    for (key, change) in patch {
        if change.is_null() {
            object.remove(key);
        } else {
            let old = object.get(key).unwrap_or(&Value::Null);
            object.insert(key.clone(), overlaid(old, change));
        }
    }
    Value::Object(object)
}

fn object(kind: &str, spec: &Value) -> Value {
    json!({"apiVersion": "tradewind.dev/v1alpha1", "kind": kind, "metadata": {"generateName": "case-"}, "spec": spec})
}

/// A store by credentials: nothing in it is optional.
fn store() -> Value {
    object(
        "Connection",
        &json!({
            "provider": "Rutter", "accountRef": {"name": "rutter"}, "platform": "BIG_COMMERCE",
            "rutter": {"credentialsSecretRef": {"name": "acme"}, "parameters": {"store_url": "store-a.mybigcommerce.com"}},
            "connectionSecretRef": {"name": "acme-connection"},
        }),
    )
}

/// A store that a merchant authorizes; which platform it is on, the merchant says.
fn link() -> Value {
    object(
        "Connection",
        &json!({
            "provider": "Rutter", "accountRef": {"name": "rutter"}, "rutter": {"authorization": "Link"}, "connectionSecretRef": {"name": "acme-link"},
            "deletionPolicy": "Retain",
        }),
    )
}

/// A connector of Arcus.
fn connector() -> Value {
    object(
        "Connection",
        &json!({
            "provider": "Arcus", "accountRef": {"name": "arcus"}, "platform": "shopify", "arcus": {"mode": "Sandbox"},
            "connectionSecretRef": {"name": "acme-link"},
        }),
    )
}

fn account(provider: &str) -> Value {
    object("ProviderAccount", &json!({"provider": provider, "credentialsSecretRef": {"name": "login"}}))
}

/// An account at SKU.io, where the tenant is required.
fn sku_io() -> Value {
    overlaid(&account("SkuIo"), &json!({"spec": {"skuIo": {"tenant": "acme"}}}))
}

/// An account that namespaces share.
fn shared(provider: &str) -> Value {
    let login = json!({"name": "login", "namespace": "logins"});
    object("ClusterProviderAccount", &json!({"provider": provider, "credentialsSecretRef": login}))
}

/// The good manifests that everything here begins with.
pub(crate) fn bases() -> Vec<Value> {
    vec![store(), link(), connector(), instance(), account("Rutter"), account("Arcus"), sku_io(), shared("Rutter")]
}

/// At least one case for every rule of every CRD.
pub(crate) fn all() -> Vec<Case> {
    let own = [unions(), platforms(), policies(), rutter(), immutable_choices(), immutable_names(), accounts()];
    own.into_iter().chain([arcus::all(), instances::all()]).flatten().collect()
}

fn unions() -> Vec<Case> {
    let arcus = json!({"spec": {"arcus": {"mode": "Sandbox"}}});
    let sync = json!({"spec": {"sync": {"products": {"startDate": "2025-01-01"}}}});
    let recreate = json!({"spec": {"replacementPolicy": "Recreate"}});
    let nothing = json!({});
    vec![
        Case::on_create(
            "spec.rutter is required for provider Rutter and belongs to no other",
            store(),
            json!({"spec": {"rutter": null}}),
            nothing.clone(),
        ),
        Case::on_create(
            "spec.rutter is required for provider Rutter and belongs to no other",
            connector(),
            json!({"spec": {"rutter": {"credentialsSecretRef": {"name": "acme"}}}}),
            nothing.clone(),
        ),
        Case::on_create(
            "spec.arcus belongs to provider Arcus: remove it, or set provider: Arcus",
            store(),
            arcus.clone(),
            nothing,
        ),
        Case::on_create("Arcus has no spec.sync: it loads by itself", connector(), sync, arcus.clone()),
        Case::on_create(
            "Arcus has no spec.replacementPolicy: every change is applied in place",
            connector(),
            recreate,
            arcus,
        ),
        Case::on_create(
            "a Connection is of Rutter or Arcus",
            connector(),
            json!({"spec": {"provider": "SkuIo", "platform": "big-commerce", "arcus": null}}),
            json!({}),
        ),
    ]
}

fn platforms() -> Vec<Case> {
    let platform = |name: &str| json!({"spec": {"platform": name}});
    vec![
        Case::on_create(
            "platform is required, except with rutter.authorization: Link",
            store(),
            json!({"spec": {"platform": null}}),
            json!({"spec": {
                "platform": null, "deletionPolicy": "Delete",
                "rutter": {"authorization": "Link", "credentialsSecretRef": null, "parameters": null},
            }}),
        ),
        Case::on_create(
            "platform is required, except with rutter.authorization: Link",
            connector(),
            json!({"spec": {"platform": null}}),
            json!({}),
        ),
        Case::on_create(
            "a platform of Rutter is spelled in capitals, such as BIG_COMMERCE",
            store(),
            platform("big-commerce"),
            platform("X2_CART"),
        ),
        Case::on_create(
            "a connector type of Arcus is spelled in small letters, such as shopify",
            connector(),
            platform("BIG_COMMERCE"),
            platform("amazon2"),
        ),
    ]
}

fn policies() -> Vec<Case> {
    let recorded =
        |policies: Value| overlaid(&json!({"spec": {"externalRef": {"id": "r-1"}}}), &json!({"spec": policies}));
    vec![
        Case::on_create(
            "externalRef needs adoptionPolicy: Match or Override, or managementPolicy: ObserveOnly",
            store(),
            recorded(json!({})),
            recorded(json!({"adoptionPolicy": "Match", "deletionPolicy": "Retain"})),
        ),
        Case::on_create(
            "externalRef needs adoptionPolicy: Match or Override, or managementPolicy: ObserveOnly",
            store(),
            recorded(json!({"adoptionPolicy": "Fail"})),
            recorded(json!({"managementPolicy": "ObserveOnly"})),
        ),
        Case::on_create(
            "write deletionPolicy out (Delete or Retain) when adoptionPolicy is not Fail or authorization is Link",
            store(),
            json!({"spec": {"adoptionPolicy": "Override"}}),
            json!({"spec": {"adoptionPolicy": "Override", "deletionPolicy": "Delete"}}),
        ),
        Case::on_create(
            "write deletionPolicy out (Delete or Retain) when adoptionPolicy is not Fail or authorization is Link",
            link(),
            json!({"spec": {"deletionPolicy": null}}),
            json!({"spec": {"deletionPolicy": "Delete"}}),
        ),
        Case::on_create(
            "onExternalLoss: Recreate cannot bring back what a person authorized: use Halt with authorization: Link",
            link(),
            json!({"spec": {"onExternalLoss": "Recreate"}}),
            json!({"spec": {"onExternalLoss": "Halt"}}),
        ),
        Case::on_create(
            "onExternalLoss: Recreate cannot bring back what a person authorized: use Halt with authorization: Link",
            overlaid(&store(), &json!({"spec": {"onExternalLoss": "Recreate"}})),
            json!({"spec": {"rutter": {"authorization": "Link"}}}),
            json!({}),
        ),
    ]
}

fn rutter() -> Vec<Case> {
    let secret = "rutter.credentialsSecretRef is required with authorization: Credentials and has no use with Link";
    let parameters = "rutter.parameters have no use with authorization: Link: the merchant enters them";
    vec![
        Case::on_create(secret, store(), json!({"spec": {"rutter": {"credentialsSecretRef": null}}}), json!({})),
        Case::on_create(
            secret,
            link(),
            json!({"spec": {"rutter": {"credentialsSecretRef": {"name": "acme"}}}}),
            json!({"spec": {"suspend": true}}),
        ),
        Case::on_create(
            parameters,
            link(),
            json!({"spec": {"rutter": {"parameters": {"store_url": "a.example"}}}}),
            json!({"spec": {"rutter": {"parameters": null}}}),
        ),
    ]
}

/// Fields with a default or with set-ness of their own, where a rule on the field alone would be blind.
fn immutable_choices() -> Vec<Case> {
    let platform = "platform is immutable: make another Connection";
    let authorization = "rutter.authorization is immutable: make another Connection";
    let reference = "externalRef is immutable once set: make another Connection";
    let suspend = json!({"spec": {"suspend": true}});
    let to_link = json!({"spec": {
        "deletionPolicy": "Delete", "rutter": {"authorization": "Link", "credentialsSecretRef": null, "parameters": null},
    }});
    let recorded =
        json!({"spec": {"externalRef": {"id": "r-1"}, "adoptionPolicy": "Match", "deletionPolicy": "Retain"}});
    let no_rutter = "spec.rutter is required for provider Rutter";
    vec![
        Case::on_update(
            platform,
            overlaid(&link(), &json!({"spec": {"platform": "SHOPIFY"}})),
            json!({"spec": {"platform": "WOO_COMMERCE"}}),
            [(json!({"spec": {"platform": null}}), platform)],
            suspend.clone(),
        ),
        // The other way round: what the merchant chose is in the status, and nobody else chooses.
        Case::on_update(platform, link(), json!({"spec": {"platform": "SHOPIFY"}}), [], suspend.clone()),
        Case::on_update(
            authorization,
            link(),
            json!({"spec": {"platform": null, "rutter": {"authorization": "Credentials"}}}),
            [
                // Removed, the default comes in its place; removed with all of spec.rutter, there is nothing to compare.
                (json!({"spec": {"rutter": {"authorization": null}}}), authorization),
                (json!({"spec": {"rutter": null}}), no_rutter),
            ],
            json!({"spec": {"suspend": true, "rutter": {"authorization": "Link"}}}),
        ),
        Case::on_update(
            authorization,
            store(),
            to_link,
            [(json!({"spec": {"rutter": null}}), no_rutter)],
            json!({"spec": {"rutter": {"authorization": null, "scope": "read"}}}),
        ),
        Case::on_update(
            reference,
            overlaid(&store(), &recorded),
            json!({"spec": {"externalRef": {"id": "r-2"}}}),
            [
                (json!({"spec": {"externalRef": null}}), reference),
                (json!({"spec": {"externalRef": {"id": null}}}), "spec.externalRef.id: Required value"),
            ],
            json!({"spec": {"suspend": true, "adoptionPolicy": "Override"}}),
        ),
    ]
}

/// Required fields: their removal is stopped by the schema.
fn immutable_names() -> Vec<Case> {
    let provider = "provider is immutable: make another Connection";
    let account = "accountRef is immutable: make another Connection";
    vec![
        Case::on_update(
            provider,
            store(),
            json!({"spec": {"provider": "Arcus", "rutter": null, "arcus": {"mode": "Live"}}}),
            [(json!({"spec": {"provider": null}}), "spec.provider: Required value")],
            json!({"spec": {"provider": "Rutter", "suspend": true}}),
        ),
        Case::on_update(
            account,
            store(),
            json!({"spec": {"accountRef": {"name": "other"}}}),
            [
                (json!({"spec": {"accountRef": null}}), "spec.accountRef: Required value"),
                (json!({"spec": {"accountRef": {"name": null}}}), "spec.accountRef.name: Required value"),
                (json!({"spec": {"accountRef": {"kind": "ClusterProviderAccount"}}}), account),
            ],
            // The default, written out.
            json!({"spec": {"accountRef": {"kind": "ProviderAccount"}}}),
        ),
        Case::on_update(
            account,
            overlaid(&store(), &json!({"spec": {"accountRef": {"kind": "ClusterProviderAccount"}}})),
            json!({"spec": {"accountRef": {"kind": "ProviderAccount"}}}),
            // Removed, the default comes in its place.
            [(json!({"spec": {"accountRef": {"kind": null}}}), account)],
            json!({"spec": {"suspend": true}}),
        ),
    ]
}

fn accounts() -> Vec<Case> {
    let mut cases = of_both_kinds(account, "provider is immutable: make another ProviderAccount");
    cases.extend(of_both_kinds(shared, "provider is immutable: make another ClusterProviderAccount"));
    let expression = |operator: &str, values: Value| {
        let expression = json!({"key": "team", "operator": operator, "values": values});
        json!({"spec": {"allowedNamespaces": {"selector": {"matchExpressions": [expression]}}}})
    };
    cases.push(Case::on_create(
        "values belong to the operators In and NotIn, and are required there",
        shared("Rutter"),
        expression("Exists", json!(["a"])),
        expression("In", json!(["a"])),
    ));
    cases
}

fn of_both_kinds(account: fn(&str) -> Value, immutable: &'static str) -> Vec<Case> {
    let tenant = "spec.skuIo (with the tenant) is required for provider SkuIo and belongs to no other";
    let sku_io = || overlaid(&account("SkuIo"), &json!({"spec": {"skuIo": {"tenant": "acme"}}}));
    vec![
        Case::on_create(
            "spec.rutter belongs to provider Rutter: remove it, or set provider: Rutter",
            account("Arcus"),
            json!({"spec": {"rutter": {"environment": "Sandbox"}}}),
            json!({"spec": {"arcus": {"version": "2026-05-01"}}}),
        ),
        Case::on_create(
            "spec.arcus belongs to provider Arcus: remove it, or set provider: Arcus",
            account("Rutter"),
            json!({"spec": {"arcus": {"version": "2026-05-01"}}}),
            json!({"spec": {"rutter": {"environment": "Sandbox"}}}),
        ),
        Case::on_create(tenant, sku_io(), json!({"spec": {"skuIo": null}}), json!({})),
        Case::on_create(tenant, account("Rutter"), json!({"spec": {"skuIo": {"tenant": "acme"}}}), json!({})),
        Case::on_update(
            immutable,
            account("Rutter"),
            json!({"spec": {"provider": "Arcus"}}),
            [(json!({"spec": {"provider": null}}), "spec.provider: Required value")],
            json!({"spec": {"provider": "Rutter", "limits": {"maxInFlight": 2}}}),
        ),
    ]
}

/// What the schema alone refuses, and in which words.
pub(crate) fn schema() -> Vec<(Value, Change)> {
    let long = |length: usize| "A".repeat(length);
    let many: Value = (0..16).map(|n| (format!("p{n}"), json!("v"))).collect::<serde_json::Map<_, _>>().into();
    let store_cases = [
        (json!({"spec": {"provider": "Shopify"}}), "spec.provider: Unsupported value: \"Shopify\""),
        (json!({"spec": {"accountRef": null}}), "spec.accountRef: Required value"),
        (json!({"spec": {"accountRef": {"name": ""}}}), "spec.accountRef.name: Invalid value"),
        (json!({"spec": {"accountRef": {"name": "Not A Name"}}}), "spec.accountRef.name in body should match"),
        (json!({"spec": {"platform": long(65)}}), "spec.platform: Too long: may not be more than 64 bytes"),
        (json!({"spec": {"platform": ""}}), "spec.platform: Invalid value"),
        (
            json!({"spec": {"rutter": {"credentialsSecretRef": {"name": "-a"}}}}),
            "credentialsSecretRef.name in body should match",
        ),
        (
            json!({"spec": {"rutter": {"parameters": many}}}),
            "spec.rutter.parameters: Too many: 17: must have at most 16 items",
        ),
        (json!({"spec": {"rutter": {"parameters": {"a": long(1025)}}}}), "spec.rutter.parameters.a: Too long"),
        (json!({"spec": {"interval": "soon"}}), "spec.interval in body should match"),
        (json!({"spec": {"sync": {"orders": {"startDate": "1.1.2025"}}}}), "startDate in body should match"),
        (json!({"spec": {"externalRef": {"id": "a/b"}}}), "spec.externalRef.id in body should match"),
        (json!({"spec": {"deletionPolicy": "Orphan"}}), "spec.deletionPolicy: Unsupported value: \"Orphan\""),
        (json!({"spec": {"suspend": "yes"}}), "spec.suspend: Invalid value: \"string\""),
        (json!({"spec": null}), "spec: Required value"),
    ];
    let account_cases = [
        (json!({"spec": {"provider": null}}), "spec.provider: Required value"),
        (json!({"spec": {"credentialsSecretRef": null}}), "spec.credentialsSecretRef: Required value"),
        (json!({"spec": {"endpoint": "https://user@host.example"}}), "spec.endpoint in body should match"),
        (json!({"spec": {"limits": {"maxInFlight": 65}}}), "should be less than or equal to 64"),
        (json!({"spec": {"limits": {"requestsPerMinute": 0}}}), "should be greater than or equal to 1"),
        (json!({"spec": {"rutter": {"version": "newest"}}}), "spec.rutter.version in body should match"),
        (json!({"spec": {"deletionGuard": {"maxDeletions": 1}}}), "spec.deletionGuard.window: Required value"),
    ];
    let change = |(patch, says)| Change { patch, says };
    let of_store = store_cases.map(|case| (store(), change(case)));
    let of_account = account_cases.map(|case| (account("Rutter"), change(case)));
    of_store.into_iter().chain(of_account).chain(arcus::schema()).chain(instances::schema()).collect()
}

#[test]
fn a_patch_removes_what_it_nulls_and_keeps_what_it_does_not_name() {
    let object = json!({"a": {"b": 1, "c": 2}, "d": 3});
    assert_eq!(
        overlaid(&object, &json!({"a": {"b": null, "e": {"f": 4}}})),
        json!({"a": {"c": 2, "e": {"f": 4}}, "d": 3})
    );
}
