//! Made-up mail, the same in every run.

/// A message of about `size` octets with LF line ends; `number` tells it from others.
pub(crate) fn message(number: usize, size: usize) -> String {
    let hops = (0..4).map(|hop| {
        format!("Received: from host{hop}.example.org by mx.example.net with ESMTP id {hop}abcdef; Tue, 5 Mar 2019 10:11:11 +0000\n")
    });
    let mut message: String = hops.collect();
    message += &format!(
        "From: Joe Doe <joe{number}@example.com>\nTo: ann@example.org, bob@example.org\nSubject: Report {number} of the week\n\
         Date: Tue, 5 Mar 2019 10:11:12 +0000\nMessage-ID: <{number}@example.com>\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n"
    );
    while message.len() < size {
        message += "The quick brown fox jumps over the lazy dog and goes home.\n.one line in three begins with a dot\n\n";
    }
    message
}
