mod flow;
mod hostile;
mod identity;
mod meaning;
mod page;
mod property;
mod verdict;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use self::verdict::objections;
use super::*;
use crate::json::Node as Json;
use crate::service::Service;

/// What a document becomes, and what is said about it.
struct Imported {
    on_handshake: Value,
    fragments: Vec<Value>,
    said: String,
}

fn context() -> Context {
    let node = |json: Value| Json::parse(&json.to_string()).unwrap();
    let fragment = |text: &str| Fragment {
        text: text.to_owned(),
        file: PathBuf::from("who.xml"),
        line: 1,
    };
    Context {
        backends: BTreeMap::from([
            (
                "keyed".to_owned(),
                node(json!({
                    "url": "https://keyed.example/base/", "protocol": "http",
                    "credentials": {
                        "header": {"X-Key": ["{{key}}"]}, "query": {"v": ["1"]},
                        "authorization": {"scheme": "Bearer", "parameter": "t"},
                    },
                })),
            ),
            (
                "mtls".to_owned(),
                node(json!({"url": "wss://b.example", "credentials": {"certificate": ["abc"]}})),
            ),
            (
                "pool".to_owned(),
                node(json!({"type": "Pool", "pool": {"services": []}})),
            ),
        ]),
        fragments: BTreeMap::from([
            (
                "Who".to_owned(),
                fragment(
                    "<fragment><set-header name=\"X-Who\"><value>me</value></set-header></fragment>",
                ),
            ),
            ("empty".to_owned(), fragment("<fragment/>")),
            ("based".to_owned(), fragment("<fragment><base/></fragment>")),
            ("broken".to_owned(), fragment("<fragment>")),
        ]),
        service: Service::default(),
        used: Default::default(),
        service_url: Some("wss://chat.example/base/?a=b".to_owned()),
        own_backend: None,
        fails_over: false,
    }
}

fn imported(document: &str) -> Imported {
    let mut fragments = Fragments::default();
    let found = import(document, Scope::Api, &context(), &mut fragments);
    let (on_handshake, findings) = found.unwrap();
    let said: Vec<_> = findings.iter().map(ToString::to_string).collect();
    Imported {
        on_handshake,
        fragments: fragments.objects,
        said: said.join("\n"),
    }
}

fn inbound(steps: &str) -> Imported {
    imported(&format!("<policies><inbound>{steps}</inbound></policies>"))
}

