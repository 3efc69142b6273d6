//! The four abbreviations: `^TO_`, `^TO`, `^FROM_DAEMON` and `^FROM_MAILER`, as procmailrc(5) spells them out.

/// Matches an address among the recipients.
const TO_ADDRESS: &str = "(^((Original-)?(Resent-)?(To|Cc|Bcc)|(X-Envelope|Apparently(-Resent)?)-To):(.*[^-a-zA-Z0-9_.])?)";

/// Matches a word among the recipients.
const TO_WORD: &str = "(^((Original-)?(Resent-)?(To|Cc|Bcc)|(X-Envelope|Apparently(-Resent)?)-To):(.*[^a-zA-Z])?)";

/// Matches mail that was sent by a program.
const FROM_DAEMON: &str = concat!(
    "(^(Mailing-List:|Precedence:.*(junk|bulk|list)|To: Multiple recipients of |",
    "(((Resent-)?(From|Sender)|X-Envelope-From):|>?From )([^>]*[^(.%@a-z0-9])?(",
    "Post(ma?(st(e?r)?|n)|office)|(send)?Mail(er)?|daemon|m(mdf|ajordomo)|n?uucp|",
    "LIST(SERV|proc)|NETSERV|o(wner|ps)|r(e(quest|sponse)|oot)|b(ounce|bs\\.smtp)|",
    "echo|mirror|s(erv(ices?|er)|mtp(error)?|ystem)|A(dmin(istrator)?|MMGR|utoanswer)",
    ")(([^).!:a-z0-9][-_a-z0-9]*)?[%@>\t ][^<)]*(\\(.*\\).*)?)?$([^>]|$)))",
);

/// Matches mail that was sent by a mail system.
const FROM_MAILER: &str = concat!(
    "(^(((Resent-)?(From|Sender)|X-Envelope-From):|>?From )([^>]*[^(.%@a-z0-9])?(",
    "Post(ma(st(er)?|n)|office)|(send)?Mail(er)?|daemon|mmdf|n?uucp|ops|",
    "r(esponse|oot)|(bbs\\.)?smtp(error)?|s(erv(ices?|er)|ystem)|A(dmin(istrator)?|MMGR)",
    ")(([^).!:a-z0-9][-_a-z0-9]*)?[%@>\t ][^<)]*(\\(.*\\).*)?)?$([^>]|$))",
);

/// In the order in which procmail looks for them.
const MACROS: [(&[u8], &str); 4] =
    [(b"^FROM_DAEMON", FROM_DAEMON), (b"^TO_", TO_ADDRESS), (b"^TO", TO_WORD), (b"^FROM_MAILER", FROM_MAILER)];

/// Spells out the abbreviations. True if `^FROM_DAEMON` was among them: case then never matters.
///
/// Only the first place of each name is looked at, again after each replacement; a backslash before it keeps it as it is.
/// `longest` bounds the result.
pub(crate) fn expand(expression: &mut Vec<u8>, longest: usize) -> bool {
    let mut daemon = false;
    while let Some((at, (name, text))) = MACROS.iter().find_map(|found| Some((place(expression, found.0)?, found))) {
        if expression.len() + text.len() > longest {
            break;
        }
        daemon |= *name == MACROS[0].0;
        expression.splice(at..at + name.len(), text.bytes());
    }
    daemon
}

fn place(expression: &[u8], name: &[u8]) -> Option<usize> {
    let at = memchr::memmem::find(expression, name)?;
    let escaped = at > 0 && expression[at - 1] == b'\\';
    (!escaped).then_some(at)
}
