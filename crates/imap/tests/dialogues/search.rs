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
        S: j BAD Unknown return option
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

#[test]
fn parts_of_a_large_result() {
    selected(
        r#"
        C: a SEARCH RETURN (PARTIAL 2:3) ALL
        S: * ESEARCH (TAG "a") PARTIAL (2:3 2:3)
        S: a OK Search completed.
        C: b UID SEARCH RETURN (COUNT PARTIAL -1:-2) ALL
        S: * ESEARCH (TAG "b") UID COUNT 3 PARTIAL (-1:-2 2:3)
        S: b OK Search completed.
        C: c SEARCH RETURN (PARTIAL 5:9 SAVE) ALL
        S: * ESEARCH (TAG "c") PARTIAL (5:9 NIL)
        S: c OK Search completed.
        C: d SEARCH RETURN (PARTIAL 1:2 ALL) ALL
        S: d BAD ALL and PARTIAL exclude each other
        C: e UID FETCH 1:* UID (PARTIAL -1:-1)
        S: * 3 FETCH (UID 3)
        S: e OK Fetch completed.
        C: f FETCH 1:* UID (PARTIAL -1:-1)
        S: f BAD PARTIAL needs UID FETCH
        "#,
    );
}

#[test]
fn sorted_and_threaded() {
    selected(
        r#"
        C: a SORT (SUBJECT) UTF-8 ALL
        S: * SORT 1 3 2
        S: a OK Sort completed.
        C: b UID SORT RETURN (ALL MIN) (REVERSE SUBJECT) US-ASCII ALL
        S: * ESEARCH (TAG "b") UID MIN 2 ALL 2:3,1
        S: b OK Sort completed.
        C: c SORT (NOTHING) UTF-8 ALL
        S: c BAD Unknown sort criterion
        C: d SORT (DATE) X-NONE ALL
        S: d NO [BADCHARSET …
        C: e THREAD REFERENCES UTF-8 ALL
        S: * THREAD (1)(2)(3)
        S: e OK Thread completed.
        C: f UID THREAD ORDEREDSUBJECT UTF-8 SUBJECT nothing
        S: * THREAD
        S: f OK Thread completed.
        C: g THREAD FOO UTF-8 ALL
        S: g BAD Unknown thread algorithm
        "#,
    );
}
