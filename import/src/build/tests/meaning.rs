//! What could mean something else without a word: it is right, or it is said.

use super::*;

fn policy(api: &str, text: &str) -> Value {
    let properties = json!({"value": text, "format": "rawxml"});
    resource(
        "apis/operations/policies",
        &format!("{api}/onHandshake/policy"),
        properties,
    )
}

fn inbound(steps: &str) -> String {
    format!("<policies><inbound><base/>{steps}</inbound></policies>")
}

fn steps(objects: &[Value]) -> &Value {
    &one(objects, "WebSocketApi")["spec"]["onHandshake"]["inbound"]
}

#[test]
fn ids_are_compared_by_the_names_of_their_objects() {
    let condition = |of: &str| {
        format!(
            "<choose><when condition='@({of})'><return-response><set-status code='403' reason='no'/></return-response></when></choose>"
        )
    };
    let all = [
        r#"context.Product?.Id == "Try_Out""#,
        r#"context.Api.Id == "ChatAPI""#,
        r#"context.Product?.Id == "Elsewhere""#,
    ];
    let header = "<set-header name='X-Api'><value>@(context.Api.Id)</value></set-header>";
    let document = inbound(&(all.map(condition).concat() + header));
    let mut api = chat(json!({}));
    api["name"] = json!("apim/ChatAPI");
    let (objects, said) = built(&json!([
        api,
        policy("ChatAPI", &document),
        resource("products", "Try_Out", json!({"state": "published"})),
        resource("products/apis", "Try_Out/ChatAPI", json!({})),
    ]));
    let steps = steps(&objects);
    assert_eq!(
        steps[1]["when"],
        "(product.?name.orValue(null) == \"try-out\")"
    );
    assert_eq!(steps[2]["when"], "(api.name == \"chatapi\")");
    assert_eq!(steps[3]["returnResponse"]["status"], 501, "{steps:#}");
    assert!(
        said.contains("\"Elsewhere\" is compared, and the object is not part"),
        "{said}"
    );
    assert_eq!(steps[4]["setHeader"]["values"][0], "${api.name}");
    assert!(
        said.contains("warning: in the document") && said.contains("not its id there"),
        "{said}"
    );
}