/// What is wrong with WebSocketApis that have these policies.
fn verdict(all: &[(String, Imported)]) -> String {
    let object = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "tidegate.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    let listener = json!({"name": "plain", "port": 8080, "protocol": "WS"});
    let deployment = json!({"tokenAudiences": [crate::steps::AUDIENCE]});
    let gateway = json!({"listeners": [listener], "deployment": deployment});
    let mut objects = vec![object("Gateway", "edge", gateway)];
    for (name, found) in all {
        let name = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let all = found.on_handshake.to_string() + &json!(found.fragments).to_string();
        let values = crate::service::values_of(&all).into_iter();
        let values: std::collections::BTreeSet<_> = values.collect();
        let value = |name| json!({"name": name, "value": "https://v.example"});
        let spec = json!({
            "gateways": [{"name": "edge"}], "path": format!("/{name}"),
            "backend": {"url": "wss://chat.example"},
            "values": values.into_iter().map(value).collect::<Vec<_>>(), "onHandshake": found.on_handshake,
        });
        objects.push(object("WebSocketApi", &name, spec));
        let new = found
            .fragments
            .iter()
            .filter(|fragment| !objects.contains(fragment));
        let new: Vec<_> = new.cloned().collect();
        objects.extend(new);
    }
    objections(&objects).join("\n")
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn each_element_becomes_its_steps() {
    let discovery = "https://login.microsoftonline.com/t.example";
    let cases = [
        (
            "send-request",
            r#"<send-request mode="new" response-variable-name="neg" timeout="20" ignore-error="true">
                 <set-url>@("https://app.example/" + context.Api.Id)</set-url><set-method>post</set-method>
                 <set-header name="X-A" exists-action="override"><value>1</value></set-header>
                 <set-header name="x-a" exists-action="override"><value>2</value></set-header>
                 <set-header name="X-A" exists-action="append"><value>3</value></set-header>
                 <set-header name="X-A" exists-action="skip"><value>4</value></set-header>
                 <set-body>{"key": "{{key}}"}</set-body>
                 <authentication-basic username="me" password="{{key}}"/>
               </send-request>"#,
            json!([{"sendRequest": {
                "as": "neg", "method": "POST", "url": "${(\"https://app.example/\" + api.name)}",
                "headers": [{"name": "x-a", "value": "2"}, {"name": "X-A", "value": "3"}],
                "body": "{\"key\": \"${values.key}\"}", "timeout": "20s", "ignoreError": true,
                "auth": {"basic": {"username": "me", "password": "${values.key}"}},
            }}]),
            "",
        ),
        (
            "send-one-way-request",
            r#"<send-one-way-request><set-url>https://audit.example/</set-url></send-one-way-request>"#,
            json!([{"notify": {"method": "GET", "url": "https://audit.example/", "timeout": "60s"}}]),
            "",
        ),
        (
            "retry",
            r#"<retry condition="@(((IResponse)context.Variables["r"])?.StatusCode == 503)" count="3" interval="2" max-interval="10" delta="2">
                 <send-request response-variable-name="r"><set-url>https://a.example/</set-url></send-request></retry>"#,
            json!([{"sendRequest": {
                "as": "r", "method": "GET", "url": "https://a.example/", "timeout": "60s",
                "retry": {"count": 3, "interval": "2s", "maxInterval": "10s",
                          "when": "(vars.r == null ? false : ((vars.r == null ? null : vars.r.status) == 503))"},
            }}]),
            "",
        ),
        (
            "retry that waits otherwise",
            r#"<retry condition="true" count="1" interval="1" delta="1" first-fast-retry="true">
                 <send-request response-variable-name="r"><set-url>https://a.example/</set-url></send-request></retry>"#,
            json!([{"sendRequest": {
                "as": "r", "method": "GET", "url": "https://a.example/", "timeout": "60s",
                "retry": {"count": 1, "interval": "1s", "when": "(vars.r == null ? false : true)"},
            }}]),
            "warning: delta is left out: all waits|warning: first-fast-retry is left out",
        ),
        (
            "wait",
            r#"<wait for="any"><send-request response-variable-name="a"><set-url>https://a.example/</set-url></send-request>
               <send-request response-variable-name="b"><set-url>https://b.example/</set-url></send-request></wait>"#,
            json!([{"sendRequests": {"waitFor": "Any", "requests": [
                {"as": "a", "method": "GET", "url": "https://a.example/", "timeout": "60s"},
                {"as": "b", "method": "GET", "url": "https://b.example/", "timeout": "60s"},
            ]}}]),
            "",
        ),
        (
            "cache-lookup-value",
            r#"<cache-lookup-value key="@("t-" + context.Api.Id)" variable-name="token" caching-type="external"/>"#,
            json!([
                {"cacheLookup": {"key": "(\"t-\" + api.name)", "as": "imported_cached_token"}},
                {"when": "vars.imported_cached_token != null",
                 "setVariable": {"name": "token", "value": "vars.imported_cached_token"}},
            ]),
            "warning: kept per gateway pod",
        ),
        (
            "cache-lookup-value with a default",
            r#"<cache-lookup-value key="k" variable-name="token" default-value="none"/>"#,
            json!([
                {"cacheLookup": {"key": "\"k\"", "as": "imported_cached_token"}},
                {"setVariable": {"name": "token",
                 "value": "(vars.imported_cached_token != null ? vars.imported_cached_token : \"none\")"}},
            ]),
            "",
        ),
        (
            "cache-store-value",
            r#"<cache-store-value key="k" value="@(context.Api.Id)" duration="100000"/>"#,
            json!([{"cacheStore": {"key": "\"k\"", "value": "api.name", "for": "86400s"}}]),
            "warning: a value is kept for a day|warning: api.name is the name of the object here",
        ),
        (
            "cache-remove-value",
            r#"<cache-remove-value key="k"/>"#,
            json!([{"cacheRemove": {"key": "\"k\""}}]),
            "",
        ),
        (
            "rewrite-uri",
            r#"<rewrite-uri template="socket?v=2" copy-unmatched-params="false"/>"#,
            json!([{"rewritePath": {"path": "/base/socket?v=2", "keepQuery": false}}]),
            "",
        ),
        (
            "rewrite-uri behind another backend",
            r#"<set-backend-service base-url="wss://b.example/x"/><rewrite-uri template="/y"/>"#,
            json!([{"setBackend": {"url": "wss://b.example/x"}}, {"rewritePath": {"path": "/x/y"}}]),
            "",
        ),
        (
            "rewrite-uri behind a backend that is not sure",
            r#"<set-backend-service base-url="@(context.Api.Id)"/><rewrite-uri template="/y"/>"#,
            json!([{"setBackend": {"url": "${api.name.startsWith(\"http\") ? \"ws\" + api.name.substring(4) : api.name}"}},
                   {"rewritePath": {"path": "/y"}}]),
            "warning: the path of the backend's URL",
        ),
        (
            "set-backend-service with credentials",
            r#"<set-backend-service backend-id="KEYED"/>"#,
            json!([
                {"setBackend": {"url": "wss://keyed.example/base/"}},
                {"setHeader": {"name": "Authorization", "values": ["Bearer t"]}},
                {"setHeader": {"name": "X-Key", "values": ["${values.key}"]}},
                {"setQueryParameter": {"name": "v", "values": ["1"]}},
            ]),
            "",
        ),
        (
            "limit-concurrency",
            r#"<limit-concurrency key="@(context.Request.IpAddress)" max-count="3">
                 <set-header name="X-A"><value>1</value></set-header></limit-concurrency>"#,
            json!([
                {"limitConnections": {"key": "client.ip", "max": 3}},
                {"setHeader": {"name": "X-A", "values": ["1"], "ifExists": "Override"}},
            ]),
            "warning: limits live tunnels here",
        ),
        (
            "include-fragment",
            r#"<include-fragment fragment-id="who"/>"#,
            json!([{"includeFragment": {"name": "who"}}]),
            "",
        ),
        (
            "include-fragment without steps",
            r#"<include-fragment fragment-id="empty"/>"#,
            Value::Null,
            "note: the fragment has no steps",
        ),
        (
            "trace",
            r#"<trace source="auth" severity="information"><message>@("for " + context.Api.Id)</message>
                 <metadata name="User Id" value="@(context.User.Id)"/></trace>"#,
            json!([{"trace": {
                "message": "${(\"for \" + api.name)}", "severity": "Info",
                "fields": [{"name": "source", "value": "auth"},
                           {"name": "User_Id", "value": "${(subscription.owner + \"\")}"}],
            }}]),
            "",
        ),
        (
            "emit-metric",
            r#"<emit-metric name="Logins Total" namespace="mine" value="2"><dimension name="API ID"/>
                 <dimension name="Plan" value="gold"/></emit-metric>"#,
            json!([{"emitMetric": {"name": "logins_total", "value": "2", "labels": [
                {"name": "api_id", "value": "${api.name}"}, {"name": "plan", "value": "gold"},
            ]}}]),
            "warning: namespace is left out",
        ),
        (
            "validate-azure-ad-token",
            r#"<validate-azure-ad-token tenant-id="t.example">
                 <client-application-ids><application-id>c</application-id></client-application-ids>
                 <audiences><audience>a</audience></audiences></validate-azure-ad-token>"#,
            json!([{"validateJwt": {
                "openidConfig": [format!("{discovery}/v2.0/.well-known/openid-configuration"),
                                 format!("{discovery}/.well-known/openid-configuration")],
                "audiences": ["a"], "allowedClients": ["c"], "strip": false,
            }}]),
            "",
        ),
        (
            "authentication-basic",
            r#"<authentication-basic username="me" password="{{key}}"/>"#,
            json!([{"backendAuth": {"basic": {"username": "me", "password": "${values.key}"}}}]),
            "",
        ),
        (
            "return-response",
            r#"<return-response><set-status code="302" reason="Found"/>
                 <set-header name="Location" exists-action="override"><value>https://a.example</value></set-header></return-response>"#,
            json!([{"returnResponse": {"status": 302, "headers": [{"name": "Location", "value": "https://a.example"}]}}]),
            "",
        ),
    ];
    let mut all = Vec::new();
    for (name, element, steps, said) in cases {
        let found = inbound(element);
        let inbound = &found.on_handshake["inbound"];
        assert_eq!(*inbound, steps, "{name}: {inbound:#}\n{}", found.said);
        let wanted: Vec<_> = said.split('|').filter(|text| !text.is_empty()).collect();
        assert_eq!(
            found.said.lines().count(),
            wanted.len(),
            "{name}: {}",
            found.said
        );
        for text in wanted {
            assert!(found.said.contains(text), "{name}: {text}: {}", found.said);
        }
        all.push((name.to_owned(), found));
    }
    assert_eq!(verdict(&all), "");
}

/// A request around which something stands.
const REQUEST: &str = r#"<send-request response-variable-name="r"><set-url>https://a.example/</set-url></send-request>"#;

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn what_an_element_has_besides_refuses() {
    let cases = [
        (
            r#"<send-request mode="copy" response-variable-name="r"/>"#,
            "only mode new",
        ),
        (
            r#"<send-request><set-url>https://a.example/</set-url></send-request>"#,
            "response-variable-name is missing",
        ),
        (
            r#"<send-request response-variable-name="r"/>"#,
            "set-url is missing",
        ),
        (
            r#"<send-request response-variable-name="r" timeout="@(1)"><set-url>https://a.example/</set-url></send-request>"#,
            "timeout is translated only when it is a number",
        ),
        (
            r#"<send-request response-variable-name="r" timeout="999"><set-url>https://a.example/</set-url></send-request>"#,
            "timeout must be above 0s and at most 5m",
        ),
        (
            r#"<send-request response-variable-name="r"><set-url>https://a.example/</set-url><set-method>BREW</set-method></send-request>"#,
            "BREW",
        ),
        (
            r#"<send-request response-variable-name="r"><set-url>https://a.example/</set-url><proxy url="http://p"/></send-request>"#,
            "proxy is not translated here",
        ),
        (
            r#"<send-request response-variable-name="r"><set-url>https://a.example/</set-url><set-body template="liquid">a</set-body></send-request>"#,
            "attribute template",
        ),
        (
            r#"<send-one-way-request mode="copy"><set-url>https://a.example/</set-url></send-one-way-request>"#,
            "only mode new",
        ),
        (
            r#"<retry condition="true" count="2" interval="1"><set-header name="A"><value>b</value></set-header></retry>"#,
            "around one send-request only",
        ),
        (
            &format!(r#"<retry condition="true" count="60" interval="1">{REQUEST}</retry>"#),
            "count",
        ),
        (
            &format!(
                r#"<retry condition="@(context.Region)" count="2" interval="1">{REQUEST}</retry>"#
            ),
            "Region",
        ),
        (
            r#"<wait><cache-lookup-value key="k" variable-name="v"/></wait>"#,
            "around send-request only",
        ),
        (&format!(r#"<wait for="most">{REQUEST}</wait>"#), "for most"),
        (
            r#"<cache-lookup-value key="k" variable-name="1st"/>"#,
            "cannot be translated",
        ),
        (
            r#"<cache-lookup-value key="k" variable-name="v" caching-type="none"/>"#,
            "caching-type none",
        ),
        (
            r#"<cache-store-value key="k" value="v" duration="@(1)"/>"#,
            "duration is translated only",
        ),
        (r#"<cache-remove-value/>"#, "attribute key is missing"),
        (
            r#"<cache-value key="k" variable-name="v"/>"#,
            "write it as cache-lookup-value",
        ),
        (
            r#"<rewrite-uri template="/{room}"/>"#,
            "no parameters in its path",
        ),
        (r#"<rewrite-uri/>"#, "attribute template is missing"),
        (
            r#"<rewrite-uri template="/y"/><set-backend-service base-url="wss://b.example"/>"#,
            "put it before",
        ),
        (
            r#"<set-backend-service backend-id="nobody"/>"#,
            "the backend nobody is not imported",
        ),
        (
            r#"<set-backend-service backend-id="mtls"/>"#,
            "certificate of the backend's credentials",
        ),
        (r#"<set-backend-service backend-id="pool"/>"#, "has no URL"),
        (
            r#"<set-backend-service sf-service-instance-name="a"/>"#,
            "attribute sf-service-instance-name",
        ),
        (r#"<limit-concurrency key="a"/>"#, "max-count is missing"),
        (r#"<limit-concurrency key="a" max-count="0"/>"#, "max"),
        (
            r#"<include-fragment fragment-id="nobody"/>"#,
            "the fragment nobody is not imported",
        ),
        (
            r#"<include-fragment fragment-id="broken"/>"#,
            "the fragment cannot be read",
        ),
        (
            r#"<include-fragment fragment-id="based"/>"#,
            "base is not allowed",
        ),
        (
            r#"<validate-azure-ad-token tenant-id="common"/>"#,
            "only one literal tenant",
        ),
        (
            r#"<validate-azure-ad-token tenant-id="t"><decryption-keys/></validate-azure-ad-token>"#,
            "decryption-keys",
        ),
        (
            r#"<authentication-certificate thumbprint="ab"/>"#,
            "clientCertificateRef",
        ),
        (
            r#"<get-authorization-context provider-id="a"/>"#,
            "stored authorizations are not supported",
        ),
        (r#"<proxy url="http://p.example"/>"#, "backend.proxy"),
        (
            r#"<find-and-replace from="a" to="b"/>"#,
            "find-and-replace is not translated",
        ),
        (
            r#"<quota calls="1" renewal-period="300"><api name="a" calls="1" renewal-period="300"/></quota>"#,
            "api is not translated here",
        ),
        (
            r#"<rate-limit calls="1" renewal-period="60" retry-in="1"/>"#,
            "attribute retry-in",
        ),
        (
            r#"<ip-filter action="allow"><address>@(context.Api.Id)</address></ip-filter>"#,
            "with an expression is not translated",
        ),
        (
            r#"<check-header name="@(context.Api.Id)"/>"#,
            "a name with an expression",
        ),
        (
            r#"<validate-jwt header-name="A"><issuer-signing-keys><key certificate-id="a"/></issuer-signing-keys></validate-jwt>"#,
            "certificate-id",
        ),
        (
            r#"<return-response><set-status code="200" reason="OK"/></return-response>"#,
            "status 200 to a handshake is no WebSocket",
        ),
        (
            r#"<set-header name="Host"><value>a.example</value></set-header>"#,
            "backend.hostHeader",
        ),
        (
            r#"<llm-token-limit counter-key="a" tokens-per-minute="1"/>"#,
            "quota with bandwidthKb",
        ),
        (
            r#"<send-request response-variable-name="r"><set-url>https://a.example/</set-url>
                 <set-header name="Host"><value>b.example</value></set-header></send-request>"#,
            "the header Host is set by the connection",
        ),
        (
            r#"<validate-jwt header-name="A"><openid-config url="https://a.example/{{tenant}}"/></validate-jwt>"#,
            "the value of {{tenant}} is not known",
        ),
        (
            r#"<validate-jwt header-name="{{name}}"><openid-config url="https://a.example/"/></validate-jwt>"#,
            "the value of {{name}} is not known",
        ),
        (
            r#"<validate-jwt header-name="@(context.Api.Name)"><openid-config url="https://a.example/"/></validate-jwt>"#,
            "header-name with an expression",
        ),
        (
            r#"<validate-azure-ad-token tenant-id="{{tenant}}"/>"#,
            "put the tenant in",
        ),
        (
            r#"<rate-limit calls="{{calls}}" renewal-period="60"/>"#,
            "the value of {{calls}} is not known",
        ),
        (
            r#"<set-variable name="a" value="@{ try { return 1; } catch { return 2; } }"/>"#,
            "try is not translated",
        ),
        (
            "<set-variable name=\"a\" value=\"@{\n var a = 1;\n foreach (var b in c) { }\n return a; }\"/>",
            "line 3 of the expression: a foreach loop is not translated",
        ),
        (
            r#"<set-variable name="a" value="@{ var list = new List<string>(); list.Add(&quot;a&quot;); return 1; }"/>"#,
            "the statement call of list.Add is not translated",
        ),
        (
            r#"<choose><when condition="@(context.Request.Url.Path == &quot;a&quot;)"><base/></when></choose>"#,
            "context.Request.OriginalUrl is the client's",
        ),
        (
            r#"<choose><when condition="@(context.Product.Id == &quot;Trial_Plan&quot;)"><base/></when></choose>"#,
            "cannot be the name of an object here",
        ),
        ("<return-response/>", "without set-status has status 200"),
        ("text", "text has no place here"),
    ];
    let mut all = Vec::new();
    for (i, (element, why)) in cases.into_iter().enumerate() {
        let found = inbound(element);
        assert!(found.said.contains(why), "{element}: {}", found.said);
        assert!(
            found.said.contains(": error: refuses with 501"),
            "{element}"
        );
        let all_steps = found.on_handshake.to_string() + &json!(found.fragments).to_string();
        assert!(all_steps.contains("\"status\":501"), "{element}");
        all.push((format!("refused-{i}"), found));
    }
    assert_eq!(verdict(&all), "");
}

#[test]
fn what_only_watches_is_left_out_with_a_warning() {
    for (element, why) in [
        (
            r#"<trace severity="loud"><message>a</message></trace>"#,
            "severity loud",
        ),
        (
            "<trace><message>@(context.Region)</message></trace>",
            "Region",
        ),
        (r#"<emit-metric name="1st"/>"#, "name"),
        (
            r#"<emit-metric name="a"><dimension name="Location"/></emit-metric>"#,
            "Location",
        ),
        (
            r#"<emit-metric name="a"><dimension name="API" value="b"/></emit-metric>"#,
            "api is already used",
        ),
        (
            r#"<log-to-eventhub logger-id="l">a</log-to-eventhub>"#,
            "not translated",
        ),
    ] {
        let found = inbound(element);
        let is_said = found
            .said
            .contains("warning: left out, without effect on handshakes")
            && found.said.contains(why);
        assert!(is_said, "{element}: {}", found.said);
        assert_eq!(found.on_handshake, json!({"inherit": false}), "{element}");
    }
}
