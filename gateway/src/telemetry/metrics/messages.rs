//! Messages and bytes, by as many labels as the Gateway asks for.
//!
//! A metric's labels are fixed where it is registered, so each choice of labels has a registry of
//! its own, made when it is chosen first; a scrape shows all of them together. What was counted
//! under another choice stays until its objects leave: sums go on.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, MutexGuard};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntCounterVec, Registry};
use tidegate_config::{MessageLabel, MetricLabels, ObjectKey};

use super::NO_API;
use super::label::Direction;
use super::register::counters;
use tidegate_tunnel::relay::{Counts, FrameKind, PerKind};

/// Sets of label values with a product or a subscription in them. Each has 28 series: so many are
/// some megabytes, and what a scrape can carry.
const MAX_SETS: usize = 1000;

/// Product and subscription of what does not fit.
const OTHER: &str = "other";

/// The labels that can be chosen, in the order of the bits of a choice.
const LABELS: [(MessageLabel, &str); 3] = [
    (MessageLabel::Api, "api"),
    (MessageLabel::Product, "product"),
    (MessageLabel::Subscription, "subscription"),
];

/// Only the API: the default.
const API_ONLY: u8 = 1;

/// Objects that label the messages of a tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct MessageLabels {
    pub(crate) api: ObjectKey,
    pub(crate) product: Option<ObjectKey>,
    pub(crate) subscription: Option<ObjectKey>,
}

/// All counters of messages and bytes.
#[derive(Debug)]
pub(super) struct MessageMetrics {
    /// The choice for tunnels that open from now on: a bit for each of [`LABELS`].
    chosen: AtomicU8,
    families: [OnceLock<Family>; 8],
}

/// Those of one choice of labels.
#[derive(Debug)]
struct Family {
    choice: u8,
    registry: Registry,
    messages: IntCounterVec,
    bytes: IntCounterVec,
    sets: Mutex<HashMap<LabelSet, Arc<MessageCounters>>>,
}

/// Values of the labels; `None` where a label is not chosen or has nothing to name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct LabelSet {
    api: Option<ObjectKey>,
    product: Option<ObjectKey>,
    subscription: Option<ObjectKey>,
    /// Stands for all that do not fit.
    other: bool,
}

/// The handles of one set of label values.
#[derive(Debug)]
pub(crate) struct MessageCounters {
    messages: PerDirection,
    bytes: PerDirection,
}

/// A counter for each kind of frame, in both directions.
type PerDirection = [[IntCounter; FrameKind::ALL.len()]; 2];

impl MessageMetrics {
    pub(super) fn new() -> Self {
        Self {
            chosen: AtomicU8::new(API_ONLY),
            families: Default::default(),
        }
    }

    /// Tunnels that open from now on count like this.
    pub(super) fn choose(&self, labels: Option<&MetricLabels>) {
        let wanted = labels.and_then(|labels| labels.message_labels.as_deref());
        let choice = wanted.map_or(API_ONLY, |wanted| {
            let bits = LABELS.iter().enumerate();
            bits.filter(|(_, (label, _))| wanted.contains(label))
                .fold(0, |choice, (bit, _)| choice | 1 << bit)
        });
        self.chosen.store(choice, Ordering::Relaxed);
    }

    /// The handles of what a tunnel counts. Finding them takes a lock, but where the API alone
    /// counts: `of_api` keeps those.
    pub(super) fn counters(
        &self,
        of_api: &OnceLock<Arc<MessageCounters>>,
        labels: impl FnOnce() -> MessageLabels,
    ) -> Arc<MessageCounters> {
        let choice = self.chosen.load(Ordering::Relaxed);
        let family = || self.families[usize::from(choice)].get_or_init(|| Family::new(choice));
        let counters = || family().counters(&labels());
        if choice == API_ONLY {
            return Arc::clone(of_api.get_or_init(counters));
        }
        counters()
    }

    /// Drops the series of objects that are no longer served.
    pub(super) fn retain(
        &self,
        api: impl Fn(&ObjectKey) -> bool,
        product: impl Fn(&ObjectKey) -> bool,
        subscription: impl Fn(&ObjectKey) -> bool,
    ) {
        for family in self.families.iter().filter_map(OnceLock::get) {
            family.retain(|set| {
                set.api.as_ref().is_none_or(&api)
                    && set.product.as_ref().is_none_or(&product)
                    && set.subscription.as_ref().is_none_or(&subscription)
            });
        }
    }

    /// Adds its families to those of a scrape; of one name there is one, whatever its labels.
    pub(super) fn gather(&self, into: &mut Vec<MetricFamily>) {
        for family in self.families.iter().filter_map(OnceLock::get) {
            for mut found in family.registry.gather() {
                match into.iter_mut().find(|there| there.name() == found.name()) {
                    Some(there) => there.mut_metric().append(found.mut_metric()),
                    None => into.push(found),
                }
            }
        }
        into.sort_by(|a, b| a.name().cmp(b.name()));
    }
}

