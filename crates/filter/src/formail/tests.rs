use super::*;

fn run(arguments: &[&str], message: &str) -> Edited {
    let arguments = arguments.iter().map(|argument| argument.as_bytes().to_vec());
    Options::read(arguments).unwrap().edit(message.as_bytes(), 1_551_780_672).unwrap()
}

fn check(arguments: &[&str], message: &str, expected: &str) {
    let edited = run(arguments, message);
    assert_eq!(String::from_utf8_lossy(&edited.text), expected, "{arguments:?}");
}

#[test]
fn a_from_line_is_made_and_others_are_quoted() {
    check(&[], "From: J <j@x.y>\n\nFrom here\nx\n", "From j@x.y  Tue Mar  5 10:11:12 2019\nFrom: J <j@x.y>\n\n>From here\nx\n\n");
    check(&["-f", "-b"], "A: b\n\nFrom x", "A: b\n\nFrom x\n\n");
    check(&["-f"], "A: b\nContent-Length: 7\n\nFrom x\n", "A: b\nContent-Length: 7\n\nFrom x\n\n");
    check(&["-f"], "", "\n");
    check(&["-f"], "A: b\n\nx\n\n", "A: b\n\nx\n\n");
}

#[test]
fn fields_are_added_replaced_and_renamed() {
    let message = "Subject: a\nTo: b\n\nx\n\n";
    check(
        &["-f", "-i", "Subject: new", "-A", "X: y", "-a", "To: no", "-aCc: z"],
        message,
        "Old-Subject: a\nTo: b\nCc: z\nX: y\nSubject: new\n\nx\n\n",
    );
    check(&["-fI", "Subject:"], message, "To: b\n\nx\n\n");
    check(&["-fI", "Sub"], message, "To: b\n\nx\n\n");
    check(&["-fISubject: q"], message, "To: b\nSubject: q\n\nx\n\n");
    check(&["-f", "-R", "To:", "X-To:"], message, "Subject: a\nX-To: b\n\nx\n\n");
    let twice = "S: 1\nT: 2\nS: 3\n\n";
    check(&["-f", "-u", "S:"], twice, "S: 1\nT: 2\n\n");
    check(&["-f", "-U", "S:"], twice, "T: 2\nS: 3\n\n");
}

#[test]
fn a_name_with_a_colon_does_not_mean_the_from_line() {
    let message = "From a@b Tue Mar  5\nFrom: c\nTo :d\n\n";
    check(&["-x", "From:"], message, " c\n");
    check(&["-X", "From"], message, "From a@b Tue Mar  5\nFrom: c\n");
    check(&["-c"], message, "From a@b Tue Mar  5\nFrom: c\nTo:d\n\n");
}

#[test]
fn what_is_replaced_names_no_sender() {
    let from = "From foo@bar  Tue Mar  5 10:11:12 2019\n";
    check(&["-I", "From: x"], "From: a@b.c\n\n", &format!("{from}From: x\n\n"));
    check(&["-R", "From:", "X-From:"], "From: a@b.c\n\n", &format!("{from}X-From: a@b.c\n\n"));
    check(&["-i", "From  z@z"], "A: b\n\n", "A: b\nFrom  z@z\n\n");
    check(
        &["-t"],
        "Sender: s@x.y\nReturn-Path: <r@x.y>\n\n",
        "From r@x.y  Tue Mar  5 10:11:12 2019\nSender: s@x.y\nReturn-Path: <r@x.y>\n\n",
    );
}

#[test]
fn wrong_command_lines_are_refused() {
    let read = |arguments: &[&str]| Options::read(arguments.iter().map(|argument| argument.as_bytes().to_vec()));
    for arguments in [&["-A", "Foo"][..], &["-I", "bad name"], &["-x", "a b"], &["-n"], &["-n", "-s"], &["-k"], &["-R", "a b", "c"]] {
        assert!(read(arguments).is_err(), "{arguments:?}");
    }
    for arguments in
        [&["-I", "Foo"][..], &["-R", "Subject", "X-S"], &["-a", "Resent-"], &["-x", "Sub"], &["-ns"], &["-n2s"], &["-n", "2", "-s"]]
    {
        assert!(read(arguments).is_ok(), "{arguments:?}");
    }
    assert!(Split::default().messages(b"\n").is_empty());
}

