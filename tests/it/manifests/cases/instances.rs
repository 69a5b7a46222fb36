//! The cases of `IntegrationInstance`, its settings among them.

use serde_json::{Value, json};

use super::{Case, Change, object, overlaid};

/// An instance of a store: nothing in it is optional.
pub(crate) fn instance() -> Value {
    object(
        "IntegrationInstance",
        &json!({
            "provider": "SkuIo", "accountRef": {"name": "sku"}, "platform": "big-commerce", "name": "acme-outdoor",
            "accessTokenSecretRef": {"name": "acme", "key": "oauth_access_token"},
        }),
    )
}

pub(super) fn all() -> Vec<Case> {
    [values(), policies(), immutable(), immutable_reference()].into_iter().flatten().collect()
}

fn values() -> Vec<Case> {
    let name = "name must not begin or end with white space, nor hold control characters";
    let named = |name: &str| json!({"spec": {"name": name}});
    let token = "accessTokenSecretRef is required, except with managementPolicy: ObserveOnly";
    let no_token = json!({"spec": {"accessTokenSecretRef": null}});
    vec![
        Case::on_create(
            "an IntegrationInstance is of SkuIo",
            instance(),
            json!({"spec": {"provider": "Rutter"}}),
            json!({}),
        ),
        Case::on_create(name, instance(), named(" acme"), named("a")),
        Case::on_create(name, instance(), named("acme\u{a0}"), named("Acme Outdoor & Söhne \u{2013} EU")),
        Case::on_create(name, instance(), named("\u{200b}acme"), named("acme\u{200d}acme")),
        Case::on_create(name, instance(), named("acme\noutdoor"), named("a  b")),
        Case::on_create(name, instance(), named("\t"), named("7")),
        Case::on_create(token, instance(), no_token.clone(), json!({"spec": {"settings": {"storeId": 1}}})),
        Case::on_create(
            token,
            overlaid(&instance(), &no_token),
            json!({}),
            json!({"spec": {"managementPolicy": "ObserveOnly"}}),
        ),
    ]
}

fn policies() -> Vec<Case> {
    let named =
        |id: &str, policies: Value| overlaid(&json!({"spec": {"externalRef": {"id": id}}}), &json!({"spec": policies}));
    let number = "externalRef.id of SKU.io is a number, such as \"42\"";
    let adopts = "externalRef needs adoptionPolicy: Match or Override, or managementPolicy: ObserveOnly";
    let written = "write deletionPolicy out (Delete or Retain) when adoptionPolicy is not Fail";
    let matching = json!({"adoptionPolicy": "Match", "deletionPolicy": "Retain"});
    let observing = json!({"managementPolicy": "ObserveOnly"});
    vec![
        Case::on_create(number, instance(), named("i-42", observing.clone()), named("42", observing.clone())),
        Case::on_create(number, instance(), named("4.2", matching.clone()), named("42", matching.clone())),
        // One instance has one spelling: under another one two objects would hold it.
        Case::on_create(number, instance(), named("042", matching.clone()), named("7", matching.clone())),
        Case::on_create(number, instance(), named("0", observing.clone()), named("10", observing.clone())),
        Case::on_create(adopts, instance(), named("42", json!({})), named("42", matching)),
        Case::on_create(adopts, instance(), named("42", json!({"adoptionPolicy": "Fail"})), named("42", observing)),
        Case::on_create(
            written,
            instance(),
            json!({"spec": {"adoptionPolicy": "Override"}}),
            json!({"spec": {"adoptionPolicy": "Override", "deletionPolicy": "Delete"}}),
        ),
        Case::on_create(
            written,
            instance(),
            json!({"spec": {"adoptionPolicy": "Match"}}),
            json!({"spec": {"adoptionPolicy": "Fail"}}),
        ),
    ]
}