impl Family {
    fn new(choice: u8) -> Self {
        let registry = Registry::new();
        let chosen = chosen(choice).map(|(_, name)| name);
        let own: Vec<&str> = chosen.chain(["direction", "type"]).collect();
        Self {
            choice,
            messages: counters(
                &registry,
                "tidegate_messages_total",
                "Messages and control frames relayed",
                &own,
            ),
            bytes: counters(
                &registry,
                "tidegate_bytes_total",
                "Bytes relayed, frame headers included",
                &own,
            ),
            registry,
            sets: Mutex::default(),
        }
    }

    fn counters(&self, labels: &MessageLabels) -> Arc<MessageCounters> {
        let mut set = self.set_of(labels);
        let mut sets = self.lock();
        if let Some(found) = sets.get(&set) {
            return Arc::clone(found);
        }
        let is_bounded = self.choice & !API_ONLY != 0;
        if is_bounded && sets.len() >= MAX_SETS {
            set = LabelSet {
                product: None,
                subscription: None,
                other: true,
                ..set
            };
        }
        let created = || Arc::new(MessageCounters::new(self, &self.values(&set)));
        Arc::clone(sets.entry(set.clone()).or_insert_with(created))
    }

    fn set_of(&self, labels: &MessageLabels) -> LabelSet {
        let has = |wanted| chosen(self.choice).any(|(label, _)| label == wanted);
        let MessageLabels {
            api,
            product,
            subscription,
        } = labels;
        LabelSet {
            api: has(MessageLabel::Api).then(|| api.clone()),
            product: product.clone().filter(|_| has(MessageLabel::Product)),
            subscription: subscription
                .clone()
                .filter(|_| has(MessageLabel::Subscription)),
            other: false,
        }
    }

    /// The label values of a set.
    fn values(&self, set: &LabelSet) -> Vec<String> {
        let text = |key: &Option<ObjectKey>| match key {
            Some(key) => key.to_string(),
            None if set.other => OTHER.to_owned(),
            None => NO_API.to_owned(),
        };
        let values = chosen(self.choice).map(|(label, _)| match label {
            MessageLabel::Api => text(&set.api),
            MessageLabel::Product => text(&set.product),
            MessageLabel::Subscription => text(&set.subscription),
        });
        values.collect()
    }