#[test]
fn fields_are_extracted() {
    let message = "Subject: a\n  b\nSubject: c\nX-S: d\n\nx\n";
    check(&["-x", "Subject:", "-X", "X-"], message, " a\n  b\n c\nX-S: d\n");
    check(&["-czxSubj"], message, "a   b\nc\n");
    check(&["-k", "-X", "X-S:"], message, "X-S: d\n\nx\n\n");
    check(&["-zf"], "Subject : x\nA:b\nB:\nC: \n\n", "Subject: x\nA: b\n\n");
}

#[test]
fn replies_go_to_the_sender() {
    let message = "From a@b.c Tue Mar  5 10:11:12 2019\nFrom: \"A B\" <w@x.y> (c)\nSubject: x\nMessage-ID: <1@x>\nReferences: <0@x>\nX-Loop: l\n\nq\n";
    let rest = "Subject: Re: x\nReferences: <0@x> <1@x>\nIn-Reply-To: <1@x>\n\n";
    check(&["-r"], message, &format!("X-Loop: l\nTo: a@b.c\n{rest}"));
    check(&["-rt"], message, &format!("X-Loop: l\nTo: w@x.y\n{rest}"));
    check(&["-rtzxTo:"], message, "w@x.y\n");
    check(&["-r"], "Return-Path: <>\nFrom: a@b.c\n\nx\n", "To: <>\n\n");
    check(&["-rk", "-p", "| "], "From: a@b.c\nSubject: Re: x\n\ny\n\nFrom z\n", "To: a@b.c\nSubject: Re: Re: x\n\n| y\n\n| | From z\n\n");
    assert!(run(&["-r"], "A: b\n\n").no_address);
}

#[test]
fn ids_are_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("ids");
    let cache = cache.to_str().unwrap();
    let seen = |id: &str| run(&["-D", "20", cache], &format!("Message-ID: {id}\n\n")).duplicate;
    assert!(!seen("<1@x>") && seen("<1@x>") && !seen("<2@x>"));
    assert_eq!(std::fs::read(cache).unwrap(), b"<1@x>\0<2@x>\0\0");
    assert!(!seen("<33333@x>") && !seen("<4@x>"));
    assert_eq!(std::fs::read(cache).unwrap(), b"<4@x>\0\x002@x>\0<33333@x>\0\0");
    assert!(!run(&["-D", "20", cache], "A: b\n\n").duplicate);
    let unused = folder.path().join("unused");
    assert!(!run(&["-D", "20", unused.to_str().unwrap()], "A: b\n\n").duplicate);
    assert_eq!(std::fs::read(unused).unwrap(), b"");
}

#[test]
fn mailboxes_and_digests_are_split() {
    let split = |arguments: &[&str], text: &'static str| {
        let options = Options::read(arguments.iter().map(|argument| argument.as_bytes().to_vec())).unwrap();
        options
            .split
            .unwrap()
            .messages(text.as_bytes())
            .into_iter()
            .map(|part| String::from_utf8_lossy(&part).into_owned())
            .collect::<Vec<_>>()
    };
    let mailbox = "From a@b d\nTo: 1\n\nx\nFrom not one\n\nFrom c@d d\nTo: 2\n\nz\n";
    assert_eq!(split(&["-s"], mailbox).len(), 2);
    assert_eq!(split(&["+1", "-s"], mailbox), ["From c@d d\nTo: 2\n\nz\n"]);
    assert_eq!(split(&["-1", "-s"], mailbox).len(), 1);
    let digest = "From l@s d\nSubject: D\n\nintro\n\nFrom: a@s\nSubject: w\n\nhigh\n\nTo: only one\n\nFrom: b@s\nSubject: q\n\nnew\n";
    assert_eq!(split(&["-ds"], digest).len(), 3);
}

