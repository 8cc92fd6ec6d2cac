//! Documents that use every field: the page takes its examples from them.

use serde_json::Value;

/// A kind and its documents. The first one is shown as a whole.
const FILES: [(&str, &str); 6] = [
    ("Gateway", include_str!("../../../../samples/gateway.yaml")),
    (
        "PolicyFragment",
        include_str!("../../../../samples/policyfragment.yaml"),
    ),
    ("Product", include_str!("../../../../samples/product.yaml")),
    (
        "Subscription",
        include_str!("../../../../samples/subscription.yaml"),
    ),
    (
        "SubscriptionRequest",
        include_str!("../../../../samples/subscriptionrequest.yaml"),
    ),
    (
        "WebSocketApi",
        include_str!("../../../../samples/websocketapi.yaml"),
    ),
];

/// All documents of `api/samples/`.
pub(super) struct Samples {
    documents: Vec<Value>,
}

impl Samples {
    pub(super) fn read() -> Self {
        let read = |(kind, text): &(&str, &str)| -> Vec<Value> {
            serde_saphyr::from_multiple(text).expect(kind)
        };
        Self {
            documents: FILES.iter().flat_map(read).collect(),
        }
    }

    /// The text of the document that shows a kind.
    pub(super) fn shown(kind: &str) -> &'static str {
        let (_, text) = FILES
            .iter()
            .find(|(of, _)| *of == kind)
            .expect("every kind has a file");
        text.split("---\n").next().unwrap_or_default().trim_end()
    }

    /// The first value that a document of this kind has at a path such as `spec.listeners[].port`.
    pub(super) fn value(&self, kind: &str, path: &str) -> Option<&Value> {
        let path = path.replace("[]", ".[]");
        let steps: Vec<_> = path.split('.').collect();
        let mut documents = self.documents.iter();
        documents.find_map(|document| match document["kind"] == kind {
            true => first(document, &steps),
            false => None,
        })
    }

    #[cfg(test)]
    pub(super) fn documents(&self) -> &[Value] {
        &self.documents
    }
}

fn first<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    let Some((step, rest)) = path.split_first() else {
        return Some(value);
    };
    match value {
        Value::Object(fields) => first(fields.get(*step)?, rest),
        Value::Array(items) if *step == "[]" => items.iter().find_map(|item| first(item, rest)),
        _ => None,
    }
}
