//! No error shows a secret.

use super::{assert_fails, handshake};
use crate::{Program, Stage, Template, Value, mask};

const SECRET: &str = "s3cr\"et-Token";

fn with_secret() -> crate::Variables {
    let mut vars = handshake();
    vars.set_var("secret", Value::from(SECRET));
    vars.add_secret(SECRET);
    vars
}

#[test]
fn errors_mask_secrets() {
    let cases = [
        ("key", "vars[vars.secret]", "at 5: there is no \"***\""),
        (
            "inside a longer key",
            "vars['a-' + vars.secret + '-b']",
            "at 5: there is no \"a-***-b\"",
        ),
        (
            "algorithm",
            "jwt.sign({}, 'k', vars.secret, 1)",
            "at 0: jwt.sign: \"***\" is not an algorithm: use HS256, RS256, PS256, ES256 or the like",
        ),
        (
            "pattern",
            "'a'.matches('(' + vars.secret)",
            "at 4: not a regular expression: unclosed group",
        ),
    ];
    let vars = with_secret();
    for (name, source, text) in cases {
        let program = Program::value(source, Stage::Inbound).expect(source);
        assert_fails(name, program.evaluate(&vars), text);
        let template = Template::compile(&format!("${{{source}}}"), Stage::Inbound).expect(source);
        let error = template.render(&vars).expect_err(name).to_string();
        assert!(!error.contains("Token"), "{name}: {error}");
    }
}

#[test]
fn messages_of_the_libraries_are_masked_too() {
    let sources = [
        "[vars.secret, 1].sort()",
        "[vars.secret, 1].sum()",
        "[vars.secret].sum() + 1",
        "ip(vars.secret)",
        "cidr(vars.secret)",
        "timestamp(vars.secret)",
        "int(vars.secret)",
        "url(vars.secret)",
        "'%d'.format([vars.secret])",
        "{vars.secret: 1}.missing",
        "vars.secret.charAt(1000)",
        "[vars.secret].join(vars.n)",
        "json.parse(vars.secret)",
        "jwt.sign({'a': 1}, vars.secret, 'RS256', 60)",
        "duration(vars.secret)",
        "bool(vars.secret)",
        "hex.decode(vars.secret)",
    ];
    let vars = with_secret();
    for source in sources {
        let program = Program::value(source, Stage::Inbound).expect(source);
        let error = program.evaluate(&vars).expect_err(source).to_string();
        assert!(
            !error.contains("s3cr") && !error.contains("Token"),
            "{source}: {error}"
        );
    }
}

#[test]
fn a_long_error_is_cut_after_masking() {
    let mut vars = handshake();
    let secret = "S".repeat(400);
    vars.set_var("secret", Value::from(secret.as_str()));
    vars.add_secret(&secret);
    let program = Program::value("vars['x'.replace('x', vars.secret)]", Stage::Inbound);
    let error = program.expect("compiles").evaluate(&vars);
    assert_fails("masked", error, "at 5: there is no \"***\"");
    let program = Program::value(
        "vars[request.id + ('y'.replace('y', '%s')).format([vars.list.map(i, vars.secret)])]",
        Stage::Inbound,
    );
    let error = program
        .expect("compiles")
        .evaluate(&vars)
        .expect_err("no key")
        .to_string();
    assert!(
        error.chars().count() < 320 && !error.contains("SSSS"),
        "{error}"
    );
}

#[test]
fn what_the_variables_print_for_debugging_has_no_values() {
    let text = format!("{:?}", with_secret());
    assert!(text.contains("secret") && !text.contains("Token"), "{text}");
    assert_eq!(
        mask(&format!("x{SECRET}y"), with_secret().secrets()),
        "x***y"
    );
}
