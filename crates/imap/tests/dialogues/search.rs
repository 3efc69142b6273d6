use crate::harness::{Dialogue, selected};

#[test]
fn conditions() {
    selected(
        r#"
        C: a SEARCH ALL
        S: * SEARCH 1 2 3
        S: a OK Search completed.
        C: b SEARCH SUBJECT two
        S: * SEARCH 2
        S: b OK Search completed.
        C: c UID SEARCH OR SUBJECT one NOT (BODY "of" 1:2)
        S: * SEARCH 1 3
        S: c OK Search completed.
        C: d SEARCH 9
        S: * SEARCH
        S: d OK Search completed.
        C: e SEARCH CHARSET X-NONE SUBJECT x
        S: e NO [BADCHARSET (US-ASCII UTF-8)] Unknown charset
        C: f SEARCH CHARSET UTF-8 HEADER subject {3}
        S: + OK
        C: one SINCE 1-Jan-2023 LARGER 10 UNSEEN RECENT
        S: * SEARCH 1
        S: f OK Search completed.
        C: g SEARCH
        S: g BAD Missing argument
        C: h SEARCH (ALL
        S: h BAD Malformed list
        C: i SEARCH ALL)
        S: i BAD Missing argument
        C: j SEARCH KEYWORD \Seen
        S: j BAD Missing atom
        C: k SEARCH YOUNGER 10 NOT OLDER 10
        S: * SEARCH 1 2 3
        S: k OK Search completed.
        C: l SEARCH SAVEDON 14-Nov-2023 SAVEDATESUPPORTED
        S: * SEARCH 1 2 3
        S: l OK Search completed.
        "#,
    );
}

#[test]
fn answers_as_asked() {
    selected(
        r#"
        C: a SEARCH RETURN () ALL
        S: * ESEARCH (TAG "a") ALL 1:3
        S: a OK Search completed.
        C: b UID SEARCH RETURN (MIN MAX COUNT) NOT 2
        S: * ESEARCH (TAG "b") UID MIN 1 MAX 3 COUNT 2
        S: b OK Search completed.
        C: c SEARCH RETURN (MIN COUNT) SEEN
        S: * ESEARCH (TAG "c") COUNT 0
        S: c OK Search completed.
        C: d SEARCH RETURN (SAVE) 2:3
        S: d OK Search completed.
        C: e FETCH $ UID
        S: * 2 FETCH (UID 2)
        S: * 3 FETCH (UID 3)
        S: e OK Fetch completed.
        C: f SEARCH RETURN (MAX SAVE) $
        S: * ESEARCH (TAG "f") MAX 3
        S: f OK Search completed.
        C: g UID STORE $ +FLAGS (\Deleted)
        S: * 3 FETCH (UID 3 FLAGS (\Recent \Deleted))
        S: g OK Store completed.
        C: h UID EXPUNGE $
        S: * 3 EXPUNGE
        S: h OK Expunge completed.
        C: i SEARCH $
        S: * SEARCH
        S: i OK Search completed.
        C: j SEARCH RETURN (FOO) ALL
        S: j BAD Unknown SEARCH return option
        C: k SEARCH RETURN (SAVE) 1
        S: k OK Search completed.
        C: l SEARCH RETURN (SAVE) CHARSET X ALL
        S: l NO [BADCHARSET …
        C: m SEARCH $
        S: * SEARCH
        S: m OK Search completed.
        "#,
    );
}

#[test]
fn modification_sequences() {
    selected(
        r#"
        C: a SEARCH MODSEQ 3
        S: * OK [HIGHESTMODSEQ 4] Highest
        S: * SEARCH 2 3 (MODSEQ 4)
        S: a OK Search completed.
        C: b SEARCH RETURN (MIN) MODSEQ "/flags/\\seen" all 1
        S: * ESEARCH (TAG "b") MIN 1 MODSEQ 2
        S: b OK Search completed.
        C: c SEARCH MODSEQ 99
        S: * SEARCH
        S: c OK Search completed.
        "#,
    );
}

#[test]
fn nesting_has_a_limit() {
    let mut dialogue = Dialogue::within("INBOX");
    let nested = |depth: usize| format!("{}ALL{}", "(".repeat(depth), ")".repeat(depth));
    dialogue.run(&format!("C: a SEARCH {}\nS: * SEARCH\nS: a OK …", nested(100)));
    dialogue.run(&format!("C: a SEARCH {}\nS: a BAD Conditions are nested too deeply", nested(101)));
    dialogue.run(&format!("C: a SEARCH {}\nS: a BAD Conditions are nested too deeply", nested(60_000)));
    dialogue.run(&format!("C: a SEARCH {}ALL\nS: a BAD Conditions are nested too deeply", "NOT ".repeat(10_000)));
    dialogue.run(&format!("C: a SEARCH {}ALL ALL\nS: a BAD …", "OR ALL ".repeat(10_000)));
}
