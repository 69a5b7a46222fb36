//! What a person has to do in the browser: the link that is handed out, how long it is waited for, and when there is a
//! new one.
//!
//! A link stands in the connection Secret and nowhere else. Its expiry is written first, so that nobody hands out another
//! one while this one may be on its way into the Secret.

use super::{
    act::Scene,
    context::Engine,
    error::PassError,
    object::Target,
    outcome::{self, Next},
    publish, refused, report,
};
use crate::{
    api::{
        connection_secret::{LINK_ATTEMPT, LINK_URL},
        v1alpha1::{AuthorizationStatus, StoredIntent},
    },
    domain::{
        conditions::{State, Type},
        decide::{LinkState, Waiting},
        intent::Creation,
        reason::{Problem, Reason},
    },
    provider::{Accepted, ConnectionSecret, External},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use std::time::Duration;
use tokio::time::Instant;

/// What an object says while a person has the link.
const HANDED_OUT: &str = "A merchant must authorize the connection: hand over the link in the connection Secret \
                          (`tradewind authorize` prints it)";
/// What it says while nobody has the link.
const LOST: &str = "The link for the merchant is not in the connection Secret any more. Waiting until another one can be \
                    made; nobody has to do anything before that";
/// What it says while it is being deleted and somebody may have the link.
const LEAVING: &str = "The link that was handed out works until status.authorization.expiresAt. The deletion waits until \
                       then, to delete what may come of it. Nobody is to follow the link any more";
/// So long a person is looked out for often.
const SOON: Duration = Duration::from_mins(10);
/// How often after that.
const RARELY: Duration = Duration::from_mins(5);
/// So long new links are made by themselves for those that nobody used.
const PATIENCE: SignedDuration = SignedDuration::from_hours(24);

/// What is known of the link of the open attempt. As long as it has none of its own, that of an attempt before it counts while it
/// works: what comes of it is this attempt's.
///
/// # Errors
/// The API server's refusal.
pub(super) async fn state(
    engine: &Engine,
    target: &Target,
    creation: &Creation,
    now: Timestamp,
) -> Result<LinkState, PassError> {
    let (Creation::Pending(intent), Some(link)) = (creation, target.status.authorization.as_ref()) else {
        return Ok(LinkState::None);
    };
    if link.attempt > intent.attempt {
        return Ok(LinkState::None);
    }
    if now >= link.expires_at.0 {
        return Ok(if link.attempt == intent.attempt { LinkState::Expired } else { LinkState::None });
    }
    // A link that is being deleted with its object is waited for, whoever has it.
    if target.deleting {
        return Ok(LinkState::Live);
    }
    let held = publish::holds(engine, target, LINK_ATTEMPT, &link.attempt.to_string()).await?;
    Ok(if held { LinkState::Live } else { LinkState::Lost })
}

/// Whether any link of this object may still be used.
pub(super) fn any(target: &Target, now: Timestamp) -> bool {
    target.status.authorization.as_ref().is_some_and(|link| now < link.expires_at.0)
}

/// Why no new link is made, where there was none that anybody used for a day: they would go on for ever.
pub(super) fn given_up(target: &Target, link: LinkState, now: Timestamp) -> Option<Problem> {
    let since = asked_since(&target.status.conditions).filter(|_| link == LinkState::Expired)?;
    if target.is_requested() || now.duration_since(since) < PATIENCE {
        return None;
    }
    let text = "The last link has expired, and nobody has used one for a day. Run `tradewind reconcile` when the merchant is \
                ready: it makes a new one";
    Some(Problem::new(Reason::LinkExpired, text))
}

/// How often a person is looked out for: often at first, then seldom.
pub(super) fn rhythm(engine: &Engine, target: &Target) -> Duration {
    let since = asked_since(&target.status.conditions);
    let lasting = since.map(|t| Duration::try_from(engine.clock.now().duration_since(t)).unwrap_or_default());
    let poll = engine.connect.poll;
    if lasting.is_none_or(|lasting| lasting < SOON) { poll } else { RARELY.max(poll) }
}

/// Since when a person is asked to authorize.
fn asked_since(conditions: &[Condition]) -> Option<Timestamp> {
    let asked = conditions.iter().find(|c| c.type_ == Type::Authorized.to_string() && c.status == "False");
    asked.map(|c| c.last_transition_time.0)
}

/// Waits for a person, or until none can use the link any more.
pub(super) async fn wait(
    engine: &Engine,
    target: &mut Target,
    what: Waiting,
    now: Timestamp,
) -> Result<Next, PassError> {
    let state = match what {
        Waiting::Link => State::Leaving(LEAVING.to_owned()),
        Waiting::LostLink => State::Unlinked(Problem::new(Reason::Creating, LOST)),
        Waiting::Grace | Waiting::Absence | Waiting::Listing | Waiting::Person => {
            State::AwaitsPerson(HANDED_OUT.to_owned())
        }
    };
    report::change(engine, target, Some(&state), |status| {
        // Nothing stands in the way any more, or somebody asks to try: no pause follows the grace.
        if let (Waiting::LostLink, Some(creation)) = (what, &mut status.creation) {
            creation.refused = None;
        }
    })
    .await?;
    let expires = target.status.authorization.as_ref().map(|link| link.expires_at.0);
    let rest =
        expires.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default() + Duration::from_secs(1));
    let rhythm = rhythm(engine, target);
    Ok(Next::After(if what == Waiting::Link { rest.unwrap_or(rhythm) } else { rest.unwrap_or(rhythm).min(rhythm) }))
}

