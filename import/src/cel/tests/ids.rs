//! Ids of objects that have another name here.

use crate::cel::{IdUse, translate};
use crate::finding::Level;
use crate::service::{IdOf, Identity, NamedValue, Renamed, Service};

/// A service whose product and API are renamed, with a REST API besides.
fn service() -> Service {
    let ids = [
        (
            (IdOf::Product, "Trial_Plan"),
            Renamed::To("trial-plan".to_owned()),
        ),
        ((IdOf::Product, "gold"), Renamed::To("gold".to_owned())),
        (
            (IdOf::Api, "RealtimeAPI"),
            Renamed::To("realtimeapi".to_owned()),
        ),
        ((IdOf::Api, "rest"), Renamed::Never),
        ((IdOf::Subscription, "s"), Renamed::To("s".to_owned())),
    ];
    let ids = ids.map(|((of, id), renamed)| ((of, id.to_owned()), renamed));
    let value = NamedValue::Plain("Trial_Plan".to_owned());
    let values = [("plan".to_owned(), value)];
    Service::new(values.into(), ids.into(), Identity::default())
}

#[test]
fn an_id_that_is_compared_becomes_the_name() {
    const PRODUCT: &str = "product.?name.orValue(null)";
    const SURE: &str = "product.name";
    for (text, wanted) in [
        (
            r#"context.Product?.Id == "Trial_Plan""#,
            format!(r#"({PRODUCT} == "trial-plan")"#),
        ),
        (
            r#""Trial_Plan" == context.Product.Id"#,
            format!(r#"({SURE} == "trial-plan")"#),
        ),
        (
            r#"context.Product.Id != "Trial_Plan""#,
            format!(r#"!({SURE} == "trial-plan")"#),
        ),
        (
            r#"context.Product.Id == "{{plan}}""#,
            format!(r#"({SURE} == "trial-plan")"#),
        ),
        (
            r#"context.Product.Id.Equals("Trial_Plan")"#,
            format!(r#"({SURE} == "trial-plan")"#),
        ),
        (
            r#"context.Product.Id.Equals("TRIAL_PLAN", StringComparison.OrdinalIgnoreCase)"#,
            format!(r#"({SURE} == "trial-plan")"#),
        ),
        (
            r#"string.Equals(context.Product.Id, "Trial_Plan")"#,
            format!(r#"({SURE} == "trial-plan")"#),
        ),
        (
            r#"context.Api.Id == "RealtimeAPI""#,
            r#"(api.name == "realtimeapi")"#.to_owned(),
        ),
        (r#"context.Api.Id == "rest""#, "false".to_owned()),
        (
            "context.Product?.Id == null",
            format!("({PRODUCT} == null)"),
        ),
        (
            r#"context.Subscription.Id == "s""#,
            r#"(subscription.name == "s")"#.to_owned(),
        ),
    ] {
        let (service, text) = (service(), format!("@({text})"));
        let found = translate(&text, &service, IdUse::Exact).map(|found| found.text);
        assert_eq!(found, Ok(wanted), "{text}");
        assert!(service.remarks().is_empty(), "{text}");
    }
    let block = r#"@{ var id = context.Product.Id; return id == "Trial_Plan"; }"#;
    let found = translate(block, &service(), IdUse::Exact).map(|found| found.text);
    assert_eq!(found.as_deref(), Ok(r#"(product.name == "trial-plan")"#));
}

#[test]
fn an_id_that_could_decide_otherwise_is_refused() {
    for text in [
        r#"context.Product.Id == "Other""#,
        r#"context.Product.Id == "trial_plan""#,
        r#"context.Product.Id == context.Request.Headers.GetValueOrDefault("X")"#,
        r#"context.Product.Id == (string)context.Variables["x"]"#,
        r#"context.Product.Id.StartsWith("Trial")"#,
        r#"context.Product.Id.ToLower() == "trial_plan""#,
        r#"context.Product.Id + "x" == "Trial_Planx""#,
        r#"new[] {"Trial_Plan"}.Contains(context.Product.Id)"#,
        r#"(context.Product.Id ?? "none") == "Trial_Plan""#,
        "context.Product.Id",
    ] {
        let found = translate(&format!("@({text})"), &service(), IdUse::Exact);
        assert!(found.is_err(), "{text}: {found:?}");
    }
}

#[test]
fn an_id_that_is_sent_is_said_to_change() {
    let service = service();
    let found = translate("@(context.Api.Id)", &service, IdUse::Forwarded);
    assert_eq!(found.map(|found| found.text).as_deref(), Ok("api.name"));
    let remarks = service.remarks();
    assert_eq!(remarks.len(), 1);
    assert_eq!(remarks[0].0, Level::Warning);
    let key = translate(
        "@(context.Api.Id + context.Subscription.Id)",
        &service,
        IdUse::Key,
    );
    assert!(key.is_ok() && service.remarks().is_empty());
}
