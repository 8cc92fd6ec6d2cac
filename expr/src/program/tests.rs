use super::*;
use crate::tests::{assert_fails, ec_pem, evaluate, handshake, pem};

const FAILURES: &[(&str, &str, &str)] = &[
    (
        "missing variable",
        "vars.missing",
        "at 5: there is no \"missing\"",
    ),
    (
        "missing key",
        "request.headers['x-none'][0]",
        "at 16: there is no \"x-none\"",
    ),
    ("out of the list", "vars.list[2]", "at 10: there is no [2]"),
    (
        "null object",
        "subscription.owner",
        "at 13: null has no field \"owner\"",
    ),
    (
        "null inside",
        "vars.none.a.b",
        "at 10: null has no field \"a\"",
    ),
    (
        "operator",
        "vars.n + vars.list",
        "at 7: int + list does not exist",
    ),
    (
        "comparison",
        "vars.n < vars.list",
        "at 7: int < list does not exist",
    ),
    ("negation", "!vars.n", "at 0: \"!\" needs a bool, not int"),
    (
        "condition",
        "vars.n && true",
        "at 5: \"&&\" needs a bool, not int",
    ),
    (
        "argument",
        "vars.n.trim()",
        "at 7: trim does not take (int): it is string.trim()",
    ),
    (
        "missing header",
        "request.header('a').trim()",
        "at 20: trim does not take (null): it is string.trim()",
    ),
    (
        "items",
        "vars.n.all(x, true)",
        "at 7: needs a list or map, not int",
    ),
    (
        "item",
        "vars.list.filter(x, x)",
        "at 20: \"condition\" needs a bool, not int",
    ),
    (
        "in",
        "1 in vars.n",
        "at 2: \"in\" needs a list or map on its right, not int",
    ),
    (
        "key",
        "{vars.list: 1}",
        "at 6: a key must be string, int, uint or bool",
    ),
    (
        "empty optional",
        "optional.none().value()",
        "at 16: value: optional.none() dereference",
    ),
    (
        "not an optional",
        "[?vars.n]",
        "at 7: \"?\" needs an optional value",
    ),
    (
        "token",
        "jwt.decode(request.id)",
        "at 0: jwt.decode: not a signed token",
    ),
    (
        "empty key",
        "jwt.sign({}, string(b''), 'HS256', 1)",
        "at 13: jwt.sign: the key: it is empty or blank",
    ),
    (
        "short key",
        "jwt.sign({}, request.path + 'x', 'HS256', 1)",
        "at 0: jwt.sign: the key: it has 3 bytes, and HS256 needs 32 or more (RFC 7518 §3.2): use a longer one",
    ),
    (
        "a key of another kind",
        "jwt.sign({}, json.encode({'kty': 'RSA'}), 'HS256', 1)",
        "at 0: jwt.sign: the key: it looks like JSON, such as a JSON Web Key, which is not an HMAC secret: a public key goes in as PEM, an RSA key also as n and e, a key set as a URL in jwks; of a symmetric key (kty oct) put the decoded bytes of k there",
    ),
    (
        "no key",
        "hmacSha256(string(b''), 'a')",
        "at 0: hmacSha256: the key is empty",
    ),
    (
        "no PEM",
        "jwt.sign({}, request.id, 'ES256', 1)",
        "at 0: jwt.sign: not a private key in PEM form that fits ES256",
    ),
    (
        "URL",
        "url.parse(request.path)",
        "at 0: url.parse: not an absolute URL",
    ),
    (
        "base64",
        "base64.decode(request.path + '!')",
        "at 0: the text is not base64",
    ),
    (
        "join",
        "vars.list.join(',')",
        "at 10: join needs a list of strings",
    ),
    (
        "UTF-8",
        "string(hex.decode('f' + 'f'))",
        "at 0: string: the bytes are not UTF-8 text",
    ),
];

#[test]
fn evaluation_errors_say_what_and_where() {
    for (name, source, error) in FAILURES {
        assert_fails(name, evaluate(source, &handshake()), error);
    }
}

#[test]
fn conditions_answer_true_or_false_or_fail() {
    let run = |source: &str| {
        let program = Program::condition(source, Stage::Inbound).expect(source);
        program.evaluate_bool(&handshake())
    };
    assert_eq!(run("vars.n == 3"), Ok(true));
    assert_eq!(run("vars.n == 4"), Ok(false));
    assert_eq!(run("vars.n"), Err(EvalError::NotBool { got: "int" }));
    assert_eq!(run("vars.none"), Err(EvalError::NotBool { got: "null" }));
    assert_fails(
        "missing",
        run("vars.missing"),
        "at 5: there is no \"missing\"",
    );
}