    fn retain(&self, keep: impl Fn(&LabelSet) -> bool) {
        let mut sets = self.lock();
        let gone: Vec<_> = sets.extract_if(|set, _| !keep(set)).collect();
        for (set, _) in gone {
            let values = self.values(&set);
            for (direction, kind) in series() {
                let labels = labels(&values, direction, kind);
                // They were made together and are removed together: they are there.
                let _ = self.messages.remove_label_values(&labels);
                let _ = self.bytes.remove_label_values(&labels);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<LabelSet, Arc<MessageCounters>>> {
        self.sets.lock()
    }
}

/// What the series of a set differ in.
fn series() -> impl Iterator<Item = (Direction, FrameKind)> {
    let directions = Direction::ALL.into_iter();
    directions.flat_map(|direction| FrameKind::ALL.map(|kind| (direction, kind)))
}

/// The label values of one series of a set.
fn labels(set: &[String], direction: Direction, kind: FrameKind) -> Vec<&str> {
    let own = set.iter().map(String::as_str);
    own.chain([direction.as_str(), kind.as_str()]).collect()
}

fn chosen(choice: u8) -> impl Iterator<Item = (MessageLabel, &'static str)> {
    let bits = LABELS.into_iter().enumerate();
    bits.filter(move |(bit, _)| choice & (1 << bit) != 0)
        .map(|(_, label)| label)
}

impl MessageCounters {
    fn new(family: &Family, values: &[String]) -> Self {
        let of = |counters: &IntCounterVec| {
            Direction::ALL.map(|direction| {
                FrameKind::ALL
                    .map(|kind| counters.with_label_values(&labels(values, direction, kind)))
            })
        };
        Self {
            messages: of(&family.messages),
            bytes: of(&family.bytes),
        }
    }

    /// Adds what was relayed.
    pub(crate) fn count(&self, direction: Direction, more: &Counts) {
        add(&self.messages[direction as usize], &more.frames);
        add(&self.bytes[direction as usize], &more.bytes);
    }
}

/// Most bursts are of one kind: what is 0 costs no atomic addition.
fn add(counters: &[IntCounter; FrameKind::ALL.len()], more: &PerKind) {
    for (kind, counter) in FrameKind::ALL.into_iter().zip(counters) {
        if more[kind] > 0 {
            counter.inc_by(more[kind]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("shop", name)
    }

    fn labels(api: &str, product: Option<&str>, subscription: Option<&str>) -> MessageLabels {
        MessageLabels {
            api: key(api),
            product: product.map(key),
            subscription: subscription.map(key),
        }
    }

    fn of(metrics: &MessageMetrics, labels: &MessageLabels) -> Arc<MessageCounters> {
        metrics.counters(&OnceLock::new(), || labels.clone())
    }

    fn choose(metrics: &MessageMetrics, labels: &[MessageLabel]) {
        metrics.choose(Some(&MetricLabels {
            message_labels: Some(labels.to_vec()),
        }));
    }

    fn text(bytes: u64) -> Counts {
        Counts {
            frames: [(FrameKind::Text, 1)].into(),
            bytes: [(FrameKind::Text, bytes)].into(),
        }
    }

    /// Label values and counts of all series that have counted bytes.
    fn bytes(metrics: &MessageMetrics) -> Vec<(String, f64)> {
        let mut families = Vec::new();
        metrics.gather(&mut families);
        let bytes = families
            .iter()
            .filter(|f| f.name() == "tidegate_bytes_total");
        let series = bytes.flat_map(|family| family.get_metric());
        let mut found: Vec<_> = series
            .filter(|series| series.get_counter().get_value() > 0.0)
            .map(|series| {
                let labels = series.get_label().iter();
                let labels = labels.filter(|label| !["direction", "type"].contains(&label.name()));
                let labels: Vec<_> = labels
                    .map(|l| format!("{}={}", l.name(), l.value()))
                    .collect();
                (labels.join(","), series.get_counter().get_value())
            })
            .collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    }

    #[test]
    fn messages_are_counted_by_what_was_chosen() {
        use MessageLabel::{Api, Product, Subscription};
        let labels = labels("chat", Some("gold"), None);
        for (chosen, expected) in [
            (&[][..], ""),
            (&[Api], "api=shop/chat"),
            (&[Subscription, Api], "api=shop/chat,subscription=-"),
            (&[Product], "product=shop/gold"),
            (
                &[Api, Product, Subscription],
                "api=shop/chat,product=shop/gold,subscription=-",
            ),
        ] {
            let metrics = MessageMetrics::new();
            choose(&metrics, chosen);
            of(&metrics, &labels).count(Direction::ToClient, &text(5));
            of(&metrics, &labels).count(Direction::ToClient, &text(2));
            assert_eq!(bytes(&metrics), [(expected.to_owned(), 7.0)]);
        }
    }

    #[test]
    fn another_choice_holds_for_later_tunnels_and_forgets_nothing() {
        let metrics = MessageMetrics::new();
        let labels = labels("chat", None, Some("ahab"));
        let before = of(&metrics, &labels);
        choose(&metrics, &[MessageLabel::Subscription]);
        before.count(Direction::ToClient, &text(1));
        of(&metrics, &labels).count(Direction::ToClient, &text(2));
        let counted = [("api=shop/chat", 1.0), ("subscription=shop/ahab", 2.0)];
        assert_eq!(bytes(&metrics), counted.map(|(l, n)| (l.to_owned(), n)));
        metrics.retain(|_| true, |_| true, |_| false);
        assert_eq!(bytes(&metrics), [("api=shop/chat".to_owned(), 1.0)]);
        metrics.retain(|_| false, |_| true, |_| true);
        assert_eq!(bytes(&metrics), []);
        let mut families = Vec::new();
        metrics.gather(&mut families);
        assert!(families.iter().all(|family| family.get_metric().is_empty()));
    }

    #[test]
    fn what_does_not_fit_is_counted_as_other() {
        let metrics = MessageMetrics::new();
        choose(&metrics, &[MessageLabel::Api, MessageLabel::Subscription]);
        for i in 0..MAX_SETS + 50 {
            let name = format!("s{i}");
            let counters = of(&metrics, &labels("chat", None, Some(&name)));
            counters.count(Direction::ToBackend, &text(1));
        }
        let found = bytes(&metrics);
        assert_eq!(found.len(), MAX_SETS + 1);
        let other = "api=shop/chat,subscription=other".to_owned();
        assert!(found.contains(&(other, 50.0)));
        metrics.retain(|_| true, |_| true, |key| key.name == "s7");
        let again = of(&metrics, &labels("chat", None, Some("new")));
        again.count(Direction::ToBackend, &text(1));
        let names = bytes(&metrics).into_iter().map(|(labels, _)| labels);
        let own = |name: &str| format!("api=shop/chat,subscription={name}");
        let expected = ["other", "shop/new", "shop/s7"].map(own);
        assert_eq!(names.collect::<Vec<_>>(), expected);
    }
}