impl<E: External> Scene<'_, E> {
    /// Hands a link out: its expiry first, the link second, and that only as long as nobody takes it for lost.
    pub(super) async fn hand_out(
        &self,
        target: &mut Target,
        intent: &StoredIntent,
        accepted: Accepted,
        until: Instant,
    ) -> Result<Next, PassError> {
        let engine = self.engine;
        let expires_at = accepted.expires_at;
        let link = AuthorizationStatus {
            expires_at: Time(Timestamp::from_second(expires_at.as_second()).unwrap_or(expires_at)),
            attempt: intent.attempt,
        };
        let state = State::AwaitsPerson(HANDED_OUT.to_owned());
        report::commit(engine, target, intent, Some(&state), |status| {
            status.authorization = Some(link.clone());
            status.creation.get_or_insert_default().refused = None;
        })
        .await?;
        if Instant::now() >= until {
            tracing::warn!(object = %target, attempt = intent.attempt, "the link came too late to be handed out");
            return Ok(Next::After(engine.timing().grace()));
        }
        let attempt = intent.attempt.to_string().into();
        let secret = ConnectionSecret(vec![(LINK_URL, accepted.link), (LINK_ATTEMPT, attempt)]);
        if let Some(problem) = publish::publish(engine, target, Some(&secret)).await? {
            return self.not_handed_out(target, intent, problem).await;
        }
        tracing::info!(object = %target, attempt = intent.attempt, "handed out a link");
        let text = "Wrote a link for the merchant into the connection Secret";
        engine.tell(&target.reference, false, Reason::AuthorizationRequired, "Authorize", text).await;
        Ok(Next::After(engine.connect.poll))
    }

    /// The link has nowhere to stand. Another one is asked for later, the later the longer that lasts: each is a create.
    async fn not_handed_out(
        &self,
        target: &mut Target,
        intent: &StoredIntent,
        why: Problem,
    ) -> Result<Next, PassError> {
        let engine = self.engine;
        let delay = outcome::backoff(engine, &target.uid, &target.status.conditions).max(engine.timing().grace());
        let note = refused::note(target, self, &why, Some(delay));
        report::commit(engine, target, intent, Some(&State::Unlinked(why)), |status| {
            status.creation.get_or_insert_default().refused = Some(note.clone());
        })
        .await?;
        Ok(Next::After(delay + Duration::from_secs(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v1alpha1::Connection;
    use rstest::rstest;
    use serde_json::json;

    /// An object whose merchant has been asked for so many hours.
    fn asked_for(hours: i64, authorized: &str, more: &serde_json::Value) -> (Target, Timestamp) {
        let now: Timestamp = "2026-01-05T10:00:00Z".parse().expect("a time");
        let since = now - SignedDuration::from_hours(hours);
        let mut object = json!({
            "apiVersion": "tradewind.dev/v1alpha1", "kind": "Connection",
            "metadata": {"name": "acme", "namespace": "default", "uid": "u", "annotations": more},
            "spec": {
                "provider": "Arcus", "accountRef": {"name": "arcus"}, "platform": "shopify",
                "arcus": {"mode": "Sandbox", "shop": "acme.myshopify.com"}, "connectionSecretRef": {"name": "s"},
            },
        });
        object["status"] = json!({"observedGeneration": 1, "conditions": [{
            "type": "Authorized", "status": authorized, "reason": "AuthorizationRequired", "message": "",
            "lastTransitionTime": since.to_string(),
        }]});
        let object: Connection = serde_json::from_value(object).expect("an object");
        (Target::from(&object), now)
    }

    #[rstest]
    #[case::just_now(0, "False", None)]
    #[case::almost_a_day(23, "False", None)]
    #[case::a_day(24, "False", Some("tradewind reconcile"))]
    #[case::a_year(8760, "False", Some("tradewind reconcile"))]
    #[case::authorized_long_ago(8760, "True", None)]
    fn nobody_is_asked_for_more_than_a_day(#[case] hours: i64, #[case] authorized: &str, #[case] says: Option<&str>) {
        let (target, now) = asked_for(hours, authorized, &json!({}));
        let given_up = given_up(&target, LinkState::Expired, now);
        assert_eq!(given_up.as_ref().map(|p| p.reason), says.map(|_| Reason::LinkExpired));
        assert!(given_up.is_none_or(|p| says.is_some_and(|says| p.message.contains(says))));
    }

    #[test]
    fn who_asks_for_it_gets_another_link_all_the_same() {
        let (target, now) = asked_for(48, "False", &json!({(crate::api::keys::RECONCILE): "monday"}));
        assert_eq!(given_up(&target, LinkState::Expired, now), None);
    }

    /// A link that is lost was handed to nobody for good, and one that works is still waited for.
    #[test]
    fn only_a_link_that_nobody_used_gives_up() {
        let (target, now) = asked_for(48, "False", &json!({}));
        for link in [LinkState::None, LinkState::Live, LinkState::Lost] {
            assert_eq!(given_up(&target, link, now), None, "{link:?}");
        }
    }

    #[test]
    fn an_object_that_was_never_asked_about_is_not_given_up() {
        let (mut target, now) = asked_for(48, "False", &json!({}));
        target.status.conditions.clear();
        assert_eq!(given_up(&target, LinkState::Expired, now), None);
    }
}
