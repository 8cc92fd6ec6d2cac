//! Policies: what expressions and the schema cannot tell.

use serde_json::{Value, json};
use tidegate_plan::Conditions;

use crate::support::{api_reasons, api_verdict, edge, empty, key, pair, reasons, served};

fn inbound(step: Value) -> Value {
    json!({"onHandshake": {"inbound": [step]}})
}

#[test]
fn good_steps_are_accepted() {
    for (name, patch) in [
        (
            "condition",
            inbound(
                json!({"when": "request.method == \"GET\"", "returnResponse": {"status": 403}}),
            ),
        ),
        (
            "template",
            inbound(json!({"setHeader": {"name": "X-Ip", "values": ["${client.ip}"]}})),
        ),
        (
            "value",
            inbound(json!({"setVariable": {"name": "a", "value": "1 + 2"}})),
        ),
        (
            "addresses",
            inbound(json!({"ipFilter": {"allow": ["10.0.0.0/8", "10.0.0.1-10.0.0.9", "::1"]}})),
        ),
        (
            "computed backend",
            inbound(json!({"setBackend": {"url": "ws://${request.host}/x"}})),
        ),
        (
            "a member by name",
            json!({
                "backend": {"url": null, "pool": [{"url": "ws://a", "name": "green"}]},
                "onHandshake": {"inbound": [
                    {"setBackend": {"ref": "green"}}, {"setBackend": {"ref": "${request.host}"}},
                ]},
            }),
        ),
        (
            "the client's host for the backend",
            json!({
                "backend": {"url": "ws://a", "hostHeader": "${request.authority}-${values.tier}"},
                "values": [{"name": "tier", "value": "gold"}],
            }),
        ),
        (
            "computed path",
            inbound(json!({"rewritePath": {"path": "/a/${request.params.room}/b"}})),
        ),
        (
            "increment that waits for the answer",
            inbound(json!({"rateLimitByKey": {
                "key": "client.ip", "calls": 3, "period": "10s", "incrementWhen": "response.status == 401",
            }})),
        ),
        (
            "outbound",
            json!({"onHandshake": {"outbound": [{"when": "response.status == 101", "setHeader": {"name": "X", "values": ["1"]}}]}}),
        ),
        (
            "onError",
            json!({"onHandshake": {"onError": [{"when": "error.reason == \"x\"", "returnResponse": {"status": 418}}]}}),
        ),
        (
            "base",
            json!({"onHandshake": {"inbound": [{"base": {}}], "outbound": [{"base": {}}]}}),
        ),
        (
            "certificates",
            inbound(
                json!({"validateClientCertificate": {"identities": [{"serialNumber": "00:AB"}], "trust": false}}),
            ),
        ),
        (
            "metric",
            inbound(
                json!({"emitMetric": {"name": "n", "value": "${1 + 1}", "labels": [{"name": "a", "value": "x"}]}}),
            ),
        ),
        (
            "greeting",
            json!({"onHandshake": {"outbound": [{"onOpen": {"sendText": "hello ${client.ip}"}}]}}),
        ),
        (
            "users",
            inbound(json!({"basicAuth": {"usersSecretRef": {"name": "users", "key": "good"}}})),
        ),
        (
            "remote keys",
            inbound(
                json!({"validateJwt": {"openidConfig": ["https://id.example/c"], "algorithms": ["RS256"]}}),
            ),
        ),
    ] {
        let users: &[u8] = b"ada:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n";
        let world = edge().secret("users", &[("good", users)]);
        let plan = world.api("chat", patch).plan();
        let verdict = &api_verdict(&plan, "chat").conditions;
        assert!(
            verdict.accepted.status && verdict.resolved.status,
            "{name}: {verdict:?}"
        );
        assert_eq!(
            served(&plan, "edge", "chat").unwrap().blocked,
            None,
            "{name}"
        );
    }
}