#[test]
fn a_postmark_needs_a_field_behind_it() {
    let split = |arguments: &[&str]| {
        let options = Options::read(arguments.iter().map(|argument| argument.as_bytes().to_vec())).unwrap();
        options.split.unwrap().messages(b"From a@b d\nA: b\n\nx\n\nFrom here on\nno field\n").len()
    };
    assert_eq!((split(&["-s"]), split(&["-m", "1", "-s"])), (1, 2));
}

#[test]
fn rmail_files_are_split() {
    let file = "BABYL OPTIONS:\nVersion: 5\n\x1f\x0c\n1,,\nReceived: x\nFrom: a@b\n\n*** EOOH ***\nFrom: a@b\n\none\nFrom x\n\x1f\x0c\n1,,\nA: c\n\n*** EOOH ***\n\ntwo\n\x1f";
    let options = Options::read(["-B", "-s"].map(|argument| argument.as_bytes().to_vec())).unwrap();
    let messages = options.split.as_ref().unwrap().messages(file.as_bytes());
    assert_eq!(messages, [&b"Received: x\nFrom: a@b\n\n\none\nFrom x\n"[..], b"A: c\n\n\ntwo\n"]);
    let edited = options.edit(&messages[0], 0).unwrap().text;
    assert!(edited.ends_with(b"\nFrom: a@b\n\n\none\nFrom x\n"), "{edited:?}");
}

/// As formail from Debian was seen to do.
#[test]
fn senders_are_found_as_formail_does() {
    for (header, sender) in [
        ("From: a . b@c.d", "a.b@c.d"),
        ("From: Re: hello", "Re:hello"),
        ("From: a (c) @b.c", "a@b.c"),
        ("From: a:b;c", "a:b;"),
        ("From: a; b", "a"),
        ("From: ;a", "foo@bar"),
        ("From: joe \"x\" y", "joe\"x\""),
        ("From: x y <c@d.e>", "c@d.e"),
        ("From : x@y.example", "x@y.example"),
        ("From: joe\nReturn-Receipt-To: x@y.UUCP", "x@y.UUCP"),
        ("From: a!b\nReturn-Receipt-To: a@b", "a!b"),
        ("From: a@b.c\nReturn-Receipt-To: a!b", "a@b.c"),
        ("From x Tue\n>From y Tue remote from a\n>From z Tue remote from far", "a!far!z"),
        ("From  x@y.example  Tue\nFrom: two", "two"),
    ] {
        check(&["-r"], &format!("{header}\n\n"), &format!("To: {sender}\n\n"));
    }
}

#[test]
fn a_from_line_that_would_be_renamed_is_not_made() {
    let message = "From: a@b\nTo: c\n\n";
    check(&["-i", "From"], message, "Old-From: a@b\nTo: c\n\n");
    check(&["-R", "Fr", "To:"], message, "To: a@b\nTo: c\n\n");
    check(&["-R", "From:", "X-F:"], message, "From foo@bar  Tue Mar  5 10:11:12 2019\nX-F: a@b\nTo: c\n\n");
}

#[test]
fn content_length_covers_lines_that_begin_in_it() {
    check(&["-f"], "Content-Length: 8\n\nFrom a b\nFrom c\n\n", "Content-Length: 8\n\nFrom a b\n>From c\n\n");
}

#[test]
fn summaries_look_like_the_log() {
    check(&["-l", "box"], "From a b\nSubject: s\n\nx\n", "From a b\n Subject: s\n  Folder: box\t\t\t\t\t\t\t\t     24\n");
}

#[test]
fn impossible_combinations_are_refused() {
    for arguments in [&["-Q"][..], &["-k"], &["-d"], &["-x"], &["x"], &["-x", "A:", "-l", "box"]] {
        assert!(Options::read(arguments.iter().map(|argument| argument.as_bytes().to_vec())).is_err(), "{arguments:?}");
    }
}

#[test]
fn the_from_line_can_be_made_anew() {
    let message = "From x@q.r y\nFrom: a@b.c\n\n";
    check(&["-I", "From ", "-a", "From "], message, "From x@q.r  Tue Mar  5 10:11:12 2019\nFrom: a@b.c\n\n");
}
