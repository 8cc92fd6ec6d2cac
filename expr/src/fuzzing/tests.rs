//! The seeds of the fuzz target, and what was once found, hold in every test run.

use std::path::Path;

use super::expressions;

/// One of each kind; a line is a seed.
const SEEDS: &[(&str, &str)] = &[
    ("arithmetic", "1 + 2 * 3 - 4 / 2 % 3"),
    ("unsigned", "2u + uint(vars.n)"),
    ("fractions", "vars.f * 1.5e3"),
    (
        "comparison",
        "request.method == 'GET' && client.port >= 1024",
    ),
    ("choice", "has(vars.none) ? vars.none : 'no'"),
    ("absorbed error", "vars.none.x == 1 || true"),
    ("header", "request.header('x-one', 'none')"),
    ("query", "int(request.query('a')) in [1, 2]"),
    ("claims", "'reader' in jwt.claims.roles"),
    (
        "list passes",
        "vars.list.filter(x, x % 2 == 0).map(x, x * x).exists(x, x == 4)",
    ),
    (
        "two passes",
        "vars.list.all(a, vars.list.exists(b, a == b))",
    ),
    ("map", "{'a': 1, 'b': [vars.n]}.b[0]"),
    ("optional", "request.headers[?'x-two'].orValue(['c'])[0]"),
    (
        "strings",
        "vars.text.split(',').join('-').substring(1, 9).upperAscii()",
    ),
    ("replace", "vars.text.replace('a', 'aaaa').size()"),
    ("format", "'%s %d %.2f %x'.format(['a', 1, 0.5, 255])"),
    (
        "pattern",
        "vars.text.matches('^(a|b)+.*$') && 'a1b2'.findAll('[0-9]') == ['1', '2']",
    ),
    (
        "address",
        "ip(client.ip).family() == 4 && cidr('10.0.0.0/8').containsIP(client.ip)",
    ),
    ("URL", "url.parse('https://h:8/p?a=1&b=2#f').query.a"),
    (
        "JSON",
        r#"json.parse('{"a": [1, {"b": null}]}').a[1].b == null"#,
    ),
    ("JSON back", "json.encode(vars.mixed)"),
    (
        "base64url",
        "base64url.decode(base64url.encode(b'\\x00\\xff'))",
    ),
    ("digest", "sha256(vars.text) + hmacSha256(values.key, 'a')"),
    (
        "token",
        "jwt.decode('eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.').claims.sub",
    ),
    (
        "signed token",
        "jwt.sign({'sub': 'a'}, values.key, 'HS256', 60)",
    ),
    ("basic", "basic.decode('Basic YTpi').username"),
    ("random", "random(8).size() + uuid().size()"),
    (
        "time",
        "now - timestamp('2026-01-01T00:00:00Z') > duration('1h30m')",
    ),
    (
        "calendar",
        "now.getFullYear() == 2026 && now.getDayOfWeek('Europe/Paris') < 7",
    ),
    ("secret in an error", "int(values.key)"),
    ("secret as a name", "${vars['a' + values.key]}"),
    ("secret as a key", "vars[values.key]"),
    ("template", "a ${request.path} $${not} ${'}'} ${{'a': 1}.a}"),
    ("secret template", "Bearer ${values.key}"),
    ("error", "${error.reason} ${response.status}"),
    ("unknown name", "requst.path"),
    (
        "escapes",
        r"'\u00e9\U0001f600\x41\101' + r'\d' + '''a
b'''",
    ),
    ("deep", "((((((((((((((((1))))))))))))))))"),
    ("unclosed", "${request.path"),
    // Its map has no order: as text it was not itself.
    ("map without order", "{'a': 2, 'b': [vars.n]}"),
];

#[test]
fn expressions_hold_for_every_seed() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/expressions");
    for (name, text) in SEEDS {
        let path = directory.join(name.replace(' ', "-"));
        // All variables exist in the third stage.
        let data = [b"\x02", text.as_bytes()].concat();
        if std::env::var_os("UPDATE_SEEDS").is_some() {
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(&path, &data).unwrap();
        }
        let found = std::fs::read(&path).unwrap_or_default();
        assert!(found == data, "{}: UPDATE_SEEDS=1", path.display());
    }
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let data = std::fs::read(&path).unwrap();
        let result = std::panic::catch_unwind(|| expressions(&data));
        assert!(result.is_ok(), "{}", path.display());
    }
}