#[test]
fn a_token_of_the_service_account_needs_the_consent_of_each_gateway() {
    let token = json!({"serviceAccountToken": {"audience": "vault"}});
    let client = json!({
        "tokenUrl": "https://id.example/token", "clientId": "c", "clientAssertion": token,
    });
    let request = json!({"as": "a", "url": "https://a.example", "auth": {"oauth2": client}});
    for (step, place) in [
        (
            json!({ "backendAuth": token }),
            "backendAuth.serviceAccountToken.audience",
        ),
        (
            json!({"backendAuth": {"oauth2ClientCredentials": client}}),
            "backendAuth.oauth2ClientCredentials.clientAssertion.serviceAccountToken.audience",
        ),
        (
            json!({"backendAuth": {"oauth2TokenExchange": {
                "tokenUrl": "https://id.example/token", "audience": "a", "subjectToken": token,
            }}}),
            "backendAuth.oauth2TokenExchange.subjectToken.serviceAccountToken.audience",
        ),
        (
            json!({"backendAuth": {"awsSigV4": {
                "service": "execute-api", "region": "eu-west-1",
                "roleArn": "arn:aws:iam::123456789012:role/edge", "webIdentityToken": token,
            }}}),
            "backendAuth.awsSigV4.webIdentityToken.serviceAccountToken.audience",
        ),
        (
            json!({ "sendRequest": request }),
            "sendRequest.auth.oauth2.clientAssertion.serviceAccountToken.audience",
        ),
        (
            json!({"sendRequests": {"requests": [request]}}),
            "sendRequests.requests[0].auth.oauth2.clientAssertion.serviceAccountToken.audience",
        ),
        (
            json!({"notify": {"url": "https://a.example", "auth": {"oauth2": client}}}),
            "notify.auth.oauth2.clientAssertion.serviceAccountToken.audience",
        ),
    ] {
        let on = json!({"onHandshake": {"inbound": [step]}});
        needs_consent(&on, &format!("spec.onHandshake.inbound[0].{place}: "));
    }
}

/// An object with these policies is accepted where the Gateway lists `vault`, and nowhere else.
fn needs_consent(on: &Value, place: &str) {
    let deployment = |audiences: &[&str]| json!({"deployment": {"tokenAudiences": audiences}});
    for (name, there, fits) in [
        ("named", &["other", "vault"][..], true),
        ("not named", &["other"], false),
        ("none", &[], false),
    ] {
        let check = |verdict: &Conditions| {
            assert_eq!(verdict.accepted.status, fits, "{name}: {verdict:?}");
            let said = &verdict.accepted.message;
            assert!(fits || said.starts_with(place), "{name}: {said}");
        };
        let world = empty().gateway("edge", deployment(there));
        let plan = world.api("chat", on.clone()).plan();
        check(&api_verdict(&plan, "chat").conditions);
        let mut own = deployment(there);
        own["onHandshake"] = on["onHandshake"].clone();
        let plan = empty().gateway("edge", own).plan();
        check(&plan.gateway_verdicts[&key("edge")].conditions);
        let world = empty()
            .gateway("edge", deployment(there))
            .api("chat", json!({}));
        let mut product = on.clone();
        product["apis"] = json!([{"name": "chat"}]);
        let plan = world.product("bundle", product).plan();
        check(&plan.product_verdicts[&key("bundle")].conditions);
    }
}

