//! What could mean something else without a word: it is right, or it is said.

use super::*;

fn inbound_of(found: &Imported) -> &Value {
    &found.on_handshake["inbound"]
}

#[test]
fn an_id_is_compared_by_the_name_of_its_object() {
    let condition = r#"@(context.Product?.Id == "starter")"#;
    let found = inbound(&format!(
        "<choose><when condition='{condition}'><set-header name='A'><value>1</value></set-header></when></choose>"
    ));
    let when = &inbound_of(&found)[0]["when"];
    assert_eq!(*when, "(product.?name.orValue(null) == \"starter\")");
    assert!(
        found
            .said
            .contains("warning: the id \"starter\" is compared"),
        "{}",
        found.said
    );
}

#[test]
fn two_names_of_variables_stay_two() {
    let found = inbound(
        r#"<set-variable name="user-id" value="a"/><set-variable name="user_id" value="b"/>
           <set-header name="A"><value>@((string)context.Variables["user-id"])</value></set-header>"#,
    );
    assert_eq!(found.said, "");
    let steps = inbound_of(&found);
    assert_eq!(steps[0]["setVariable"]["name"], "user_id");
    assert_eq!(steps[1]["setVariable"]["name"], "user_id_2");
    assert_eq!(steps[2]["setHeader"]["values"][0], "${vars.user_id}");
}

#[test]
fn a_backend_has_the_scheme_of_websockets() {
    for (url, wanted) in [
        ("https://a.example/x", "wss://a.example/x"),
        ("http://a.example/x", "ws://a.example/x"),
        (
            r#"@("https://" + context.Api.Name)"#,
            r#"${("wss://" + api.displayName)}"#,
        ),
        (
            "{{base}}/x",
            r#"${values.base.startsWith("http") ? "ws" + values.base.substring(4) : values.base}/x"#,
        ),
    ] {
        let found = inbound(&format!("<set-backend-service base-url='{url}'/>"));
        assert_eq!(found.said, "", "{url}");
        assert_eq!(inbound_of(&found)[0]["setBackend"]["url"], wanted, "{url}");
    }
}

#[test]
fn what_a_step_cannot_keep_is_said() {
    let common = "https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration";
    let issuer = "<issuers><issuer>a</issuer></issuers>";
    let jwt = |inner: &str| {
        format!(
            r#"<validate-jwt header-name="A"><openid-config url="{common}"/>{inner}</validate-jwt>"#
        )
    };
    let many = "have no single issuer";
    let request = r#"<send-request response-variable-name="r"><set-url>https://a.example/x</set-url>
        <set-header name="Host"><value>a.example</value></set-header></send-request>"#;
    for (name, element, said) in [
        ("many issuers", jwt(""), many),
        ("listed issuers", jwt(issuer), ""),
        (
            "a shared secret",
            r#"<validate-jwt header-name="A"><issuer-signing-keys><key>{{hs256-key}}</key></issuer-signing-keys></validate-jwt>"#
                .to_owned(),
            "error: put the key into hs256_key of the Secret imported-values: it is base64 there",
        ),
        ("the host of a request", request.to_owned(), "warning: the header host is left out"),
        (
            "metrics of tokens",
            r#"<llm-emit-token-metric namespace="a"/>"#.to_owned(),
            "warning: left out, without effect on handshakes",
        ),
        (
            "an answer that was kept",
            r#"<return-response response-variable-name="r"/>"#.to_owned(),
            "warning: of the answer r status",
        ),
        (
            "a region",
            r#"<choose><when condition="@(context.Deployment.Region == &quot;West Europe&quot;)"><set-header name="A"><value>1</value></set-header></when></choose>"#
                .to_owned(),
            "warning: the region is the named value deployment_region",
        ),
    ] {
        let found = inbound(&element);
        let is_right = match said {
            "" => found.said.is_empty(),
            said => found.said.contains(said),
        };
        assert!(is_right, "{name}: {}", found.said);
        let steps = found.on_handshake.to_string();
        assert!(!steps.contains("501"), "{name}: {steps}");
    }
}

#[test]
fn one_variable_holds_the_branch_of_a_nested_choose() {
    let header = |name: &str| format!(r#"<set-header name="{name}"><value>1</value></set-header>"#);
    let when = |name: &str, inner: &str| {
        format!(
            r#"<when condition='@(context.Request.Headers.ContainsKey("{name}"))'>{inner}</when>"#
        )
    };
    let nested = format!(
        "<choose>{}{}</choose>",
        when("b", &header("B")),
        when("c", &header("C"))
    );
    let both = when("a", &format!("{}{nested}", header("A")));
    let found = inbound(&format!(
        "<choose>{both}<otherwise>{}</otherwise></choose>",
        header("D")
    ));
    let steps = inbound_of(&found).as_array().unwrap();
    let variables = steps.iter().filter(|step| step["setVariable"].is_object());
    assert_eq!(variables.count(), 2, "{steps:#?}");
    assert_eq!(
        steps[0]["setVariable"]["value"],
        r#"("a" in request.headers) ? 1 : 2"#
    );
    assert_eq!(steps[1]["when"], "vars.imported_choice_1 == 1");
    assert_eq!(
        steps[2]["setVariable"]["value"],
        r#"vars.imported_choice_1 == 1 ? (("b" in request.headers) ? 1 : ("c" in request.headers) ? 2 : 0) : 0"#
    );
    let all = found.on_handshake.to_string();
    assert!(!all.contains("true : false"), "{all}");
}

#[test]
fn comments_stand_at_the_step_behind_them() {
    let found = inbound("<!-- who\n it is --><set-variable name='a' value='1'/>");
    assert_eq!(inbound_of(&found)[0]["#"], "who it is");
}
