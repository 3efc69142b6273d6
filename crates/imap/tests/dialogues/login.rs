use std::time::Duration;

use imap::{Peer, Remark};

use crate::harness::{Dialogue, Setup, fresh, logged_in};

fn remote(tls: bool) -> Setup {
    Setup { tls: true, peer: Peer { ip: [192, 0, 2, 1].into(), tls, loopback: false }, ..Setup::default() }
}

#[test]
fn login_by_command() {
    fresh(
        r#"
        S: * OK [CAPABILITY IMAP4rev1 … AUTH=PLAIN AUTH=LOGIN] Pillarbox ready.
        C: a LOGIN user wrong
        S: a NO [AUTHENTICATIONFAILED] Name or password is wrong.
        C: b select inbox
        S: b BAD Log in first
        C: c LOGIN "us\"er" {4}
        S: + OK
        C: pass
        S: c OK [CAPABILITY IMAP4rev1 … UIDPLUS …] Logged in
        C: d LOGIN user pass
        S: d BAD Already logged in
        C: e LOGOUT
        S: * BYE Logging out
        S: e OK Logout completed.
        "#,
    );
}

#[test]
fn sasl_with_and_without_initial_response() {
    fresh(
        r#"
        S: * OK …
        C: a AUTHENTICATE PLAIN AHVzZXIAcGFzcw==
        S: a OK [CAPABILITY …] Logged in
        C2: a authenticate plain
        S2: +…
        C2: AHVzZXIAcGFzcw
        S2: a OK …
        C3: a AUTHENTICATE LOGIN
        S3: + VXNlcm5hbWU6
        C3: dXNlcg==
        S3: + UGFzc3dvcmQ6
        C3: cGFzcw==
        S3: a OK …
        C4: a AUTHENTICATE LOGIN dXNlcg==
        S4: + UGFzc3dvcmQ6
        C4: cGFzcw==
        S4: a OK …
        "#,
    );
}

#[test]
fn sasl_that_fails() {
    fresh(
        r#"
        S: * OK …
        C: a AUTHENTICATE PLAIN
        S: +…
        C: *
        S: a BAD Authentication cancelled.
        C: b AUTHENTICATE PLAIN !!!
        S: b BAD Invalid base64 data.
        C: c AUTHENTICATE PLAIN =
        S: c BAD Invalid response for PLAIN.
        C: d AUTHENTICATE CRAM-MD5
        S: d NO [CANNOT] Unsupported authentication mechanism.
        C: e AUTHENTICATE PLAIN b3RoZXIAdXNlcgBwYXNz
        S: e OK …
        "#,
    );
}

#[test]
fn no_password_in_the_clear() {
    Dialogue::new(remote(false)).run(
        r#"
        S: * OK [CAPABILITY IMAP4rev1 SASL-IR LITERAL+ ID ENABLE IDLE STARTTLS LOGINDISABLED] Pillarbox ready.
        C: a LOGIN user pass
        S: a NO [PRIVACYREQUIRED] Encryption is needed before logging in.
        C: b AUTHENTICATE PLAIN AHVzZXIAcGFzcw==
        S: b NO [PRIVACYREQUIRED] …
        "#,
    );
}

#[test]
fn what_comes_with_starttls_is_forgotten() {
    let mut dialogue = Dialogue::new(remote(false));
    let account = dialogue.account.clone();
    let client = dialogue.client(1);
    client.send(b"a STARTTLS\r\nb LOGIN user pass\r\n", &account);
    assert!(client.starts_tls);
    dialogue.run(
        r#"
        S: * OK …
        S: a OK Begin TLS negotiation now.
        C: c CAPABILITY
        S: * CAPABILITY IMAP4rev1 SASL-IR LITERAL+ ID ENABLE IDLE AUTH=PLAIN AUTH=LOGIN
        S: c OK Capability completed.
        C: d STARTTLS
        S: d BAD TLS is active already.
        C: e LOGIN user pass
        S: e OK …
        "#,
    );
}

#[test]
fn too_many_failures_end_the_session() {
    let mut dialogue = Dialogue::new(Setup::default());
    let account = dialogue.account.clone();
    let client = dialogue.client(1);
    client.take();
    for _ in 0..5 {
        client.send(b"a LOGIN user wrong\r\n", &account);
    }
    assert!(String::from_utf8_lossy(&client.take()).contains("* BYE Too many failed log-ins\r\n"));
    assert!(client.closed);
    assert_eq!(client.remarks, [Remark::Ended("too many failed log-ins")]);
}

#[test]
fn time_to_log_in_and_to_be_silent() {
    let mut dialogue = Dialogue::new(Setup::default());
    let account = dialogue.account.clone();
    let client = dialogue.client(1);
    client.wait(Duration::from_secs(179), &account);
    assert!(!client.closed);
    client.wait(Duration::from_secs(2), &account);
    assert!(client.closed && client.take().ends_with(b"* BYE Disconnected for inactivity\r\n"));
    let mut dialogue = Dialogue::within("");
    let client = dialogue.client(1);
    client.wait(Duration::from_secs(29 * 60), &account);
    client.send(b"a NOOP\r\n", &account);
    client.wait(Duration::from_secs(30 * 60), &account);
    assert!(!client.closed);
    client.wait(Duration::from_secs(90), &account);
    assert!(client.closed);
}

#[test]
fn what_a_client_says_it_is() {
    let mut dialogue = Dialogue::new(Setup::default());
    dialogue.run(
        r#"
        S: * OK …
        C: a ID NIL
        S: * ID ("name" "Pillarbox")
        S: a OK ID completed.
        C: b ID ("name" "Thing" "version" NIL "os" "a b")
        S: * ID ("name" "Pillarbox")
        S: b OK ID completed.
        C: c ID ("name")
        S: c BAD …
        "#,
    );
    assert_eq!(dialogue.client(1).remarks, [Remark::Client("name=Thing; version=; os=a b".to_owned())]);
}

#[test]
fn small_commands() {
    logged_in(
        r#"
        C: a NAMESPACE
        S: * NAMESPACE (("" ".")) NIL NIL
        S: a OK …
        C: b ENABLE QRESYNC X-UNKNOWN
        S: * ENABLED QRESYNC
        S: b OK Enabled.
        C: c ENABLE CONDSTORE
        S: * ENABLED
        S: c OK Enabled.
        C: d NOOP x
        S: d BAD Unexpected argument
        C: e XYZZY
        S: e BAD Unknown command
        C: f UID NOOP
        S: f BAD Unknown command
        C: g
        S: g BAD Missing command
        C: h CHECK
        S: h BAD Select a mailbox first
        "#,
    );
}