#[test]
fn named_values_stand_where_policies_read_them() {
    let value = |name: &str, value: &str| {
        resource(
            "namedValues",
            name,
            json!({"displayName": name, "value": value}),
        )
    };
    let document = inbound(
        r#"<set-header name="X-Caller"><value>{{caller}}</value></set-header>
           <validate-jwt header-name="{{header}}"><openid-config url="https://login.example/{{tenant}}/c"/></validate-jwt>
           <rate-limit-by-key calls="{{calls}}" renewal-period="60" counter-key="{{caller}}"/>
           <choose><when condition="{{test}}"><set-header name="X-B"><value>{{tenant}}</value></set-header></when></choose>
           <set-header name="X-C"><value>by {{caller}}</value></set-header>"#,
    );
    let (objects, said) = built(&json!([
        chat(json!({})),
        policy("chat", &document),
        value("caller", "@(context.Request.IpAddress)"),
        value("tenant", "11111111"),
        value("calls", "20"),
        value("header", "X-Token"),
        value("test", "@(context.Request.IpAddress == \"{{tenant}}\")"),
    ]));
    let steps = steps(&objects);
    assert_eq!(steps[1]["setHeader"]["values"][0], "${client.ip}");
    assert_eq!(
        steps[2]["validateJwt"]["openidConfig"][0],
        "https://login.example/11111111/c"
    );
    assert_eq!(steps[2]["validateJwt"]["header"], "X-Token");
    assert_eq!(steps[3]["rateLimitByKey"]["calls"], 20);
    assert_eq!(steps[3]["rateLimitByKey"]["key"], "client.ip");
    assert_eq!(steps[4]["when"], "(client.ip == values.tenant)");
    assert_eq!(steps[5]["returnResponse"]["status"], 501);
    assert!(
        said.contains("{{caller}} is an expression, and stands inside a text"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn the_type_of_an_api_is_known_or_asked_for() {
    let api = |name: &str, kind: Value| {
        let mut api = chat(kind);
        api["name"] = json!(format!("apim/{name}"));
        api["properties"]["path"] = json!(name);
        api
    };
    let (objects, said) = built(&json!([
        api("a", json!({"type": "WebSocket"})),
        api("b", json!({"type": null, "apiType": "websocket"})),
        api(
            "c",
            json!({"type": "[parameters('kind')]", "apiType": "websocket"})
        ),
        api("d", json!({"type": "[parameters('kind')]"})),
        api("e", json!({"type": "http"})),
    ]));
    let names: Vec<_> = objects
        .iter()
        .filter(|o| o["kind"] == "WebSocketApi")
        .collect();
    assert_eq!(names.len(), 3, "{objects:#?}");
    assert!(
        said.contains("error: skipped: the type of the API d is not known"),
        "{said}"
    );
    assert!(
        said.contains("note: skipped: the API e is of type http"),
        "{said}"
    );
}

#[test]
fn circuit_breakers_of_a_pool_are_kept_if_they_are_the_same() {
    let member = |name: &str, count: u32| {
        let failure = json!({"count": count, "interval": "PT10S", "statusCodeRanges": [{"min": 429, "max": 429}]});
        let rule = json!({"name": "busy", "failureCondition": failure, "tripDuration": "PT10S"});
        let url = format!("https://{name}.example/rt");
        resource(
            "backends",
            name,
            json!({"url": url, "circuitBreaker": {"rules": [rule]}}),
        )
    };
    let services =
        json!([{"id": "/backends/north", "priority": 1}, {"id": "/backends/south", "priority": 2}]);
    let pool = resource(
        "backends",
        "both",
        json!({"type": "Pool", "pool": {"services": services}}),
    );
    let chosen = inbound("<set-backend-service backend-id='both'/>");
    for (other, wanted) in [(2, Some(2)), (3, None)] {
        let (objects, said) = built(&json!([
            chat(json!({})),
            policy("chat", &chosen),
            member("north", 2),
            member("south", other),
            pool,
        ]));
        let backend = &one(&objects, "WebSocketApi")["spec"]["backend"];
        let count = backend["circuitBreaker"]["consecutiveFailures"].as_u64();
        assert_eq!(count, wanted, "{backend}");
        let statuses = wanted.map(|_| json!([429]));
        assert_eq!(backend["circuitBreaker"].get("statuses"), statuses.as_ref());
        let text = match wanted {
            Some(_) => "counts failures in a row here",
            None => "circuit breakers of the members of the pool both are left out",
        };
        assert!(said.contains(text), "{said}");
    }
}

/// Two members, and a pool of them.
fn pool_with(properties: Value) -> [Value; 3] {
    let member = |name: &str| {
        let mut own = properties.clone();
        own["url"] = json!(format!("https://{name}.example/rt"));
        resource("backends", name, own)
    };
    let services = json!([{"id": "/backends/north"}, {"id": "/backends/south", "priority": 2}]);
    let pool = json!({"type": "Pool", "pool": {"services": services}});
    [
        member("north"),
        member("south"),
        resource("backends", "both", pool),
    ]
}

#[test]
fn a_retry_of_a_pool_asks_its_next_member() {
    let document = |condition: &str| {
        let chosen = "<inbound><base/><set-backend-service backend-id='both'/></inbound>";
        format!(
            "<policies>{chosen}<backend><retry count='2' interval='1' condition='@({condition})'><forward-request/></retry></backend></policies>"
        )
    };
    let statuses = "context.Response.StatusCode == 429 || context.Response.StatusCode >= 500";
    for (condition, wanted, text) in [
        (
            statuses,
            json!({"statuses": [429, "500-599"]}),
            "becomes backend.failover with the statuses 429, 500-599",
        ),
        (
            "context.Response.StatusCode >= 400",
            Value::Null,
            "a single client can cause",
        ),
    ] {
        let [north, south, pool] = pool_with(json!({}));
        let (objects, said) = built(&json!([
            chat(json!({})),
            policy("chat", &document(condition)),
            north,
            south,
            pool
        ]));
        let backend = &one(&objects, "WebSocketApi")["spec"]["backend"];
        assert_eq!(backend["failover"], wanted, "{said}");
        assert!(said.contains(text), "{said}");
    }
    // Choosing the same pool again changes nothing; choosing another one does.
    let choosing = |id: &str| {
        let again = format!("<set-backend-service backend-id='{id}'/><forward-request/>");
        document(statuses).replace("<forward-request/>", &again)
    };
    for (again, wanted) in [("both", json!([429, "500-599"])), ("north", Value::Null)] {
        let [north, south, pool] = pool_with(json!({}));
        let document = policy("chat", &choosing(again));
        let (objects, said) = built(&json!([chat(json!({})), document, north, south, pool]));
        let backend = &one(&objects, "WebSocketApi")["spec"]["backend"];
        assert_eq!(backend["failover"]["statuses"], wanted, "{said}");
        let refuses = steps(&objects).to_string().contains("501");
        assert_eq!(refuses, wanted.is_null(), "{said}");
    }
    let alone = document(statuses).replace("both", "north");
    let [north, ..] = pool_with(json!({}));
    let (objects, said) = built(&json!([chat(json!({})), policy("chat", &alone), north]));
    assert_eq!(
        one(&objects, "WebSocketApi")["spec"]["backend"]["failover"],
        Value::Null
    );
    assert!(
        said.contains("a backend without a pool is asked once"),
        "{said}"
    );
}

#[test]
fn a_managed_identity_of_a_backend_is_one_of_the_gateway() {
    let identity =
        json!({"managedIdentity": {"resource": "https://ai.azure.com/", "clientId": null}});
    let own =
        json!({"managedIdentity": {"resource": "https://ai.azure.com/", "clientId": "theirs"}});
    let chosen = |id: &str| inbound(&format!("<set-backend-service backend-id='{id}'/>"));
    let [_, mut south, pool] = pool_with(json!({"credentials": own}));
    let [north, ..] = pool_with(json!({"credentials": own}));
    let under_a_condition = "<choose><when condition='@(context.Request.Method == \"GET\")'><set-backend-service backend-id='north'/></when></choose>";
    let [unnamed, ..] = pool_with(json!({"credentials": identity}));
    for (name, document, member, client) in [
        ("its only backend", chosen("north"), &north, "theirs"),
        (
            "without a client",
            chosen("north"),
            &unnamed,
            "replace-with-client-id",
        ),
        (
            "one of several",
            inbound(under_a_condition),
            &north,
            "theirs",
        ),
        ("a pool", chosen("both"), &north, "theirs"),
    ] {
        let (objects, said) = built(&json!([
            chat(json!({})),
            policy("chat", &document),
            member,
            south,
            pool
        ]));
        let all = steps(&objects).to_string();
        let wanted = format!("\"clientId\":\"{client}\"");
        assert!(
            all.contains(&wanted) && all.contains("https://ai.azure.com//.default"),
            "{name}: {all}"
        );
        assert!(
            said.contains("give the identity a federated credential"),
            "{name}: {said}"
        );
        let audiences = &one(&objects, "Gateway")["spec"]["deployment"]["tokenAudiences"];
        assert_eq!(*audiences, json!(["api://AzureADTokenExchange"]), "{name}");
    }
    south["properties"]["credentials"] = identity;
    let (objects, said) = built(&json!([
        chat(json!({})),
        policy("chat", &chosen("both")),
        north,
        south,
        pool
    ]));
    assert!(
        said.contains("the members of the pool have different credentials"),
        "{said}"
    );
    assert!(steps(&objects).to_string().contains("501"), "{said}");
}

#[test]
fn a_policy_that_cannot_be_read_refuses() {
    for (value, said) in [
        (json!({"value": "<policies>"}), "error: in the document"),
        (
            json!({"value": "[parameters('policy')]"}),
            "the policy document cannot be evaluated",
        ),
        (
            json!({"value": "https://a.example/p.xml", "format": "rawxml-link"}),
            "lies elsewhere",
        ),
    ] {
        let (objects, found) = built(&json!([
            chat(json!({})),
            resource("apis/operations/policies", "chat/onHandshake/policy", value),
        ]));
        assert_eq!(
            steps(&objects)[0]["returnResponse"]["status"],
            501,
            "{objects:#?}"
        );
        assert!(found.contains(said), "{said}: {found}");
    }
}

#[test]
fn a_service_whose_name_is_not_known_keeps_its_apis() {
    let kind = "Microsoft.ApiManagement/service/apis";
    let properties =
        json!({"type": "websocket", "path": "speech", "serviceUrl": "wss://speech.example/rt"});
    let name = "[format('{0}/{1}', format('apim-{0}', uniqueString(subscription().id)), 'speech')]";
    let (objects, said) = built(&json!([{"type": kind, "name": name, "properties": properties}]));
    assert_eq!(
        one(&objects, "WebSocketApi")["metadata"]["name"],
        "speech",
        "{said}"
    );
    let name = "[concat('apim/', uniqueString('a'))]";
    let (objects, said) = built(&json!([{"type": kind, "name": name, "properties": properties}]));
    assert!(
        objects
            .iter()
            .all(|object| object["kind"] != "WebSocketApi")
    );
    assert!(
        said.contains("error: its name cannot be evaluated"),
        "{said}"
    );
}

#[test]
fn a_self_hosted_gateway_keeps_apart_from_the_one_of_all_apis() {
    let (objects, _) = built(&json!([
        chat(json!({})),
        resource("gateways", "edge", json!({})),
        resource("gateways/apis", "edge/chat", json!({})),
    ]));
    let gateways = objects.iter().filter(|object| object["kind"] == "Gateway");
    let names: Vec<_> = gateways.map(|object| &object["metadata"]["name"]).collect();
    assert_eq!(names, ["edge", "edge-2"]);
    let own = &one(&objects, "WebSocketApi")["spec"]["gateways"];
    assert_eq!(*own, json!([{"name": "edge"}, {"name": "edge-2"}]));
}

#[test]
fn what_belongs_to_nothing_that_is_imported_is_listed() {
    let (_, said) = built(&json!([
        chat(json!({})),
        policy("rest", &inbound("")),
        resource("backends", "unused", json!({"url": "https://a.example"})),
        resource("products", "p", json!({"state": "published"})),
        resource("products/apis", "p/rest", json!({})),
        resource(
            "apis/operations/policies",
            "chat/other/policy",
            json!({"value": "<policies/>"})
        ),
    ]));
    for wanted in [
        "note: skipped: apis/operations/policies rest/onHandshake/policy: its API is not imported",
        "note: skipped: backends unused: no imported policy names it",
        "note: skipped: products/apis p/rest: its API is not imported",
        "warning: skipped: apis/operations/policies chat/other/policy: a WebSocket API has the operation",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
}

#[test]
fn of_two_policies_for_the_same_place_neither_counts() {
    let open = inbound("<set-header name='A'><value>1</value></set-header>");
    let closed = inbound("<return-response><set-status code='403' reason='no'/></return-response>");
    for (second, wanted) in [(closed, json!("not-imported")), (open.clone(), Value::Null)] {
        let mut other = policy("chat", &second);
        other["condition"] = json!("[parameters('strict')]");
        let (objects, said) = built(&json!([chat(json!({})), policy("chat", &open), other]));
        assert_eq!(steps(&objects)[0]["id"], wanted, "{said}");
        assert_eq!(
            said.contains("is defined more than once"),
            !wanted.is_null(),
            "{said}"
        );
    }
}

#[test]
fn a_policy_is_that_of_the_current_revision() {
    let closed = inbound("<return-response><set-status code='403' reason='no'/></return-response>");
    let open = inbound("");
    for (name, api, owner, wanted) in [
        (
            "another revision",
            json!({"apiRevision": "2"}),
            "chat;rev=1",
            false,
        ),
        (
            "the same by its number",
            json!({"apiRevision": "2"}),
            "chat;rev=2",
            true,
        ),
        ("no number", json!({}), "chat;rev=1", false),
    ] {
        let (objects, said) = built(&json!([
            chat(api),
            policy(owner, &open),
            policy("chat", &closed)
        ]));
        let refuses = steps(&objects).to_string().contains("403");
        assert_eq!(refuses, !wanted, "{name}: {said}");
        let is_listed = said.contains("note: skipped: apis/operations/policies chat;rev=1");
        assert_eq!(is_listed, !wanted, "{name}: {said}");
    }
}

#[test]
fn a_policy_without_a_document_or_at_another_place_refuses() {
    let old = json!({"policyContent": inbound("<set-header name='A'><value>1</value></set-header>"), "contentFormat": "xml"});
    let place = "chat/onHandshake/policy";
    let (objects, said) = built(&json!([
        chat(json!({})),
        resource("apis/operations/policies", place, old)
    ]));
    assert_eq!(steps(&objects)[1]["setHeader"]["name"], "A", "{said}");
    for policy in [
        resource("apis/operations/policies", place, json!({"format": "xml"})),
        resource(
            "apis/policies",
            "chat/policy",
            json!({"value": inbound("")}),
        ),
    ] {
        let (objects, said) = built(&json!([chat(json!({})), policy]));
        assert_eq!(steps(&objects)[0]["id"], "not-imported", "{said}");
        assert!(said.contains("error: refuses with 501"), "{said}");
    }
}

#[test]
fn a_tenant_in_a_named_value_is_put_in() {
    let document = inbound(
        "<validate-azure-ad-token tenant-id='{{tenant}}'><client-application-ids><application-id>{{client}}</application-id></client-application-ids></validate-azure-ad-token>",
    );
    let value = |name: &str, value: &str| {
        resource(
            "namedValues",
            name,
            json!({"displayName": name, "value": value}),
        )
    };
    let api = [chat(json!({})), policy("chat", &document)];
    let [a, b] = api.clone();
    let (objects, said) = built(&json!([
        a,
        b,
        value("tenant", "1111"),
        value("client", "2222")
    ]));
    let token = &steps(&objects)[1]["validateJwt"];
    let wanted = "https://login.microsoftonline.com/1111/v2.0/.well-known/openid-configuration";
    assert_eq!(token["openidConfig"][0], wanted, "{said}");
    assert_eq!(token["allowedClients"], json!(["2222"]), "{said}");
    assert_eq!(said, "");
    // Without the value, or with a secret one, it is asked for.
    let mut secret = value("tenant", "1111");
    secret["properties"]["secret"] = json!(true);
    for more in [json!([]), json!([secret])] {
        let more = more.as_array().unwrap().iter().cloned();
        let all: Vec<_> = api.iter().cloned().chain(more).collect();
        let (objects, said) = built(&json!(all));
        assert!(
            said.contains("put the tenant in place of {{tenant}}"),
            "{said}"
        );
        assert_eq!(
            steps(&objects)[1]["returnResponse"]["status"],
            501,
            "{said}"
        );
    }
}

#[test]
fn what_exists_already_or_is_off_is_listed() {
    let of = |kind: &str, name: &str, more: Value| {
        let mut found = resource(kind, name, json!({"type": "http"}));
        found
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        found
    };
    let service = json!({
        "type": "Microsoft.ApiManagement/service", "name": "apim", "existing": true,
        "resources": [{"type": "products", "name": "inside", "properties": {}}],
    });
    let (_, said) = built(&json!([
        chat(json!({})),
        service,
        {"type": "Microsoft.ApiManagement/service", "name": "apim", "properties": {"publisherName": "a"}},
        of("apis", "there", json!({"existing": true})),
        of("products", "off", json!({"condition": false})),
        of("apis/operations/policies", "chat/onHandshake/policy", json!({"existing": true})),
        {"type": "Microsoft.Insights/components", "name": "logs", "existing": true},
    ]));
    for wanted in [
        "note: skipped: microsoft.apimanagement/service apim: it exists already",
        "note: skipped: the product inside has no WebSocket API",
        "note: skipped: the service itself",
        "note: skipped: microsoft.apimanagement/service/apis apim/there: it exists already",
        "note: skipped: microsoft.apimanagement/service/products apim/off: its condition is false",
        "note: skipped: microsoft.insights/components logs: it exists already",
        "error: skipped: microsoft.apimanagement/service/apis/operations/policies apim/chat/onHandshake/policy: it exists",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
}

#[test]
fn loops_and_parameters_give_resources() {
    let template = json!({
        "parameters": {"apis": {"type": "array"}, "host": {"type": "string"}},
        "resources": [{
            "copy": {"name": "all", "count": "[length(parameters('apis'))]"},
            "type": "Microsoft.ApiManagement/service/apis",
            "name": "[concat('apim/', parameters('apis')[copyIndex('all')])]",
            "properties": {
                "type": "websocket", "path": "[parameters('apis')[copyIndex()]]",
                "serviceUrl": "[format('wss://{0}', parameters('host'))]", "protocols": ["ws"],
            },
        }],
    });
    let parameters = json!({
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentParameters.json#",
        "parameters": {"apis": {"value": ["one", "two"]}, "host": {"value": "h.example"}},
    });
    let parameters = arm::parameters(&parameters.to_string()).unwrap();
    let read = |parameters: &[(String, crate::json::Node)]| {
        arm::entities(Path::new("a.json"), &template.to_string(), parameters).unwrap()
    };
    let (entities, findings) = read(&parameters);
    let said: Vec<_> = findings.iter().map(ToString::to_string).collect();
    assert!(said.is_empty(), "{said:?}");
    let built = build(&entities, "edge", &Identity::default());
    let apis: Vec<_> = built
        .objects
        .iter()
        .filter(|o| o["kind"] == "WebSocketApi")
        .collect();
    assert_eq!(apis.len(), 2);
    assert_eq!(apis[1]["spec"]["path"], "/two");
    assert_eq!(apis[1]["spec"]["backend"]["url"], "wss://h.example");
    let (entities, findings) = read(&[]);
    assert!(entities.is_empty());
    assert!(
        findings[0]
            .to_string()
            .contains("error: a copy loop whose count is not known")
    );
}

#[test]
fn a_pool_of_one_member_is_its_member() {
    let pool = |name: &str, members: &[&str]| {
        let services = members
            .iter()
            .map(|member| json!({"id": format!("/backends/{member}")}));
        let services = services.collect::<Vec<_>>();
        resource(
            "backends",
            name,
            json!({"type": "Pool", "pool": {"services": services}}),
        )
    };
    let member = |name: &str| {
        resource(
            "backends",
            name,
            json!({"url": format!("https://{name}.example/rt")}),
        )
    };
    let document = inbound(
        r#"<choose><when condition="@(context.Request.Url.Query.GetValueOrDefault("model") == "mini")">
             <set-backend-service backend-id="mini-pool"/></when>
           <otherwise><set-backend-service backend-id="full-pool"/></otherwise></choose>"#,
    );
    for (members, wanted) in [
        (&["b"][..], json!({"url": "wss://b.example/rt"})),
        (&["a", "b"], Value::Null),
    ] {
        let (objects, said) = built(&json!([
            chat(json!({})),
            policy("chat", &document),
            pool("mini-pool", &["a"]),
            pool("full-pool", members),
            member("a"),
            member("b"),
        ]));
        let steps = steps(&objects);
        assert_eq!(
            steps[2]["setBackend"],
            json!({"url": "wss://a.example/rt"}),
            "{said}"
        );
        assert_eq!(steps[3]["setBackend"], wanted, "{said}");
        assert_eq!(
            said.contains("the backend full-pool has no URL"),
            wanted.is_null(),
            "{said}"
        );
    }
}

#[test]
fn an_api_that_is_not_online_is_not_served() {
    for (is_online, wanted) in [(json!(true), 1), (json!(false), 0)] {
        let (objects, said) = built(&json!([chat(json!({"isOnline": is_online}))]));
        let apis = objects.iter().filter(|o| o["kind"] == "WebSocketApi");
        assert_eq!(apis.count(), wanted, "{is_online}");
        assert_eq!(
            said.contains("note: skipped: the API chat is not online"),
            wanted == 0,
            "{said}"
        );
    }
}

#[test]
fn a_scope_is_what_it_ends_in() {
    let group =
        "/subscriptions/x/resourceGroups/products/providers/Microsoft.ApiManagement/service";
    for (name, scope, wanted) in [
        ("all", "/apis".to_owned(), json!({"gateway": "edge"})),
        (
            "all of a service",
            format!("{group}/apim/apis"),
            json!({"gateway": "edge"}),
        ),
        (
            "an API",
            format!("{group}/apim/apis/chat"),
            json!({"api": "chat"}),
        ),
        (
            "a product",
            format!("{group}/apim/products/chat"),
            json!({"product": "chat"}),
        ),
        (
            "a product that is called apis",
            "/products/apis".to_owned(),
            Value::Null,
        ),
        (
            "an API that is called apis",
            "/apis/apis".to_owned(),
            Value::Null,
        ),
        (
            "a service that is called apis",
            format!("{group}/apis"),
            Value::Null,
        ),
        ("a workspace", "/workspaces/a/apis".to_owned(), Value::Null),
    ] {
        let (objects, said) = built(&json!([
            chat(json!({})),
            resource("products", "chat", json!({"state": "published"})),
            resource("products/apis", "chat/chat", json!({})),
            resource("products", "apis", json!({"state": "published"})),
            resource("subscriptions", "s", json!({"scope": scope})),
        ]));
        let mut subscriptions = objects.iter().filter(|o| o["kind"] == "Subscription");
        let found = subscriptions
            .next()
            .map_or(&Value::Null, |o| &o["spec"]["scope"]);
        assert_eq!(*found, wanted, "{name}");
        assert_eq!(
            said.contains("which is not imported"),
            wanted.is_null(),
            "{name}: {said}"
        );
    }
}
