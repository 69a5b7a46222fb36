//! The cases of `spec.arcus` of a Connection.

use serde_json::{Value, json};

use super::{Case, Change, account, connector, overlaid};

/// A connector that a merchant authorizes.
fn store() -> Value {
    overlaid(&connector(), &json!({"spec": {"arcus": {"shop": "acme.myshopify.com"}}}))
}

pub(super) fn all() -> Vec<Case> {
    let required = "spec.arcus is required for provider Arcus";
    let shop = "arcus.shop is immutable: make another Connection";
    let to_shop = |shop: Value| json!({"spec": {"arcus": {"shop": shop}}});
    vec![
        Case::on_create(required, connector(), json!({"spec": {"arcus": null}}), json!({})),
        Case::on_create(required, store(), json!({"spec": {"arcus": null}}), to_shop(json!("other.myshopify.com"))),
        Case::on_update(
            shop,
            store(),
            to_shop(json!("other.myshopify.com")),
            [
                (to_shop(Value::Null), shop),
                (to_shop(json!("ACME.myshopify.com")), shop),
                // Removed with all that it is in, there would be nothing to compare.
                (json!({"spec": {"arcus": null}}), required),
            ],
            json!({"spec": {"arcus": {"mode": "Live", "active": false, "config": {"a": {"b": [1]}}}}}),
        ),
        // The other way round: what was not said at first is not said later.
        Case::on_update(
            shop,
            connector(),
            to_shop(json!("acme.myshopify.com")),
            [],
            json!({"spec": {"suspend": true}}),
        ),
    ]
}

/// What the schema alone refuses, and in which words.
pub(super) fn schema() -> Vec<(Value, Change)> {
    let settings = |settings: Value| json!({"spec": {"arcus": settings}});
    let many: Value = (0..65).map(|n| (format!("k{n}"), json!(n))).collect::<serde_json::Map<_, _>>().into();
    let cases = [
        (settings(json!({"mode": null})), "spec.arcus.mode: Required value"),
        (settings(json!({"mode": "sandbox"})), "spec.arcus.mode: Unsupported value: \"sandbox\""),
        (settings(json!({"active": "yes"})), "spec.arcus.active: Invalid value: \"string\""),
        (settings(json!({"displayName": ""})), "spec.arcus.displayName: Invalid value"),
        (settings(json!({"displayName": "n".repeat(257)})), "spec.arcus.displayName: Too long"),
        (settings(json!({"config": []})), "spec.arcus.config: Invalid value: \"array\""),
        (settings(json!({"config": many})), "spec.arcus.config: Too many: 65: must have at most 64 items"),
        (settings(json!({"shop": ""})), "spec.arcus.shop: Invalid value"),
        (settings(json!({"shop": "s".repeat(254)})), "spec.arcus.shop: Too long"),
        (settings(json!({"sellerId": ""})), "spec.arcus.sellerId: Invalid value"),
        (settings(json!({"bankAccountId": ""})), "spec.arcus.bankAccountId: Invalid value"),
        (settings(json!({"shipFrom": {"zip": 89501}})), "spec.arcus.shipFrom.zip: Invalid value: \"integer\""),
        (settings(json!({"shipFrom": {"state": "s".repeat(65)}})), "spec.arcus.shipFrom.state: Too long"),
    ];
    let of_account = [(json!({"spec": {"arcus": {"version": "newest"}}}), "spec.arcus.version in body should match")];
    let change = |(patch, says)| Change { patch, says };
    let of_connector = cases.map(|case| (connector(), change(case)));
    of_connector.into_iter().chain(of_account.map(|case| (account("Arcus"), change(case)))).collect()
}
