//! Branches, fragments and the section `backend`: the same runs as there.

use tidegate_expr::{Program, Stage, Variables};

use super::*;

/// Which of the branches, each marked by a header, run for these truth values.
fn ran(on_handshake: &Value, truths: &[bool]) -> Vec<String> {
    let mut variables = Variables::new();
    let names = ["a", "b", "c"];
    let headers = names.iter().zip(truths).filter(|(_, truth)| **truth);
    let headers: serde_json::Map<_, _> = headers
        .map(|(name, _)| ((*name).to_owned(), json!(["1"])))
        .collect();
    let request = json!({"headers": headers, "query": {}, "params": {}});
    variables.set("request", tidegate_expr::from_json(request));
    let mut found = Vec::new();
    for step in on_handshake["inbound"].as_array().unwrap() {
        let holds = step["when"].as_str().is_none_or(|when| {
            let program = Program::condition(when, Stage::Inbound).unwrap();
            program.evaluate_bool(&variables).unwrap()
        });
        if !holds {
            continue;
        }
        if let Some(name) = step["setVariable"]["name"].as_str() {
            let value = step["setVariable"]["value"].as_str().unwrap();
            let value = Program::value(value, Stage::Inbound).unwrap();
            variables.set_var(name, value.evaluate(&variables).unwrap());
        } else if let Some(name) = step["setHeader"]["name"].as_str() {
            found.push(name.to_owned());
        }
    }
    found
}

