//! What Rutter's answers mean: status codes and error codes to [`ApiError`], statuses to [`Health`].
//!
//! Source: Rutter's public reference, "Errors" and "Connections"; what it leaves open is marked.

use super::{
    have::Have,
    wire::{ErrorReply, Status},
};
use crate::{
    domain::{
        conditions::{Health, History},
        reason::{Problem, Reason},
        stores,
        validate::RutterWant,
        verdict::{Blame, Detail, Effect, Kind},
    },
    provider::{ApiError, Operation, answer, http::Reply},
};
use serde::de::DeserializeOwned;

/// The documented error codes. Only these ever leave this module: an unknown one is the provider's free text.
const CODES: &[&str] =
    &["PRODUCT_NOT_READY", "PRODUCT_NOT_ALLOWED", "INVALID_CREDENTIALS", "CONNECTION_DISABLED", "NEEDS_UPDATE"];

/// The limit of one store's platform; 429 is Rutter's own.
pub(super) const PLATFORM_LIMIT: u16 = 452;

/// The meaning of an HTTP status that is no success, where it is not that of everybody.
fn meaning(status: u16) -> (Kind, Effect) {
    match status {
        // The platform answered 400.
        450 => (Kind::Invalid, Effect::None),
        // The platform's own limit, told by Rutter: whether the write was applied is not said.
        PLATFORM_LIMIT => (Kind::RateLimited, Effect::Unknown),
        _ => answer::meaning(status),
    }
}

/// The body of a success, or the error that the answer is.
pub(super) fn read<T: DeserializeOwned>(operation: Operation, reply: &Reply) -> Result<T, ApiError> {
    if answer::is_success(reply) {
        return serde_json::from_slice(&reply.body).map_err(|_| answer::unreadable(operation, reply));
    }
    let code = serde_json::from_slice::<ErrorReply>(&reply.body).unwrap_or_default().error_code;
    let code = code.and_then(|code| CODES.iter().find(|known| **known == code).copied());
    let status = reply.status.as_u16();
    // The code says more than the status, which Rutter documents for none of them. Only a refusal may be read as one, though:
    // 5xx stays open whatever its body says, and so does what speaks of time or of limits.
    let is_refusal = (400..500).contains(&status) && !matches!(status, 408 | 429 | PLATFORM_LIMIT);
    let (kind, effect) = match (code.filter(|_| is_refusal), operation, meaning(status)) {
        (Some("INVALID_CREDENTIALS"), ..) => (Kind::Unauthorized, Effect::None),
        // A load that comes too early, or while the store has to be authorized again: nothing is wrong with it.
        (Some("PRODUCT_NOT_READY" | "NEEDS_UPDATE" | "CONNECTION_DISABLED"), Operation::Refresh, _) => {
            (Kind::Unavailable, Effect::None)
        }
        // A load is queued, and what is queued meets a limit later: of one that is refused for it nothing was. (Inferred.)
        (_, Operation::Refresh, (Kind::RateLimited, _)) => (Kind::RateLimited, Effect::None),
        (Some("PRODUCT_NOT_ALLOWED"), ..) => (Kind::Forbidden, Effect::None),
        // Rutter has no such load for the platform. A record or a token that it does not know is told otherwise.
        (_, Operation::Refresh, (Kind::NotFound, effect)) => (Kind::Invalid, effect),
        (_, _, by_status) => by_status,
    };
    // Neither carries the store's token, so that only the login can be refused.
    let by_login = matches!(operation, Operation::List | Operation::Delete);
    let blame = if by_login { Blame::Login } else { Blame::Store };
    let detail = Detail { code, blame, ..Detail::default() };
    Err(answer::refused(operation, reply, (kind, effect), detail))
}

/// The health that a status tells.
pub(super) fn health(status: &Status) -> Health {
    let reason = status.disabled_status.disabled_reason.as_deref();
    // Whatever else is wrong: Rutter expects that to mend it.
    if status.needs_update_status.needs_update || reason == Some("NEEDS_REAUTH") {
        return Health::NeedsAuthorization;
    }
    if status.disabled_status.is_disabled {
        return Health::Disabled(disabled(reason));
    }
    if !status.is_ready {
        return Health::FirstSync;
    }
    if status.is_healthy == Some(false) {
        return Health::Unhealthy;
    }
    Health::Works { history: history(status) }
}

