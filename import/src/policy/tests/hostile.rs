//! Documents that want to hurt.

use super::*;

#[test]
fn hostile_documents_end_in_a_message() {
    let long = "x".repeat(2 * 1024 * 1024);
    let entities = r#"<!DOCTYPE p [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>
        <policies><inbound>&b;</inbound></policies>"#;
    let deep = "<a>".repeat(100_000) + &"</a>".repeat(100_000);
    let many = format!(
        "<policies><inbound>{}</inbound></policies>",
        "<a/>".repeat(250_000)
    );
    let starts = format!("<policies><inbound>{}", ">@(".repeat(300_000));
    for (document, wanted) in [
        (
            long.as_str(),
            "1:1: error: the document is longer than 1 MiB",
        ),
        (entities, "DTD"),
        (&deep, "error: expected <policies>, not <a>"),
        (&many, "nodes limit"),
        (&starts, "1:21: error: this expression has no end"),
        (
            "<policies>\n <inbound a=\"@(1\"/>",
            "2:14: error: this expression has no end",
        ),
        ("<policies>\u{e000}</policies>", "U+E000"),
        ("<policies>", "error: "),
    ] {
        let found = import(document, Scope::Api, &context(), &mut Fragments::default());
        let said = found.unwrap_err().to_string();
        assert!(said.contains(wanted), "{document:.40}: {said:.200}");
    }
    // What is too much to list refuses as a whole.
    let all = "<a/>".repeat(5_000);
    let found = inbound(&all);
    assert!(found.said.lines().count() < 1_100);
    let steps = found.on_handshake["inbound"].as_array().unwrap();
    assert_eq!(steps.len(), 1);
    assert_eq!(steps[0]["returnResponse"]["status"], 501);
    let document = format!(
        "<policies><inbound>{}<find/></inbound></policies>",
        "<cors/>".repeat(5_000)
    );
    let found = import(
        &document,
        Scope::Global,
        &context(),
        &mut Fragments::default(),
    )
    .unwrap();
    assert_eq!(found.0["inbound"][0]["returnResponse"]["status"], 501);
}