fn branch(name: &str) -> String {
    format!(r#"<set-header name="{name}"><value>1</value></set-header>"#)
}

fn when(header: &str, inner: &str) -> String {
    let condition = format!(r#"@(context.Request.Headers.ContainsKey("{header}"))"#);
    format!("<when condition='{condition}'>{inner}</when>")
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn for_all_truth_values_the_same_branches_run() {
    let otherwise = |inner: &str| format!("<otherwise>{inner}</otherwise>");
    let choose = |inner: &str| format!("<choose>{inner}</choose>");
    let (x, y, z) = (branch("X"), branch("Y"), branch("Z"));
    let nested = choose(&(when("b", &x) + &otherwise(&y)));
    // A branch that changes what its own condition reads.
    let changing = format!(
        r#"<set-variable name="v" value="changed"/>{x}{}"#,
        choose(&(when("c", &y) + &otherwise(&z)))
    );
    let first = |pairs: &[(bool, &str)]| {
        let found = pairs.iter().find(|(holds, _)| *holds);
        found
            .map(|(_, name)| (*name).to_owned())
            .into_iter()
            .collect::<Vec<_>>()
    };
    type Wanted<'a> = Box<dyn Fn(bool, bool, bool) -> Vec<String> + 'a>;
    let cases: Vec<(&str, String, Wanted<'_>)> = vec![
        (
            "one branch",
            choose(&when("a", &x)),
            Box::new(|a, _, _| first(&[(a, "X")])),
        ),
        (
            "three branches",
            choose(&(when("a", &x) + &when("b", &y) + &otherwise(&z))),
            Box::new(|a, b, _| first(&[(a, "X"), (b, "Y"), (true, "Z")])),
        ),
        (
            "nested in when",
            choose(&(when("a", &nested) + &otherwise(&z))),
            Box::new(|a, b, _| first(&[(a && b, "X"), (a, "Y"), (true, "Z")])),
        ),
        (
            "nested in otherwise",
            choose(&(when("a", &z) + &otherwise(&nested))),
            Box::new(|a, b, _| first(&[(a, "Z"), (b, "X"), (true, "Y")])),
        ),
        (
            "nested twice",
            choose(&when(
                "a",
                &choose(&when("b", &choose(&(when("c", &x) + &otherwise(&y))))),
            )),
            Box::new(|a, b, c| first(&[(!a || !b, ""), (c, "X"), (true, "Y")])),
        ),
        (
            "two in a branch",
            choose(&when("a", &(nested.clone() + &choose(&when("c", &z))))),
            Box::new(|a, b, c| {
                let mut found = first(&[(a && b, "X"), (a, "Y")]);
                found.extend(first(&[(a && c, "Z")]));
                found
            }),
        ),
        (
            "steps in front of a nested one",
            choose(&when("a", &changing)),
            Box::new(|a, _, c| match (a, c) {
                (false, _) => vec![],
                (true, true) => vec!["X".to_owned(), "Y".to_owned()],
                (true, false) => vec!["X".to_owned(), "Z".to_owned()],
            }),
        ),
    ];
    for (name, document, wanted) in cases {
        let found = inbound(&document);
        assert_eq!(found.said, "", "{name}");
        for bits in 0..8 {
            let truths = [bits & 1 != 0, bits & 2 != 0, bits & 4 != 0];
            let mut wanted = wanted(truths[0], truths[1], truths[2]);
            wanted.retain(|name| !name.is_empty());
            let ran = ran(&found.on_handshake, &truths);
            assert_eq!(ran, wanted, "{name} {truths:?}");
        }
    }
}

/// A fragment runs within a branch, and its own branches must not change the document's.
#[test]
fn conditions_of_a_fragment_are_apart_from_those_around_it() {
    let inner = branch("X");
    let fragment = format!(
        "<fragment><choose>{}{}</choose></fragment>",
        when("b", &inner),
        when("c", &inner)
    );
    let mut context = context();
    let fragment = Fragment {
        text: fragment,
        file: PathBuf::from("a.xml"),
        line: 1,
    };
    context.fragments.insert("branches".to_owned(), fragment);
    let include = r#"<include-fragment fragment-id="branches"/>"#;
    let document = format!(
        "<policies><inbound><choose>{}</choose></inbound></policies>",
        when("a", &format!("{include}{}", branch("Y")))
    );
    let mut fragments = Fragments::default();
    let (steps, findings) = import(&document, Scope::Api, &context, &mut fragments).unwrap();
    assert!(findings.is_empty(), "{findings:?}");
    let names = |steps: &Value| -> Vec<String> {
        let steps = steps.as_array().unwrap().iter();
        let names = steps.filter_map(|step| step["setVariable"]["name"].as_str());
        names.map(str::to_owned).collect()
    };
    assert_eq!(names(&steps["inbound"]), ["imported_choice_1"]);
    assert_eq!(
        names(&fragments.objects[0]["spec"]["steps"]),
        ["imported_branches_choice_1"]
    );
}

#[test]
fn the_backend_section_forwards_or_refuses() {
    for (backend, wanted, said) in [
        ("<base/>", Value::Null, ""),
        ("<forward-request/>", Value::Null, ""),
        (
            r#"<forward-request timeout="5"/>"#,
            Value::Null,
            "warning: left out: set timeouts",
        ),
        (
            r#"<retry condition="true" count="2" interval="1"><forward-request/></retry>"#,
            Value::Null,
            "warning: left out: when a member of a pool does not answer",
        ),
        (
            "",
            json!(501),
            "error: refuses with 501 instead: nothing in it",
        ),
        (
            r#"<choose><when condition="true"><forward-request/></when></choose>"#,
            json!(501),
            "forwarding under a condition",
        ),
    ] {
        let found = imported(&format!(
            "<policies><backend>{backend}</backend></policies>"
        ));
        let status = &found.on_handshake["inbound"][0]["returnResponse"]["status"];
        assert_eq!(*status, wanted, "{backend}");
        assert!(found.said.contains(said), "{backend}: {}", found.said);
        assert_eq!(
            found.said.is_empty(),
            said.is_empty(),
            "{backend}: {}",
            found.said
        );
    }
}

#[test]
fn a_choice_keeps_its_branch_while_wider_scopes_choose() {
    let mut seen = std::collections::BTreeSet::new();
    for scope in [Scope::Api, Scope::Product, Scope::Global] {
        let document = format!(
            "<policies><inbound><choose>{}</choose></inbound></policies>",
            when(
                "a",
                "<set-variable name='a' value='1'/><base/><return-response><set-status code='403'/></return-response>"
            )
        );
        let mut fragments = Fragments::default();
        let (steps, _) = import(&document, scope, &Context::default(), &mut fragments).unwrap();
        let name = steps["inbound"][0]["setVariable"]["name"].to_string();
        assert!(name.contains("imported_choice"), "{steps}");
        assert!(seen.insert(name), "{scope:?}: {steps}");
    }
}