/// The health of a connection that a merchant connects, which is more than its status: whether anybody has followed the
/// link yet, and whether the store is of the platform that was declared.
pub(super) fn linked(want: &RutterWant, have: &Have, health: Health) -> Health {
    if !want.by_link() {
        return health;
    }
    let told = have.row.platform.as_deref().filter(|p| !p.is_empty());
    if let Some((declared, told)) =
        want.platform().zip(told).filter(|(declared, told)| stores::is_another(told, declared))
    {
        let text = format!(
            "The merchant connected a store of {told}, and spec.platform says {declared}. Ask for the right store: delete \
             this object and make another one, with the platform that is meant"
        );
        return Health::Wrong(Problem::new(Reason::UnsupportedPlatform, text));
    }
    if health != Health::FirstSync || have.has_store() {
        return health;
    }
    // Before a merchant has connected a store there is none to tell of.
    Health::AwaitsAuthorization(
        "A merchant must connect the store: hand over the link in the connection Secret (`tradewind authorize` prints it)"
            .to_owned(),
    )
}

fn history(status: &Status) -> History {
    match status.historical_sync_status.as_ref().and_then(|h| h.historical_sync_completed) {
        Some(true) => History::Loaded,
        Some(false) => History::Loading,
        None => History::Untold,
    }
}

/// Why Rutter disabled a connection, and what to do, in our words.
fn disabled(reason: Option<&str>) -> String {
    let (why, next) = match reason.unwrap_or("UNKNOWN") {
        "SHOP_API_KEY_EXPIRED" => ("the store's API key has expired", RENEW),
        "FAILED TO AUTHENTICATE" => ("the store refused the credentials", RENEW),
        "SHOP_NOT_FOUND" => ("the store was not found", CHECK_STORE),
        "SHOP_ID_IS_INVALID" => ("the store's id is invalid", CHECK_STORE),
        "SHOP_IS_DISABLED_OR_EXPIRED" => ("the store is disabled or has expired", OWNER),
        "SHOP_IS_LOCKED" => ("the store is locked", OWNER),
        "SHOP_PAYMENT_REQUIRED" => ("the store's plan is not paid", OWNER),
        "SHOP_IS_UNAVAILABLE" => ("the store is unavailable", OWNER),
        "WEB_SERVICE_IS_DISABLED" => ("the store's web service is switched off", OWNER),
        "TUNNEL_ERROR" => ("the store's tunnel fails", OWNER),
        "CERT_EXPIRED" => ("the store's certificate has expired", OWNER),
        "REQUEST_TIMEOUT" => ("the store does not answer in time", OWNER),
        "MANUALLY_DISABLED" => ("somebody switched the connection off", "Switch it on in Rutter's dashboard"),
        _ => ("no known reason is given", "Look at the connection in Rutter's dashboard"),
    };
    format!("Rutter disabled the connection: {why}. {next}")
}

const RENEW: &str = "Give the store new credentials: delete and re-create this object with a new Secret";
const CHECK_STORE: &str =
    "Check store_url, or the parameter that names the account, and ask the store's owner whether it still exists";
