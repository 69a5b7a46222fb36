//! What others do at the provider, behind the operator's back: strangers, a colleague, the merchant.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::Request;
use jiff::SignedDuration;
use serde_json::Value;
use tradewind_simulator::{arcus, rutter, sku_io};

use crate::{
    flavour::Flavour,
    ledger::{self, Record, Which},
    people::open_attempt,
    scenario::{NAME, NAMESPACE},
    world::World,
};

/// No pass takes longer than this from its look to its create.
const CROSSING: SignedDuration = SignedDuration::from_secs(2);

impl World {
    /// Somebody deletes what the object has.
    pub(crate) fn lose_record(&self) -> bool {
        let Some(id) = self.recorded(NAME) else { return false };
        let (simulator, scenario) = (self.simulator(), self.scenario());
        let there = ledger::records(scenario, simulator).into_iter().find(|record| record.live && record.id == id);
        let deleted = match scenario.flavour {
            Flavour::Rutter | Flavour::Nameless | Flavour::RutterLink => {
                id.parse().is_ok_and(|connection| simulator.act(&rutter::Deed::Delete { connection }).is_ok())
            }
            Flavour::SkuIo => {
                id.parse().is_ok_and(|instance| simulator.act_sku(&sku_io::Deed::Delete { instance }).is_ok())
            }
            Flavour::Arcus | Flavour::ArcusLink => {
                simulator.act_arcus(&arcus::Act::Delete.on(scenario.connector())).is_ok()
            }
        };
        let mut track = self.track();
        track.lost.extend(there.filter(|_| deleted).map(|record| record.which()));
        track.unnoticed += 1;
        deleted
    }

    pub(crate) fn drift(&self) -> bool {
        let Some(Value::Object(fields)) = self.scenario().drift() else { return false };
        self.track().unnoticed += 1;
        if self.scenario().flavour == Flavour::SkuIo {
            let instance = self.recorded(NAME).and_then(|id| id.parse().ok());
            let change = |instance| self.simulator().act_sku(&sku_io::Deed::Change { instance, fields }).is_ok();
            return instance.is_some_and(change);
        }
        self.simulator().act_arcus(&arcus::Act::Change { fields }.on(self.scenario().connector())).is_ok()
    }

    /// The merchant uses the link that was handed out last, whether or not its object still wants that.
    pub(crate) fn consent(&self) -> bool {
        let now = self.simulator().clock().now();
        {
            let mut track = self.track();
            track.unnoticed += 1;
            track.consented = Some(now);
        }
        self.follow_link()
    }

    /// Whether the merchant used a link that was lost at the moment at which another one was asked for: they are asked twice
    /// then, and what they answer the second time takes hold of what came of the first.
    pub(crate) fn is_crossed(&self) -> bool {
        let Some(consented) = self.track().consented else { return false };
        let soon = |link: &arcus::LinkRecord| {
            let after = link.issued_at.duration_since(consented);
            !after.is_negative() && after < CROSSING
        };
        self.simulator().arcus_links().iter().any(soon)
    }

    /// The merchant uses the last link that was handed out and that still works.
    pub(crate) fn follow_link(&self) -> bool {
        let handed = self.track().handed.clone();
        let has = |part: &str| handed.iter().any(|link| link.contains(part));
        if self.scenario().flavour == Flavour::ArcusLink {
            let links = self.simulator().arcus_links().into_iter().rev();
            let mut live = links.filter(|link| link.status == arcus::LinkStatus::Live && has(&link.path));
            let consent = |uri| Request::post(uri).body(Bytes::from_static(b"answer=approve")).ok();
            let visit = live.next().and_then(|link| consent(link.path));
            return visit.is_some_and(|visit| self.simulator().visit(&visit).status().is_success());
        }
        let all = self.simulator().connections().into_iter().rev();
        let mut waiting = all.filter(|c| c.platform.is_none() && c.deleted_at.is_none() && has(&c.id.to_string()));
        waiting.next().is_some_and(|connection| {
            let (platform, store_url) = ("BIG_COMMERCE".to_owned(), self.scenario().store().to_owned());
            let deed = rutter::Deed::FollowLink { connection: connection.id, platform, store_url };
            self.simulator().act(&deed).is_ok()
        })
    }

    /// What stands in a Secret may be in a merchant's hands from then on, and what never stood in one cannot be.
    pub(crate) fn note_links(&self) {
        if !self.scenario().flavour.has_link() {
            return;
        }
        let secrets = self.api().list("secrets", NAMESPACE);
        let links = secrets.iter().filter_map(|secret| secret.pointer("/data/link_url").and_then(Value::as_str));
        let links = links.filter_map(|link| String::from_utf8(BASE64_STANDARD.decode(link).ok()?).ok());
        self.track().handed.extend(links);
    }

    pub(crate) fn stranger(&self) -> bool {
        let (before, blurs) = (self.foreign(), self.attempts_are_open() || self.is_replaced());
        let came = self.scenario().stranger_comes(self.simulator());
        let new: Vec<_> = self.foreign().into_iter().filter(|record| !before.contains(record)).collect();
        let mut track = self.track();
        track.blurred.extend(new.iter().filter(|_| blurs).cloned());
        track.strangers.extend(new);
        came
    }

    /// Which records strangers have made.
    fn foreign(&self) -> Vec<Which> {
        let records = ledger::records(self.scenario(), self.simulator());
        records.iter().filter(|record| !record.ours).map(Record::which).collect()
    }

    /// Whether an operator may have a create under way.
    fn attempts_are_open(&self) -> bool {
        self.api().any(self.scenario().plural(), NAMESPACE, |object| open_attempt(object).is_some())
    }

    /// Whether an object has a connector that was deleted. It has no other name than its type, so nobody can tell one that
    /// a stranger makes now from the one that the object had.
    fn is_replaced(&self) -> bool {
        matches!(self.scenario().flavour, Flavour::Arcus | Flavour::ArcusLink)
            && self.recorded(NAME).is_some()
            && self.simulator().connector(self.scenario().connector()).is_some_and(|connector| connector.deleted)
    }
}