fn immutable() -> Vec<Case> {
    let provider = "provider is immutable: make another IntegrationInstance";
    let account = "accountRef is immutable: make another IntegrationInstance";
    let name = "name is immutable: make another IntegrationInstance";
    let platform = "platform is immutable: make another IntegrationInstance";
    let suspend = json!({"spec": {"suspend": true}});
    vec![
        Case::on_update(
            provider,
            instance(),
            json!({"spec": {"provider": "Arcus"}}),
            [(json!({"spec": {"provider": null}}), "spec.provider: Required value")],
            json!({"spec": {"provider": "SkuIo", "suspend": true}}),
        ),
        Case::on_update(
            account,
            instance(),
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
            overlaid(&instance(), &json!({"spec": {"accountRef": {"kind": "ClusterProviderAccount"}}})),
            json!({"spec": {"accountRef": {"kind": "ProviderAccount"}}}),
            // Removed, the default comes in its place.
            [(json!({"spec": {"accountRef": {"kind": null}}}), account)],
            suspend.clone(),
        ),
        Case::on_update(
            name,
            instance(),
            json!({"spec": {"name": "acme-indoor"}}),
            [
                (json!({"spec": {"name": "Acme-Outdoor"}}), name),
                (json!({"spec": {"name": null}}), "spec.name: Required value"),
            ],
            json!({"spec": {"name": "acme-outdoor", "settings": {"storeId": 2}}}),
        ),
        // As long as there is one platform only, the schema knows no other to change to.
        Case::foreclosed(
            platform,
            instance(),
            [
                (json!({"spec": {"platform": "shopify"}}), "spec.platform: Unsupported value: \"shopify\""),
                (json!({"spec": {"platform": null}}), "spec.platform: Required value"),
            ],
            suspend,
        ),
    ]
}

fn immutable_reference() -> Vec<Case> {
    let reference = "externalRef is immutable once set: make another IntegrationInstance";
    let recorded =
        json!({"spec": {"externalRef": {"id": "42"}, "adoptionPolicy": "Match", "deletionPolicy": "Retain"}});
    vec![Case::on_update(
        reference,
        overlaid(&instance(), &recorded),
        json!({"spec": {"externalRef": {"id": "43"}}}),
        [
            (json!({"spec": {"externalRef": null}}), reference),
            (json!({"spec": {"externalRef": {"id": null}}}), "spec.externalRef.id: Required value"),
        ],
        json!({"spec": {"suspend": true, "adoptionPolicy": "Override"}}),
    )]
}

/// What the schema alone refuses, and in which words.
pub(super) fn schema() -> Vec<(Value, Change)> {
    let setting = |settings: Value| json!({"spec": {"settings": settings}});
    let cases = [
        (json!({"spec": {"name": ""}}), "spec.name: Invalid value"),
        (json!({"spec": {"name": "n".repeat(256)}}), "spec.name: Too long: may not be more than 255 bytes"),
        (json!({"spec": {"platform": "shopify"}}), "spec.platform: Unsupported value: \"shopify\""),
        (json!({"spec": {"integrationId": 0}}), "should be greater than or equal to 1"),
        (json!({"spec": {"integrationId": "5"}}), "spec.integrationId: Invalid value: \"string\""),
        (json!({"spec": {"accessTokenSecretRef": {"key": null}}}), "spec.accessTokenSecretRef.key: Required value"),
        (json!({"spec": {"accessTokenSecretRef": {"key": "a b"}}}), "accessTokenSecretRef.key in body should match"),
        (setting(json!({"storeHash": "https://store-a.mybigcommerce.com"})), "spec.settings.storeHash"),
        (setting(json!({"storeHash": "abc"})), "should be at least 4 chars long"),
        (setting(json!({"startDate": "1.1.2026"})), "spec.settings.startDate in body should match"),
        (setting(json!({"storeId": 0})), "should be greater than or equal to 1"),
        (setting(json!({"storeId": 1.5})), "spec.settings.storeId in body must be of type int64"),
        (setting(json!({"autoLinkProducts": 1})), "spec.settings.autoLinkProducts: Invalid value: \"integer\""),
        (setting(json!({"salesNominalCodeId": 0})), "should be greater than or equal to 1"),
        (setting(json!({"salesNominalCodeId": "7"})), "spec.settings.salesNominalCodeId: Invalid value: \"string\""),
        (setting(json!({"proformaPaymentCostPercentage": 100.5})), "should be less than or equal to 100"),
        (setting(json!({"proformaPaymentCostPercentage": -1})), "should be greater than or equal to 0"),
        (setting(json!({"batchPeriodCustomerReturns": "weekly"})), "batchPeriodCustomerReturns in body should match"),
        (json!({"spec": {"interval": "soon"}}), "spec.interval in body should match"),
    ];
    cases.into_iter().map(|(patch, says)| (instance(), Change { patch, says })).collect()
}