#[test]
fn bad_steps_are_named_by_their_place() {
    let cases = [
        (
            "unknown variable",
            inbound(json!({"setHeader": {"name": "X", "values": ["ok", "${clinet.ip}"]}})),
            "InvalidExpression",
            "spec.onHandshake.inbound[0].setHeader.values[1]: at ",
        ),
        (
            "unknown variable in the Host header",
            json!({"backend": {"url": "ws://a", "hostHeader": "${request.hots}"}}),
            "InvalidExpression",
            "spec.backend.hostHeader: at ",
        ),
        (
            "the answer in the Host header",
            json!({"backend": {"url": "ws://a", "hostHeader": "${response.status}"}}),
            "InvalidExpression",
            "spec.backend.hostHeader: at ",
        ),
        (
            "no Host header",
            json!({"backend": {"url": "ws://a", "hostHeader": "$${a}"}}),
            "Invalid",
            "spec.backend.hostHeader: \"${a}\" is neither host nor host:port",
        ),
        (
            "no Host header either",
            json!({"backend": {"url": "ws://a", "hostHeader": "a:b"}}),
            "Invalid",
            "spec.backend.hostHeader: \"a:b\" is neither host nor host:port",
        ),
        (
            "condition that is no bool",
            inbound(json!({"when": "1 + 2", "setVariable": {"name": "a", "value": "1"}})),
            "InvalidExpression",
            "spec.onHandshake.inbound[0].when: at ",
        ),
        (
            "response before there is one",
            inbound(
                json!({"when": "response.status == 101", "setVariable": {"name": "a", "value": "1"}}),
            ),
            "InvalidExpression",
            "spec.onHandshake.inbound[0].when: at ",
        ),
        (
            "no address",
            inbound(json!({"ipFilter": {"forbid": ["10.0.0.1", "example.com"]}})),
            "Invalid",
            "spec.onHandshake.inbound[0].ipFilter.forbid[1]: \"example.com\" is not an address",
        ),
        (
            "restricted header",
            inbound(json!({"setHeader": {"name": "Connection", "values": ["x"]}})),
            "Invalid",
            "spec.onHandshake.inbound[0].setHeader.name: Connection belongs to the handshake",
        ),
        (
            "where a request has been",
            inbound(json!({"setHeader": {"name": "Via", "ifExists": "Delete"}})),
            "Invalid",
            "spec.onHandshake.inbound[0].setHeader.name: Via belongs to the handshake",
        ),
        (
            "backend that is no WebSocket",
            inbound(json!({"setBackend": {"url": "http://chat"}})),
            "Invalid",
            "spec.onHandshake.inbound[0].setBackend.url: \"http://chat\" must begin with ws://",
        ),
        (
            "credentials in a restricted header",
            inbound(
                json!({"backendAuth": {"header": "Host", "basic": {"username": "u", "password": "p"}}}),
            ),
            "Invalid",
            "spec.onHandshake.inbound[0].backendAuth.header: Host belongs to the handshake",
        ),
        (
            "credentials that read what is not there",
            inbound(
                json!({"backendAuth": {"basic": {"username": "u", "password": "${valeus.p}"}}}),
            ),
            "InvalidExpression",
            "spec.onHandshake.inbound[0].backendAuth.basic.password: at ",
        ),
        (
            "server that can have no such name",
            inbound(json!({"notify": {"url": "https://a", "tls": {"serverName": "a b"}}})),
            "Invalid",
            "spec.onHandshake.inbound[0].notify.tls.serverName: \"a b\" is neither a DNS name",
        ),
        (
            "request to another scheme",
            inbound(json!({"sendRequest": {"as": "x", "url": "ftp://a/b"}})),
            "Invalid",
            "spec.onHandshake.inbound[0].sendRequest.url: \"ftp://a/b\" must begin with http://",
        ),
        (
            "request with a restricted header",
            inbound(
                json!({"sendRequest": {"as": "x", "url": "http://a", "headers": [{"name": "Host", "value": "b"}]}}),
            ),
            "Invalid",
            "spec.onHandshake.inbound[0].sendRequest.headers[0].name: Host belongs to",
        ),
        (
            "request whose waits shrink",
            inbound(
                json!({"sendRequest": {"as": "x", "url": "http://a", "retry": {"count": 1, "maxInterval": "1ms"}}}),
            ),
            "Invalid",
            "spec.onHandshake.inbound[0].sendRequest.retry: maxInterval must not be shorter",
        ),
        (
            "key that is no expression",
            inbound(
                json!({"sendRequest": {"as": "x", "url": "http://a", "cache": {"key": "1 +", "for": "1s"}}}),
            ),
            "InvalidExpression",
            "spec.onHandshake.inbound[0].sendRequest.cache.key: at ",
        ),
        (
            "requests that share a variable",
            inbound(
                json!({"sendRequests": {"requests": [{"as": "x", "url": "http://a"}, {"as": "x", "url": "http://b"}]}}),
            ),
            "Invalid",
            "spec.onHandshake.inbound[0].sendRequests.requests[1].as: another request",
        ),
        (
            "notification to another scheme",
            inbound(json!({"notify": {"url": "mailto:a@b"}})),
            "Invalid",
            "spec.onHandshake.inbound[0].notify.url: \"mailto:a@b\" must begin with http://",
        ),
        (
            "copied header that belongs to the handshake",
            inbound(json!({"externalAuth": {"url": "http://a", "copyHeaders": ["Upgrade"]}})),
            "Invalid",
            "spec.onHandshake.inbound[0].externalAuth.copyHeaders[0]: Upgrade belongs to",
        ),
        (
            "sent header that belongs to the handshake",
            inbound(
                json!({"externalAuth": {"url": "http://a", "sendHeaders": ["Cookie", "host"]}}),
            ),
            "Invalid",
            "spec.onHandshake.inbound[0].externalAuth.sendHeaders[1]: host belongs to",
        ),
        (
            "path that climbs",
            inbound(json!({"rewritePath": {"path": "/a/%2E%2e/b"}})),
            "Invalid",
            "spec.onHandshake.inbound[0].rewritePath.path: the path has a segment . or ..",
        ),
        (
            "path that climbs between expressions",
            inbound(json!({"rewritePath": {"path": "/a/${request.id}/..;x"}})),
            "Invalid",
            "spec.onHandshake.inbound[0].rewritePath.path: the path has a segment . or ..",
        ),
        (
            "URL that climbs",
            inbound(json!({"externalAuth": {"url": "http://a/${request.id}/../b"}})),
            "Invalid",
            "spec.onHandshake.inbound[0].externalAuth.url: the path has a segment . or ..",
        ),
        (
            "URL with a fragment",
            inbound(json!({"notify": {"url": "http://a/b#c"}})),
            "Invalid",
            "spec.onHandshake.inbound[0].notify.url: it contains a #",
        ),
        (
            "backend that climbs",
            inbound(json!({"setBackend": {"url": "ws://a/b/../c"}})),
            "Invalid",
            "spec.onHandshake.inbound[0].setBackend.url: \"ws://a/b/../c\" cannot be used: the path has",
        ),
        (
            "route that climbs",
            json!({"path": "/a/%2e%2e/b"}),
            "Invalid",
            "spec.path: has a segment . or .. (perhaps encoded), which no request can reach",
        ),
        (
            "a permission for a short secret without a secret",
            inbound(json!({"backendAuth": {"signedJwt": {
                "algorithm": "ES256", "secretRef": {"name": "jwt", "key": "hmac"}, "allowShortSecret": true,
            }}})),
            "Invalid",
            "spec.onHandshake.inbound[0].backendAuth.signedJwt.secretRef: allowShortSecret is only for HS256",
        ),
        (
            "restricted header in an answer",
            inbound(
                json!({"returnResponse": {"status": 400, "headers": [{"name": "Upgrade", "value": "h2c"}]}}),
            ),
            "Invalid",
            "spec.onHandshake.inbound[0].returnResponse.headers[0].name: Upgrade belongs to",
        ),
        (
            "no policy",
            inbound(json!({"id": "empty"})),
            "Invalid",
            "spec.onHandshake.inbound[0]: a step must name exactly one policy",
        ),
        (
            "base twice",
            json!({"onHandshake": {"onError": [{"base": {}}, {"base": {}}]}}),
            "Invalid",
            "spec.onHandshake.onError[1]: a section may have only one base step",
        ),
        (
            "weak RSA key",
            inbound(json!({"validateJwt": {"keys": [{"n": "AQAB", "e": "AQAB"}]}})),
            "Invalid",
            "spec.onHandshake.inbound[0].validateJwt.keys[0]: n and e must be",
        ),
        (
            "algorithm that no key fits",
            inbound(json!({"validateJwt": {
                "keys": [{"secretKeyRef": {"name": "jwt", "key": "hmac"}}], "algorithms": ["RS256", "ES256"],
            }})),
            "Invalid",
            "spec.onHandshake.inbound[0].validateJwt.algorithms: no key fits",
        ),
        (
            "a scheme where there is no header",
            inbound(
                json!({"validateJwt": {"query": "t", "requireScheme": "Bearer", "jwks": ["https://id.example/j"]}}),
            ),
            "Invalid",
            "spec.onHandshake.inbound[0].validateJwt: requireScheme needs",
        ),
        (
            "metric with a label of ours",
            inbound(
                json!({"emitMetric": {"name": "n", "labels": [{"name": "api", "value": "x"}]}}),
            ),
            "Invalid",
            "spec.onHandshake.inbound[0].emitMetric.labels: there is already a label \"api\"",
        ),
        (
            "metric that falls",
            inbound(json!({"emitMetric": {"name": "n", "value": "-1"}})),
            "Invalid",
            "spec.onHandshake.inbound[0].emitMetric.value: \"-1\" is not a number of 0 or more",
        ),
        (
            "identity that fits every certificate",
            inbound(
                json!({"validateClientCertificate": {"identities": [{"dnsName": "a.example"}, {}]}}),
            ),
            "Invalid",
            "spec.onHandshake.inbound[0].validateClientCertificate.identities[1]: an identity must name",
        ),
        (
            "thumbprint that is none",
            inbound(
                json!({"validateClientCertificate": {"identities": [{"thumbprint": "ab:cd"}]}}),
            ),
            "Invalid",
            "spec.onHandshake.inbound[0].validateClientCertificate.identities[0].thumbprint: \"ab:cd\" is not a thumbprint",
        ),
        (
            "template with a name twice",
            json!({"path": "/{a}/{a}", "pathMatch": "Template"}),
            "Invalid",
            "spec.path: {a} occurs twice",
        ),
        (
            "backend with a password",
            json!({"backend": {"url": "ws://user:hidden@chat"}}),
            "Invalid",
            "spec.backend.url: the URL must not contain a user or password",
        ),
        (
            "proxy with a password",
            json!({"backend": {"url": "ws://chat", "proxy": {"url": "http://user:hidden@proxy"}}}),
            "Invalid",
            "spec.backend.proxy.url: must be http://host:port",
        ),
        (
            "pool with a password",
            json!({"backend": {"url": null, "pool": [{"url": "ws://a"}, {"url": "ws://user:hidden@chat"}]}}),
            "Invalid",
            "spec.backend.pool[1].url: the URL must not contain a user or password",
        ),
        (
            "pool with another path",
            json!({"backend": {"url": null, "pool": [{"url": "ws://a/x"}, {"url": "ws://b/y"}]}}),
            "Invalid",
            "spec.backend.pool[1].url: path and query must be the same as those of the first member",
        ),
        (
            "pool with a name twice",
            json!({"backend": {"url": null, "pool": [{"url": "ws://a", "name": "x"}, {"url": "ws://b", "name": "x"}]}}),
            "Invalid",
            "spec.backend.pool[1].name: another member already has this name",
        ),
        (
            "a member that is not there",
            json!({
                "backend": {"url": null, "pool": [{"url": "ws://a", "name": "green"}, {"url": "ws://b"}]},
                "onHandshake": {"inbound": [{"setBackend": {"ref": "red"}}]},
            }),
            "Invalid",
            "spec.onHandshake.inbound[0].setBackend.ref: no member of backend.pool is called \"red\": the names are green",
        ),
        (
            "a member without a pool",
            inbound(json!({"setBackend": {"ref": "red"}})),
            "Invalid",
            "spec.onHandshake.inbound[0].setBackend.ref: no member of backend.pool has a name",
        ),
        (
            "pool with a member twice",
            json!({"backend": {"url": null, "pool": [{"url": "ws://a"}, {"url": "ws://A:80/"}]}}),
            "Invalid",
            "spec.backend.pool[1].url: another member already has this host and port",
        ),
        (
            "statuses that end before they begin",
            json!({"backend": {"url": null, "pool": [{"url": "ws://a"}], "failover": {"statuses": [429, "599-500"]}}}),
            "Invalid",
            "spec.backend.failover.statuses[1]: 599-500 ends before it begins",
        ),
        (
            "key in the header that tells where a request has been",
            json!({"subscriptionKey": {"header": "via"}}),
            "Invalid",
            "spec.subscriptionKey.header: via belongs to the handshake",
        ),
        (
            "key in a header of the handshake",
            json!({"subscriptionKey": {"header": "Sec-WebSocket-Protocol"}}),
            "Invalid",
            "spec.subscriptionKey.header: Sec-WebSocket-Protocol belongs to the handshake",
        ),
        (
            "key in a subprotocol that the backend speaks",
            json!({"subscriptionKey": {"subprotocol": "chat"}, "subprotocols": ["v1", "chat.v2"]}),
            "Invalid",
            "spec.subscriptionKey.subprotocol: the subprotocol chat.v2 of spec.subprotocols begins with chat",
        ),
        (
            "value twice",
            json!({"values": [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]}),
            "Invalid",
            "spec.values[1]: there is already a value \"a\"",
        ),
        (
            "too large",
            json!({"onHandshake": {"onError": (0..32).map(|_| json!({"returnResponse": {"status": 400, "body": "x".repeat(16384)}})).collect::<Vec<_>>()}}),
            "TooLarge",
            "spec.onHandshake and spec.values have ",
        ),
    ];
    for (name, patch, reason, message) in cases {
        let plan = edge()
            .secret("jwt", &[("hmac", b"a secret of thirty-two bytes....")])
            .api("chat", patch)
            .plan();
        assert_eq!(
            api_reasons(&plan, "chat"),
            pair(reason, "ResolvedRefs"),
            "{name}"
        );
        let said = &api_verdict(&plan, "chat").conditions.accepted.message;
        assert!(said.starts_with(message), "{name}: {said}");
        assert!(!said.contains("hidden"), "{name}: {said}");
    }
}

