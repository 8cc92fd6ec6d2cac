//! A managed identity becomes a token of the gateway's service account.

use super::*;
use crate::service::Identity;

const IDENTITY: &str =
    r#"<authentication-managed-identity resource="https://cognitiveservices.azure.com""#;

fn sent(variable: &str) -> String {
    format!(
        r#"<set-header name="Authorization" exists-action="override"><value>@("Bearer " + (string)context.Variables["{variable}"])</value></set-header>"#
    )
}

fn kept(variable: &str) -> String {
    format!(r#"{IDENTITY} output-token-variable-name="{variable}"/>"#)
}

fn credentials(tenant: &str, client: &str) -> Value {
    json!({
        "tokenUrl": format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"),
        "clientId": client,
        "scopes": ["https://cognitiveservices.azure.com/.default"],
        "clientAssertion": {"serviceAccountToken": {"audience": "api://AzureADTokenExchange"}},
    })
}

fn with(identity: Identity, steps: &str) -> Imported {
    let mut context = context();
    context.service.identity = identity;
    let document = format!("<policies><inbound>{steps}</inbound></policies>");
    let mut fragments = Fragments::default();
    let (on_handshake, findings) = import(&document, Scope::Api, &context, &mut fragments).unwrap();
    let said: Vec<_> = findings.iter().map(ToString::to_string).collect();
    Imported {
        on_handshake,
        fragments: fragments.objects,
        said: said.join("\n"),
    }
}

fn given() -> Identity {
    Identity {
        authority: None,
        tenant: Some("our-tenant".to_owned()),
        client: Some("our-client".to_owned()),
    }
}

fn steps_of(found: &Imported) -> &Value {
    &found.on_handshake["inbound"]
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn a_token_of_the_service_account_stands_for_the_identity() {
    let request = |inner: &str| {
        format!(
            r#"<send-request response-variable-name="r"><set-url>https://a.example/</set-url>{inner}</send-request>"#
        )
    };
    let interpolated = r#"<set-header name="authorization"><value>@($"Bearer {context.Variables["t"]}")</value></set-header>"#;
    let block = r#"<set-header name="Authorization"><value>@{ var token = (string)context.Variables["t"]; return "Bearer " + token; }</value></set-header>"#;
    let or_null = r#"<set-header name="Authorization"><value>@("Bearer " + context.Variables.GetValueOrDefault<string>("t"))</value></set-header>"#;
    let mut all = Vec::new();
    for (name, element, place) in [
        (
            "directly",
            format!("{IDENTITY}/>"),
            "/0/backendAuth/oauth2ClientCredentials",
        ),
        (
            "by a variable",
            kept("t") + &sent("t"),
            "/0/backendAuth/oauth2ClientCredentials",
        ),
        (
            "in a text",
            kept("t") + interpolated,
            "/0/backendAuth/oauth2ClientCredentials",
        ),
        (
            "by a block",
            kept("t") + block,
            "/0/backendAuth/oauth2ClientCredentials",
        ),
        (
            "or null",
            kept("t") + or_null,
            "/0/backendAuth/oauth2ClientCredentials",
        ),
        (
            "of a request",
            request(&format!("{IDENTITY}/>")),
            "/0/sendRequest/auth/oauth2",
        ),
        (
            "of a request by a variable",
            kept("t") + &request(&sent("t")),
            "/0/sendRequest/auth/oauth2",
        ),
    ] {
        let found = with(given(), &element);
        let wanted = credentials("our-tenant", "our-client");
        assert_eq!(
            steps_of(&found).pointer(place),
            Some(&wanted),
            "{name}: {}",
            found.said
        );
        let said: Vec<_> = found.said.lines().collect();
        assert_eq!(said.len(), 1, "{name}: {said:?}");
        for text in ["warning", "federated", "tokenAudiences"] {
            assert!(said[0].contains(text), "{name}: {said:?}");
        }
        all.push((name.to_owned(), found));
    }
    assert_eq!(verdict(&all), "");
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn what_the_policy_does_not_say_is_a_placeholder_that_opens_nothing() {
    let own = |client: &str| format!(r#"{IDENTITY} client-id="{client}"/>"#);
    let only_client = Identity {
        tenant: None,
        ..given()
    };
    let none = Identity::default();
    let (no_tenant, no_client) = ("replace-with-tenant-id", "replace-with-client-id");
    for (name, identity, element, wanted, said) in [
        (
            "nothing",
            none.clone(),
            format!("{IDENTITY}/>"),
            (no_tenant, no_client),
            "error: the tenant|error: the client id",
        ),
        (
            "a client",
            none.clone(),
            own("theirs"),
            (no_tenant, "theirs"),
            "error: the tenant",
        ),
        (
            "a client before the given one",
            given(),
            own("theirs"),
            ("our-tenant", "theirs"),
            "",
        ),
        (
            "an unknown client",
            none,
            own("{{uami}}"),
            (no_tenant, no_client),
            "error: the tenant|error: the client id",
        ),
        (
            "an unknown client and a given one",
            given(),
            own("{{uami}}"),
            ("our-tenant", "our-client"),
            "warning: client-id {{uami}} is not known",
        ),
        (
            "no tenant",
            only_client,
            own("@(1)"),
            (no_tenant, "our-client"),
            "error: the tenant|warning: client-id @(1)",
        ),
    ] {
        let found = with(identity, &element);
        let wanted = credentials(wanted.0, wanted.1);
        let auth = &steps_of(&found)[0]["backendAuth"]["oauth2ClientCredentials"];
        assert_eq!(*auth, wanted, "{name}: {}", found.said);
        let texts: Vec<_> = said.split('|').filter(|text| !text.is_empty()).collect();
        // One more warning: what Entra ID must be told.
        assert_eq!(
            found.said.lines().count(),
            texts.len() + 1,
            "{name}: {}",
            found.said
        );
        for text in texts {
            assert!(found.said.contains(text), "{name}: {text}: {}", found.said);
        }
    }
}

#[test]
fn another_cloud_has_another_authority() {
    let authority = Some("https://login.partner.microsoftonline.cn/".to_owned());
    let found = with(
        Identity {
            authority,
            ..given()
        },
        &format!("{IDENTITY}/>"),
    );
    let url = &steps_of(&found)[0]["backendAuth"]["oauth2ClientCredentials"]["tokenUrl"];
    assert_eq!(
        *url,
        "https://login.partner.microsoftonline.cn/our-tenant/oauth2/v2.0/token"
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn a_token_that_is_not_sure_or_used_otherwise_refuses() {
    let when = |steps: &str| {
        format!(
            r#"<choose><when condition='@(context.Request.Method == "GET")'>{steps}</when></choose>"#
        )
    };
    let both = |first: &str, second: &str| {
        format!(
            r#"<choose><when condition='@(context.Request.Method == "GET")'>{first}</when><otherwise>{second}</otherwise></choose>"#
        )
    };
    let other = kept("t").replace("cognitiveservices", "other");
    let set = r#"<set-variable name="t" value="a"/>"#;
    let as_header = |name: &str, action: &str| {
        sent("t")
            .replace("Authorization", name)
            .replace("override", action)
    };
    let twice = sent("t").replace(")</value>", " + (string)context.Variables[\"t\"])</value>");
    for (name, element, why) in [
        (
            "one branch only",
            when(&kept("t")) + &sent("t"),
            "depends on what ran before",
        ),
        (
            "two identities",
            both(&kept("t"), &other) + &sent("t"),
            "depends on what ran before",
        ),
        (
            "a lookup",
            kept("t") + r#"<cache-lookup-value key="k" variable-name="t"/>"# + &sent("t"),
            "depends on what ran before",
        ),
        (
            "another header",
            kept("t") + &as_header("X-Token", "override"),
            "only as \"Bearer \" + token",
        ),
        (
            "appended",
            kept("t") + &as_header("Authorization", "append"),
            "exists-action append",
        ),
        ("twice", kept("t") + &twice, "only after \"Bearer \""),
        (
            "kept",
            kept("t") + r#"<set-variable name="u" value="@((string)context.Variables["t"])"/>"#,
            "only as \"Bearer \" + token",
        ),
        (
            "set in one branch",
            kept("t") + &when(set) + &sent("t"),
            "depends on what ran before",
        ),
    ] {
        let found = with(given(), &element);
        assert!(found.said.contains(why), "{name}: {}", found.said);
        assert!(
            found.said.contains("error: refuses with 501"),
            "{name}: {}",
            found.said
        );
        assert!(
            !steps_of(&found).to_string().contains("backendAuth"),
            "{name}"
        );
    }
    let same = with(given(), &(both(&kept("t"), &kept("t")) + &sent("t")));
    assert!(
        steps_of(&same).to_string().contains("backendAuth"),
        "{}",
        same.said
    );
    let overwritten = with(given(), &(kept("t") + set + &sent("t")));
    assert_eq!(
        steps_of(&overwritten)[1]["setHeader"]["values"][0],
        "${(\"Bearer \" + (vars.t == null ? \"\" : vars.t))}"
    );
}

#[test]
fn a_fragment_hands_its_token_on() {
    let mut context = context();
    context.service.identity = given();
    let fragment = |text: String| Fragment {
        text: format!("<fragment>{text}</fragment>"),
        file: PathBuf::from("f.xml"),
        line: 1,
    };
    context
        .fragments
        .insert("get".to_owned(), fragment(kept("t")));
    context
        .fragments
        .insert("send".to_owned(), fragment(sent("t")));
    let document = |steps: &str| format!("<policies><inbound>{steps}</inbound></policies>");
    let include = |name: &str| format!(r#"<include-fragment fragment-id="{name}"/>"#);
    let mut fragments = Fragments::default();
    let mut made = |steps: &str| {
        let (value, findings) =
            import(&document(steps), Scope::Api, &context, &mut fragments).unwrap();
        let said: Vec<_> = findings.iter().map(ToString::to_string).collect();
        (value.to_string(), said.join("\n"))
    };
    // The second time, the fragment is already there.
    for _ in 0..2 {
        let (value, said) = made(&(include("get") + &sent("t")));
        assert!(value.contains("our-client"), "{said}");
    }
    let (value, said) = made(&sent("t"));
    assert!(!value.contains("our-client"), "{value}");
    assert!(said.contains("depends on what ran before"), "{said}");
    // A fragment does not know which token its documents have.
    let (_, said) = made(&(kept("t") + &include("send")));
    assert!(said.contains("depends on what ran before"), "{said}");
}
