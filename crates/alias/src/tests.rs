//! The resolver as a whole, on small sites.

use super::*;

/// A site like that of a small family server.
fn load(section: config::Alias, files: &[(&str, &str)]) -> Loaded {
    let files: Vec<_> = files.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect();
    let read = move |path: &str| {
        let found = files.iter().find(|(name, _)| name == path);
        found.map(|(_, text)| text.clone().into_bytes()).ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotFound))
    };
    Resolver::load(&section, "mx.host.example", &["127.0.0.1".parse().unwrap()], &read)
}

fn resolver(text: &str) -> Resolver {
    let section = config::Alias { maps: vec!["hash:virtual".to_owned()], ..Default::default() };
    load(section, &[("virtual", text)]).lenient()
}

fn is_account(name: &str) -> bool {
    ["joe", "jane", "bob", "simon-mail"].contains(&name)
}

fn answer(resolver: &Resolver, address: &str) -> String {
    match resolver.resolve(address, Sender::Stranger, &is_account) {
        Err(rejection) => format!("{} {}", rejection.reply.code, rejection.reply.enhanced),
        Ok(resolution) => {
            let mut all: Vec<_> = resolution.recipients.iter().map(|r| r.address.clone()).collect();
            all.sort();
            all.extend(resolution.undeliverable.iter().map(|lost| format!("!{lost}")));
            all.join(" ")
        }
    }
}

fn check(map: &str, cases: &[(&str, &str)]) {
    let resolver = resolver(map);
    for (address, expected) in cases {
        assert_eq!(answer(&resolver, address), *expected, "{address}");
    }
}

#[test]
fn the_user_s_own_map() {
    let map = "darkmere.gen.nz              20140720\nsimon@darkmere.gen.nz        simon-mail@cyan.usenet.net.nz\n\
               root@darkmere.gen.nz         simon@darkmere.gen.nz\n";
    let section = config::Alias { maps: vec!["hash:virtual".to_owned()], ..Default::default() };
    let read = |_: &str| Ok(map.as_bytes().to_vec());
    let (resolver, warnings) = Resolver::load(&section, "cyan.usenet.net.nz", &[], &read).strict().unwrap();
    assert_eq!(warnings, []);
    assert_eq!(resolver.lint(&["simon-mail".to_owned()]), []);
    let resolution = resolver.resolve("root@darkmere.gen.nz", Sender::Stranger, &is_account).unwrap();
    let account = Destination::Account { name: "simon-mail".to_owned(), extension: None };
    assert_eq!(resolution.recipients, [Recipient { address: "simon-mail@cyan.usenet.net.nz".to_owned(), destination: account }]);
    let lines: Vec<_> = resolution.steps.iter().map(|s| (s.address.as_str(), s.line)).collect();
    assert_eq!(lines, [("root@darkmere.gen.nz", 3), ("simon@darkmere.gen.nz", 2)]);
    assert_eq!(answer(&resolver, "nobody@darkmere.gen.nz"), "550 5.1.1");
    assert_eq!(answer(&resolver, "someone@elsewhere.example"), "554 5.7.1");
}

#[test]
fn forms_of_the_key_have_an_order() {
    let map = "v.example x\n@v.example jane\nbob bob-bare@e.example\nbob@v.example joe\nbob+x@v.example jane@e.example\n";
    check(
        map,
        &[
            ("bob@v.example", "joe@mx.host.example"),
            ("bob+x@v.example", "jane@e.example"),
            ("bob+y@v.example", "joe+y@mx.host.example"),
            ("any+y@v.example", "jane@mx.host.example"),
            ("bob", "bob-bare@e.example"),
            ("bob+z@localhost", "bob-bare+z@e.example"),
            ("bob@[127.0.0.1]", "bob-bare@e.example"),
        ],
    );
}

#[test]
fn circles_end_with_an_error_and_self_references_quietly() {
    let map = "v.example x\na@v.example b@v.example\nb@v.example a@v.example\njoe joe, jane\nc@v.example c+x@v.example\n";
    check(map, &[("a@v.example", "451 4.6.0"), ("joe", "jane@mx.host.example joe@mx.host.example"), ("c@v.example", "451 4.6.0")]);
}

#[test]
fn dead_ends_are_refused_or_told() {
    let map = "v.example x\ndead@v.example ghost@v.example\nhalf@v.example ghost, joe\nempty@v.example ,\n";
    check(
        map,
        &[
            ("dead@v.example", "550 5.1.1"),
            ("half@v.example", "joe@mx.host.example !ghost@mx.host.example"),
            ("empty@v.example", "451 4.3.0"),
        ],
    );
}

