//! docs/import.md against what the importer says.

use super::super::element::UNSUPPORTED;
use super::imported;

/// All policies that API Management documents for other than AI and GraphQL backends.
const ALL: [&str; 55] = [
    "authentication-basic",
    "authentication-certificate",
    "authentication-managed-identity",
    "azure-openai-token-limit",
    "base",
    "cache-lookup",
    "cache-lookup-value",
    "cache-remove-value",
    "cache-store",
    "cache-store-value",
    "cache-value",
    "check-header",
    "choose",
    "cors",
    "cross-domain",
    "emit-metric",
    "find-and-replace",
    "forward-request",
    "get-authorization-context",
    "include-fragment",
    "invoke-dapr-binding",
    "ip-filter",
    "json-to-xml",
    "jsonp",
    "limit-concurrency",
    "llm-token-limit",
    "log-to-eventhub",
    "mock-response",
    "proxy",
    "publish-to-dapr",
    "quota",
    "quota-by-key",
    "rate-limit",
    "rate-limit-by-key",
    "redirect-content-urls",
    "retry",
    "return-response",
    "rewrite-uri",
    "send-one-way-request",
    "send-request",
    "send-service-bus-message",
    "set-backend-service",
    "set-body",
    "set-header",
    "set-method",
    "set-query-parameter",
    "set-status",
    "set-variable",
    "trace",
    "validate-azure-ad-token",
    "validate-client-certificate",
    "validate-content",
    "validate-jwt",
    "wait",
    "xsl-transform",
];

#[test]
fn the_page_says_of_each_policy_what_becomes_of_it() {
    let page = include_str!("../../../../docs/import.md");
    let table = page.split("## Policies").nth(1).unwrap();
    let table = table.split("###").next().unwrap();
    let rows: Vec<_> = table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    for name in ALL {
        let is_named = |row: &&&str| {
            let cell = row.split('|').nth(1).unwrap_or_default();
            cell.contains(&format!("`{name}`"))
        };
        let Some(row) = rows.iter().find(is_named) else {
            panic!("docs/import.md says nothing about {name}");
        };
        let document = format!("<policies><inbound><{name}/></inbound></policies>");
        let found = imported(&document);
        let is_unknown = found.said.contains(&format!("{name} is not translated"));
        let is_error = row.ends_with("an error |");
        let is_watcher = name == "log-to-eventhub" || name == "forward-request";
        assert_eq!(
            is_unknown,
            is_error || is_watcher,
            "{name}: {row}: {}",
            found.said
        );
    }
    for name in UNSUPPORTED {
        assert!(
            rows.iter().any(|row| row.contains(&format!("`{name}`"))),
            "{name}"
        );
    }
}
