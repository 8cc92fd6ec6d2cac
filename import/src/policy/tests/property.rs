//! Whatever is printed is accepted by the API server and the planner.

use proptest::prelude::*;

use super::*;

/// Values of attributes and texts, good and bad.
const VALUES: [&str; 22] = [
    "",
    "plain",
    "{{key}}",
    "{{a-b}}/x",
    "{{",
    "https://a.example/x",
    "http://b.example",
    "wss://c.example/{{key}}",
    "ftp://d.example",
    "a b\tc",
    "grüße",
    "0",
    "1",
    "200",
    "403",
    "99999999999",
    "Host",
    "Content-Length",
    "${vars.x}",
    "@(context.Request.Headers.GetValueOrDefault('X-A'))",
    "@(context.Product?.Id)",
    "@{ var a = 1; return a + 1; }",
];

/// Conditions, good and bad.
const CONDITIONS: [&str; 8] = [
    "@(context.Request.Headers.ContainsKey('X-A'))",
    "@(context.Product?.Id == 'starter')",
    "@(context.Product?.Id == 'Starter_Plan')",
    "@((bool)context.Variables['x'])",
    "@(context.Response.StatusCode == 401)",
    "@(context.LastError.Message.Contains('x') || true)",
    "@(((Jwt)context.Variables['x']).Claims.GetValueOrDefault('roles','').Contains('a'))",
    "@(1)",
];

/// Elements; each `?` is replaced by a value.
const ELEMENTS: [&str; 27] = [
    "<base/>",
    "<set-header name=\"?\" exists-action=\"override\"><value>?</value></set-header>",
    "<set-header name=\"X-A\" exists-action=\"delete\"/>",
    "<set-query-parameter name=\"?\"><value>?</value></set-query-parameter>",
    "<set-variable name=\"?\" value=\"?\"/>",
    "<set-variable name=\"x\" value=\"?\"/>",
    "<set-backend-service base-url=\"?\"/>",
    "<set-backend-service backend-id=\"?\"/>",
    "<rewrite-uri template=\"?\"/>",
    "<check-header name=\"?\" failed-check-httpcode=\"?\" failed-check-error-message=\"?\"><value>?</value></check-header>",
    "<ip-filter action=\"allow\"><address>?</address></ip-filter>",
    "<rate-limit calls=\"?\" renewal-period=\"?\"/>",
    "<rate-limit-by-key calls=\"?\" renewal-period=\"60\" counter-key=\"?\" retry-after-header-name=\"?\"/>",
    "<quota-by-key calls=\"?\" renewal-period=\"?\" counter-key=\"?\"/>",
    "<limit-concurrency key=\"?\" max-count=\"?\"><base/></limit-concurrency>",
    "<return-response><set-status code=\"?\"/><set-header name=\"?\"><value>?</value></set-header><set-body>?</set-body></return-response>",
    "<return-response response-variable-name=\"x\"/>",
    "<send-request response-variable-name=\"x\" timeout=\"?\"><set-url>?</set-url><set-method>GET</set-method><set-header name=\"?\"><value>?</value></set-header></send-request>",
    "<send-one-way-request><set-url>?</set-url></send-one-way-request>",
    "<validate-jwt header-name=\"?\" failed-validation-httpcode=\"?\"><openid-config url=\"?\"/><audiences><audience>?</audience></audiences></validate-jwt>",
    "<validate-jwt token-value=\"?\"><issuer-signing-keys><key>?</key></issuer-signing-keys></validate-jwt>",
    "<validate-azure-ad-token tenant-id=\"?\"><client-application-ids><application-id>?</application-id></client-application-ids></validate-azure-ad-token>",
    "<authentication-managed-identity resource=\"?\"/>",
    "<authentication-basic username=\"?\" password=\"?\"/>",
    "<cache-lookup-value key=\"?\" variable-name=\"?\"/>",
    "<trace source=\"?\"><message>?</message></trace>",
    "<emit-metric name=\"?\"><dimension name=\"?\" value=\"?\"/></emit-metric>",
];

/// Text of an attribute or element: an expression stays as it is.
fn escaped(value: &str) -> String {
    value.replace('&', "&amp;").replace('<', "&lt;")
}

fn element() -> impl Strategy<Value = String> {
    let values = prop::collection::vec(prop::sample::select(&VALUES[..]), 6);
    let names = prop::sample::select(&ELEMENTS[..]);
    let plain = (names, values).prop_map(|(element, values)| {
        let mut values = values.into_iter().map(escaped);
        let parts: Vec<_> = element.split('?').collect();
        let mut found = parts[0].to_owned();
        for part in &parts[1..] {
            found += &values.next().unwrap_or_default();
            found += part;
        }
        found
    });
    plain.prop_recursive(3, 12, 3, |inner| {
        let branch = (
            prop::sample::select(&CONDITIONS[..]),
            prop::collection::vec(inner, 1..3),
        );
        (prop::collection::vec(branch, 1..3), any::<bool>()).prop_map(|(branches, otherwise)| {
            let branches = branches.into_iter().map(|(condition, inner)| {
                format!("<when condition=\"{condition}\">{}</when>", inner.concat())
            });
            let last = if otherwise {
                "<otherwise><base/></otherwise>"
            } else {
                ""
            };
            format!("<choose>{}{last}</choose>", branches.collect::<String>())
        })
    })
}

fn section(name: &'static str) -> impl Strategy<Value = String> {
    let elements = prop::collection::vec(element(), 0..5);
    elements.prop_map(move |elements| format!("<{name}>{}</{name}>", elements.concat()))
}

/// Whether something is an error of the planner only because the Secret with what is to be added is missing.
fn is_expected(objection: &str) -> bool {
    objection.contains("imported-values")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_printed_is_accepted(inbound in section("inbound"), outbound in section("outbound"), errors in section("on-error")) {
        let document = format!("<policies>{inbound}{outbound}{errors}</policies>");
        let found = imported(&document);
        let said = found.said.clone();
        let verdict = verdict(&[("generated".to_owned(), found)]);
        let unexpected: Vec<_> = verdict.lines().filter(|line| !is_expected(line)).collect();
        prop_assert!(unexpected.is_empty(), "{document}\n{said}\n{}", unexpected.join("\n"));
        if !verdict.is_empty() {
            prop_assert!(said.contains("error: "), "{document}: {verdict}");
        }
    }
}