#[test]
fn an_expression_error_suggests_the_nearest_name() {
    let patch = inbound(json!({"setHeader": {"name": "X", "values": ["${clinet.ip}"]}}));
    let plan = edge().api("chat", patch).plan();
    let said = &api_verdict(&plan, "chat").conditions.accepted.message;
    assert!(said.contains("clinet") && said.contains("client"), "{said}");
}

#[test]
fn many_problems_are_counted() {
    let steps: Vec<_> = (0..5)
        .map(|_| json!({"setBackend": {"url": "http://x"}}))
        .collect();
    let plan = edge()
        .api("chat", json!({"onHandshake": {"inbound": steps}}))
        .plan();
    let said = &api_verdict(&plan, "chat").conditions.accepted.message;
    assert!(
        said.contains("inbound[2]") && said.contains("; and 2 more"),
        "{said}"
    );
}

#[test]
fn gateways_and_products_are_checked_alike() {
    let patch = inbound(json!({"setHeader": {"name": "X", "values": ["${nope}"]}}));
    let plan = edge()
        .gateway("bad", patch.clone())
        .gateway(
            "proxies",
            json!({"trustedProxies": ["10.0.0.0/8", "10.0.0.0/99"]}),
        )
        .api("chat", json!({}))
        .product("gold", patch)
        .plan();
    for (name, verdict) in [
        ("bad", &plan.gateway_verdicts[&key("bad")].conditions),
        ("gold", &plan.product_verdicts[&key("gold")].conditions),
    ] {
        let found = reasons(&verdict.accepted, &verdict.resolved);
        assert_eq!(found, pair("InvalidExpression", "ResolvedRefs"), "{name}");
    }
    let proxies = &plan.gateway_verdicts[&key("proxies")].conditions.accepted;
    assert_eq!(
        proxies.message,
        "spec.trustedProxies[1]: \"10.0.0.0/99\" is not an address or CIDR"
    );
    let rendered = &plan.gateways[&key("proxies")]
        .config
        .settings
        .trusted_proxies;
    assert_eq!(rendered, &["10.0.0.0/8"]);
}