const OWNER: &str = "Ask the store's owner to put that right; Rutter then resumes";

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn reply(status: u16, body: &Value) -> Reply {
        Reply::of(status, body.to_string())
    }

    #[test]
    fn every_status_has_a_meaning_for_every_verb() {
        insta::assert_snapshot!(crate::provider::error::meanings(|operation, status| {
            read::<Value>(operation, &reply(status, &json!({}))).err()
        }));
    }

    #[rstest]
    #[case::token_or_login(400, "INVALID_CREDENTIALS", Kind::Unauthorized)]
    #[case::not_enabled(400, "PRODUCT_NOT_ALLOWED", Kind::Forbidden)]
    #[case::server_error_stays_open(500, "INVALID_CREDENTIALS", Kind::Unavailable)]
    #[case::unknown_code(400, "SOMETHING_NEW", Kind::Invalid)]
    #[case::whatever_the_refusal(409, "INVALID_CREDENTIALS", Kind::Unauthorized)]
    #[case::a_limit_stays_one(452, "INVALID_CREDENTIALS", Kind::RateLimited)]
    #[case::a_create_is_never_too_early(400, "PRODUCT_NOT_READY", Kind::Invalid)]
    fn the_code_refines_the_status(#[case] status: u16, #[case] code: &str, #[case] kind: Kind) {
        let got = read::<Value>(Operation::Create, &reply(status, &json!({"error_code": code})));
        assert_eq!(got.expect_err("an error").kind, kind);
    }

    #[rstest]
    #[case::too_early(400, "PRODUCT_NOT_READY", (Kind::Unavailable, Effect::None))]
    #[case::too_early_whatever_the_refusal(409, "PRODUCT_NOT_READY", (Kind::Unavailable, Effect::None))]
    #[case::to_be_authorized_again(400, "NEEDS_UPDATE", (Kind::Unavailable, Effect::None))]
    #[case::switched_off(400, "CONNECTION_DISABLED", (Kind::Unavailable, Effect::None))]
    #[case::the_platforms_limit(452, "", (Kind::RateLimited, Effect::None))]
    #[case::no_such_load(404, "", (Kind::Invalid, Effect::None))]
    fn a_refresh_is_refused_for_now_or_for_good(
        #[case] status: u16,
        #[case] code: &str,
        #[case] means: (Kind, Effect),
    ) {
        let got =
            read::<Value>(Operation::Refresh, &reply(status, &json!({"error_code": code}))).expect_err("an error");
        assert_eq!((got.kind, got.effect), means);
    }

    #[test]
    fn an_unknown_code_does_not_get_out() {
        let got = read::<Value>(Operation::Create, &reply(400, &json!({"error_code": "test-canary"})));
        assert_eq!(got.expect_err("an error").detail.code, None);
    }

    #[test]
    fn a_read_never_has_an_effect() {
        let got = read::<Value>(Operation::List, &reply(500, &json!({})));
        assert_eq!(got.expect_err("an error").effect, Effect::None);
    }

    #[rstest]
    #[case::ready(json!({"is_ready": true}), Health::Works { history: History::Untold })]
    #[case::history(json!({"is_ready": true, "historical_sync_status": {"historical_sync_completed": false}}), Health::Works { history: History::Loading })]
    #[case::first_sync(json!({"is_ready": false}), Health::FirstSync)]
    #[case::unhealthy(json!({"is_ready": true, "is_healthy": false}), Health::Unhealthy)]
    #[case::needs_update(json!({"is_ready": true, "needs_update_status": {"needs_update": true}}), Health::NeedsAuthorization)]
    #[case::disabled_until_then(json!({"is_ready": true, "needs_update_status": {"needs_update": true}, "disabled_status": {"is_disabled": true, "disabled_reason": "FAILED TO AUTHENTICATE"}}), Health::NeedsAuthorization)]
    #[case::disabled_for_reauth(json!({"is_ready": true, "disabled_status": {"is_disabled": true, "disabled_reason": "NEEDS_REAUTH"}}), Health::NeedsAuthorization)]
    fn health_of_a_status(#[case] status: Value, #[case] want: Health) {
        let status: Status = serde_json::from_value(status).expect("a status");
        assert_eq!(health(&status), want);
    }

    #[test]
    fn every_documented_reason_of_disabling_is_told_in_our_words() {
        let reasons = [
            "SHOP_API_KEY_EXPIRED",
            "SHOP_NOT_FOUND",
            "SHOP_ID_IS_INVALID",
            "SHOP_IS_DISABLED_OR_EXPIRED",
            "SHOP_IS_LOCKED",
            "SHOP_PAYMENT_REQUIRED",
            "TUNNEL_ERROR",
            "WEB_SERVICE_IS_DISABLED",
            "SHOP_IS_UNAVAILABLE",
            "CERT_EXPIRED",
            "FAILED TO AUTHENTICATE",
            "REQUEST_TIMEOUT",
            "MANUALLY_DISABLED",
        ];
        let unknown = disabled(Some("UNKNOWN"));
        assert!(reasons.iter().all(|r| disabled(Some(r)) != unknown));
        assert_eq!(disabled(Some("A_NEW_ONE")), unknown);
    }
}