#[test]
fn absence_can_be_asked_for() {
    let cases = [
        ("has(client.certificate)", "false"),
        ("has(client.ip)", "true"),
        ("has(subscription.owner)", "false"),
        ("has(vars.none)", "true"),
        ("has(vars.missing)", "false"),
        ("has(vars.none.a)", "false"),
        ("has(jwt.claims.sub) && !has(jwt.claims.email)", "true"),
        ("client.certificate == null", "true"),
        ("client.tls == null", "true"),
        ("product == null", "true"),
        ("vars.?missing.hasValue()", "false"),
        ("vars.?deep.?a.?b.orValue('z')", "'c'"),
        ("vars.?deep.a.b.orValue('z')", "'c'"),
        ("vars.deep.?x.?b.orValue('z')", "'z'"),
        ("vars.none.?a.orValue('z')", "'z'"),
        ("vars.list[?0].orValue(9)", "1"),
        ("vars.list[?7].orValue(9)", "9"),
        ("vars[?'missing'].orValue(9)", "9"),
        ("{?'a': vars.?n, ?'b': vars.?missing}", "{'a': 3}"),
        ("request.header('X-ONE')", "'1'"),
        ("request.header('x-two')", "'a'"),
        ("request.header('none', 5)", "5"),
        ("request.query('b', null)", "null"),
        ("request['id']", "'r1'"),
    ];
    for (source, expected) in cases {
        crate::tests::assert_same(source, expected, &handshake());
    }
}

#[test]
fn names_of_namespaces_do_not_collide() {
    let cases = [
        ("jwt.claims.sub", "'ann'"),
        ("jwt.decode('e30.e30.x').claims", "{}"),
        (
            "url('https://a.example/b').getHost() + url.parse('https://a.example/b').host",
            "'a.examplea.example'",
        ),
        (
            "ip('1.2.3.4').family() == 4 && ip.isCanonical('1.2.3.4')",
            "true",
        ),
        ("[{'parse': 1}].map(url, url.parse)", "[1]"),
        ("['a'].map(hex, hex.startsWith('a'))", "[true]"),
        ("[1, 2].map(request, request + 1)", "[2, 3]"),
        ("request.query('a') + request.query['a'][0]", "'11'"),
    ];
    for (source, expected) in cases {
        crate::tests::assert_same(source, expected, &handshake());
    }
}

#[test]
fn signed_tokens_verify() {
    use jsonwebtoken::{DecodingKey, Validation, decode};
    let source = "jwt.sign({'sub': 'ann', 'exp': 1}, 'a-key-of-the-test-with-48-bytes-as-HS384-demands-', 'HS384', duration('1h'))";
    let token = evaluate(source, &handshake()).expect("a token");
    let Value::String(token) = token else {
        panic!("{token:?}");
    };
    let mut validation = Validation::new(jsonwebtoken::Algorithm::HS384);
    validation.validate_exp = false;
    let key = DecodingKey::from_secret(b"a-key-of-the-test-with-48-bytes-as-HS384-demands-");
    let claims = decode::<serde_json::Value>(token.as_str(), &key, &validation)
        .expect("verifies")
        .claims;
    // 2026-03-01T12:00:00Z, and an hour later; a claim of the caller does not prolong the token.
    let expected = serde_json::json!({"sub": "ann", "iat": 1_772_366_400, "exp": 1_772_370_000});
    assert_eq!(claims, expected);
}

fn rsa_pem() -> String {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key");
    pem(AsDer::<Pkcs8V1Der<'_>>::as_der(&pair)
        .expect("DER")
        .as_ref())
}

#[test]
fn tokens_are_signed_with_private_keys() {
    let (rsa, ec) = (rsa_pem(), ec_pem());
    for (key, algorithm) in [(&rsa, "RS256"), (&rsa, "PS256"), (&ec, "ES256")] {
        let mut vars = handshake();
        vars.set_var("key", Value::from(key.as_str()));
        let source = format!("jwt.decode(jwt.sign({{}}, vars.key, '{algorithm}', 60)).header.alg");
        assert_eq!(
            evaluate(&source, &vars),
            Ok(Value::from(algorithm)),
            "{algorithm}"
        );
    }
    let mut vars = handshake();
    vars.set_var("key", Value::from(ec.as_str()));
    assert_fails(
        "key of another kind",
        evaluate("jwt.sign({}, vars.key, 'RS256', 60)", &vars),
        "at 0: jwt.sign: not a private key in PEM form that fits RS256",
    );
}

#[test]
fn random_values_differ() {
    let vars = handshake();
    for source in ["uuid()", "random(16)"] {
        assert_ne!(evaluate(source, &vars), evaluate(source, &vars), "{source}");
    }
    assert_eq!(evaluate("random(0)", &vars), Ok(Value::from("")));
}