#[test]
fn where_spans_go_is_rendered() {
    let endpoint = "https://collector.example.com/v1/traces";
    let patch = json!({"telemetry": {"traces": {"endpoint": endpoint}}});
    let plan = edge().gateway("told", patch).plan();
    let telemetry = |name: &str| &plan.gateways[&key(name)].config.settings.telemetry;
    let traces = telemetry("told").traces.as_ref().unwrap();
    assert_eq!((&*traces.endpoint, traces.sample_percent), (endpoint, 100));
    assert!(telemetry("edge").is_off());
}

fn reads(name: &str) -> Value {
    inbound(json!({"setHeader": {"name": "X", "values": [format!("a ${{values.{name}}}")]}}))
}

fn value(name: &str) -> Value {
    json!({"values": [{"name": name, "value": "1"}]})
}

#[test]
fn a_named_value_must_be_there_in_one_of_the_scopes() {
    let with = |mut patch: Value, name: &str| {
        patch["values"] = value(name)["values"].clone();
        patch
    };
    let gold = |patch: Value| {
        let mut spec = json!({"apis": [{"name": "chat"}]});
        spec.as_object_mut()
            .unwrap()
            .extend(patch.as_object().unwrap().clone());
        spec
    };
    let two = json!({"gateways": [{"name": "edge"}, {"name": "other"}]});
    let both = |patch: Value| {
        let mut patch = patch;
        patch["gateways"] = two["gateways"].clone();
        patch
    };
    let there = "spec.onHandshake.inbound[0].setHeader.values[0]: at 11: there is no named value";
    for (name, world, expected) in [
        ("its own", edge().api("chat", with(reads("tenant"), "tenant")), None),
        (
            "the Gateway's",
            edge().gateway("edge", value("tenant")).api("chat", reads("tenant")),
            None,
        ),
        (
            "a product's",
            edge().product("gold", gold(value("tenant"))).api("chat", reads("tenant")),
            None,
        ),
        (
            "asked for first",
            edge().api("chat", inbound(json!({
                "when": "has(values.tenant) && values.tenant == '1'", "setVariable": {"name": "a", "value": "1"},
            }))),
            None,
        ),
        (
            "nobody's",
            edge().gateway("edge", value("tenant")).api("chat", reads("tenent")),
            Some(format!("{there} \"tenent\" here, did you mean \"tenant\"?")),
        ),
        (
            "of one Gateway of two",
            edge()
                .gateway("edge", value("tenant"))
                .gateway("other", json!({}))
                .api("chat", both(reads("tenant"))),
            Some(format!("{there} \"tenant\" here")),
        ),
    ] {
        let plan = world.plan();
        let accepted = &api_verdict(&plan, "chat").conditions.accepted;
        match expected {
            None => assert!(accepted.status, "{name}: {}", accepted.message),
            Some(expected) => {
                assert_eq!(api_reasons(&plan, "chat").0, "InvalidExpression", "{name}");
                assert!(accepted.message.starts_with(&expected), "{name}: {}", accepted.message);
            }
        }
    }
}

#[test]
fn wider_scopes_do_not_see_the_values_of_narrower_ones() {
    let mut gold = reads("tenant");
    gold["apis"] = json!([{"name": "chat"}]);
    let plan = edge()
        .gateway("edge", reads("tenant"))
        .product("gold", gold)
        .api("chat", value("tenant"))
        .plan();
    for verdict in [
        &plan.gateway_verdicts[&key("edge")].conditions,
        &plan.product_verdicts[&key("gold")].conditions,
    ] {
        assert_eq!(verdict.accepted.reason.to_string(), "InvalidExpression");
        assert!(
            verdict.accepted.message.contains("\"tenant\""),
            "{verdict:?}"
        );
    }
}