#[test]
fn the_postmaster_is_always_there() {
    check("v.example x\n", &[("postmaster", "postmaster@mx.host.example"), ("POSTMASTER@localhost", "POSTMASTER@localhost")]);
    check("v.example x\n", &[("postmaster@v.example", "550 5.1.1"), ("postmaster+x@localhost", "550 5.1.1")]);
    let found = resolver("").resolve("postmaster", Sender::Stranger, &is_account).unwrap();
    assert_eq!(found.recipients[0].destination, Destination::Postmaster);
}

#[test]
fn members_may_write_anywhere() {
    let resolver = resolver("v.example x\n");
    let found = resolver.resolve("x@e.example", Sender::Member, &is_account).unwrap();
    assert_eq!(found.recipients[0].destination, Destination::Elsewhere("x@e.example".to_owned()));
    assert!(resolver.resolve("ghost@localhost", Sender::Member, &is_account).is_err());
}

#[test]
fn broken_lines_defer_what_they_may_have_held() {
    let section = config::Alias { maps: vec!["hash:virtual".to_owned()], ..Default::default() };
    let files = [("virtual", "v.example x\nlonely@v.example\n")];
    let problems = load(section.clone(), &files).strict().unwrap_err();
    assert_eq!(problems[0].line, 2);
    let resolver = load(section.clone(), &files).deferring();
    assert_eq!(answer(&resolver, "lonely@v.example"), "451 4.3.5");
    assert_eq!(answer(&resolver, "joe@localhost"), "joe@localhost");
    assert_eq!(answer(&load(section, &files).lenient(), "lonely@v.example"), "550 5.1.1");
}

#[test]
fn lint_names_what_cannot_be_meant() {
    let map = "v.example x\na@v.example b@v.example\nb@v.example a@v.example, joe\ndead@v.example ghost\n\
               u@foreign.example joe\n@mx.host.example bob\njoe joe@localhost\nok@v.example jane@localhost, far@e.example\n";
    let shown: Vec<_> =
        resolver(map).lint(&["joe".to_owned(), "jane".to_owned(), "bob".to_owned()]).iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "hash:virtual:2: error: these lines lead in a circle: a@v.example -> b@v.example -> a@v.example",
            "hash:virtual:5: warning: nobody reaches this line: foreign.example is not one of our domains; \
             a line \"foreign.example x\" makes it one: u@foreign.example joe",
            "hash:virtual:6: warning: this line takes the mail of jane; give each a line of its own before it: @mx.host.example bob",
        ]
    );
    let missing = resolver("v.example x\ndead@v.example ghost\n").lint(&[]);
    assert_eq!(missing[0].to_string(), "hash:virtual:2: warning: the target ghost@mx.host.example does not exist: dead@v.example ghost");
}

#[test]
fn later_maps_are_hidden_by_earlier_ones() {
    let section = config::Alias { maps: vec!["hash:one".to_owned(), "hash:two".to_owned()], ..Default::default() };
    let resolver = load(section, &[("one", "v.example x\na@v.example joe\n"), ("two", "a@v.example jane\nb@v.example jane\n")]).lenient();
    assert_eq!(answer(&resolver, "a@v.example"), "joe@mx.host.example");
    let shown = resolver.lint(&["joe".to_owned(), "jane".to_owned()]);
    assert_eq!(shown.len(), 1);
    assert!(shown[0].message.contains("hash:one:2"), "{}", shown[0]);
}

proptest::proptest! {
    #[test]
    fn no_address_and_no_map_panics(map in "[a-c@.+ \\\\\"<>():;,%!\n#\t]{0,80}", address in "[a-c@.+ \\\\\"<>():;,%!é\\[\\]]{0,24}") {
        let resolver = resolver(&format!("b.c x\n@b.c @c.b\n{map}"));
        let _ = resolver.resolve(&address, Sender::Stranger, &is_account);
        let _ = resolver.lint(&["a".to_owned()]);
    }

    #[test]
    fn no_table_of_patterns_panics(table in "[a-b/!^$.*+?()\\[\\]{}|\\\\1, \niefnd:-]{0,80}", address in "[a-b@.é]{0,12}") {
        for kind in ["regexp:t", "pcre:t"] {
            let section = config::Alias { maps: vec![kind.to_owned()], ..Default::default() };
            let resolver = load(section, &[("t", &table)]).lenient();
            let _ = resolver.resolve(&address, Sender::Stranger, &is_account);
        }
    }
}
