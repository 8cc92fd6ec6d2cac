//! Counters that policies define (`emitMetric`).
//!
//! They are separate from the gateway's own metrics: their names have a prefix, and their label values may come
//! from clients, so each namespace has a limit on series. Above it, values are counted with the label value
//! `other`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;

use parking_lot::{Mutex, MutexGuard};
use tidegate_config::ObjectKey;

/// Prefix of every name.
pub(crate) const PREFIX: &str = "tidegate_custom_";

/// Sets of label values of all metrics of a namespace together: some hundred KiB, and what a scrape can
/// carry.
const MAX_SERIES: usize = 2000;

/// Longest value of a label, in bytes.
pub(crate) const LONGEST_VALUE: usize = 128;

/// The value of all labels of what does not fit.
const OTHER: &str = "other";

/// Names and values of the labels besides `api`.
pub(crate) type Labels = Vec<(String, String)>;

type Series = BTreeMap<(ObjectKey, Labels), f64>;

/// All counters.
#[derive(Debug, Default)]
pub(crate) struct CustomMetrics(Mutex<Metrics>);

#[derive(Debug, Default)]
struct Metrics {
    by_name: BTreeMap<String, Series>,
    /// How many sets of label values each namespace has.
    sets: BTreeMap<String, usize>,
}

impl CustomMetrics {
    /// Adds to the counter `PREFIX` + `name` of an API.
    pub(crate) fn add(&self, name: &str, api: &ObjectKey, mut labels: Labels, value: f64) {
        for (_, text) in &mut labels {
            text.truncate(text.floor_char_boundary(LONGEST_VALUE));
        }
        let mut metrics = self.lock();
        let Metrics { by_name, sets } = &mut *metrics;
        let series = match by_name.get_mut(name) {
            Some(series) => series,
            None => by_name.entry(name.to_owned()).or_default(),
        };
        let full = sets
            .get(&api.namespace)
            .is_some_and(|sets| *sets >= MAX_SERIES);
        match series.entry((api.clone(), labels)) {
            Entry::Occupied(mut counter) => *counter.get_mut() += value,
            Entry::Vacant(new) if !full => {
                new.insert(value);
                *sets.entry(api.namespace.clone()).or_default() += 1;
            }
            Entry::Vacant(surplus) => {
                let (api, mut labels) = surplus.into_key();
                for (_, text) in &mut labels {
                    OTHER.clone_into(text);
                }
                *series.entry((api, labels)).or_default() += value;
            }
        }
    }

    /// Drops the series of APIs that are no longer served.
    pub(crate) fn retain(&self, served: impl Fn(&ObjectKey) -> bool) {
        let mut metrics = self.lock();
        let Metrics { by_name, sets } = &mut *metrics;
        sets.clear();
        by_name.retain(|_, series| {
            series.retain(|(api, _), _| served(api));
            for (api, _) in series.keys() {
                *sets.entry(api.namespace.clone()).or_default() += 1;
            }
            !series.is_empty()
        });
    }

    /// All of them in Prometheus' text format.
    pub(crate) fn render(&self) -> String {
        let mut out = String::new();
        for (name, series) in &self.lock().by_name {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "# HELP {PREFIX}{name} Added to by emitMetric steps");
            let _ = writeln!(out, "# TYPE {PREFIX}{name} counter");
            for ((api, labels), value) in series {
                let _ = write!(out, "{PREFIX}{name}{{api=\"{api}\"");
                for (label, text) in labels {
                    let _ = write!(out, ",{label}=\"{}\"", escaped(text));
                }
                let _ = writeln!(out, "}} {value}");
            }
        }
        out
    }

    fn lock(&self) -> MutexGuard<'_, Metrics> {
        self.0.lock()
    }
}

fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    text.replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Labels {
        vec![("who".to_owned(), text.to_owned())]
    }

    #[test]
    fn counters_are_written_as_prometheus_reads_them() {
        let metrics = CustomMetrics::default();
        let api = ObjectKey::new("shop", "chat");
        metrics.add("logins_total", &api, labels("a\"b\\c\nd"), 1.0);
        metrics.add("logins_total", &api, labels("a\"b\\c\nd"), 1.5);
        metrics.add("bytes", &api, Vec::new(), 3.0);
        let expected = "# HELP tidegate_custom_bytes Added to by emitMetric steps\n\
            # TYPE tidegate_custom_bytes counter\n\
            tidegate_custom_bytes{api=\"shop/chat\"} 3\n\
            # HELP tidegate_custom_logins_total Added to by emitMetric steps\n\
            # TYPE tidegate_custom_logins_total counter\n\
            tidegate_custom_logins_total{api=\"shop/chat\",who=\"a\\\"b\\\\c\\nd\"} 2.5\n";
        assert_eq!(metrics.render(), expected);
        metrics.retain(|_| false);
        assert_eq!(metrics.render(), "");
    }

    #[test]
    fn what_does_not_fit_is_counted_as_other() {
        let metrics = CustomMetrics::default();
        let api = ObjectKey::new("shop", "chat");
        for i in 0..MAX_SERIES + 50 {
            metrics.add("seen", &api, labels(&format!("client {i}")), 1.0);
        }
        metrics.add("seen", &api, labels("client 7"), 1.0);
        let text = metrics.render();
        assert_eq!(text.lines().count(), MAX_SERIES + 3);
        assert!(
            text.contains("{api=\"shop/chat\",who=\"other\"} 50\n"),
            "{text}"
        );
        assert!(text.contains("who=\"client 7\"} 2\n"));
        let other = ObjectKey::new("harbour", "chat");
        metrics.add("seen", &other, labels("client 1"), 1.0);
        let own = "{api=\"harbour/chat\",who=\"client 1\"} 1\n";
        assert!(
            metrics.render().contains(own),
            "another namespace has room of its own"
        );
        metrics.add("long", &api, labels(&"é".repeat(1000)), 1.0);
        assert!(!metrics.render().contains(&"é".repeat(65)));
    }
}
