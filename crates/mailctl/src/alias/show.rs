//! What becomes of an address, for people and for programs.

use std::collections::HashSet;
use std::io::{self, Write};

use alias::{Destination, Recipient, Rejection, Resolution, Resolver, Sender, Step};
use serde_json::{Value, json};

/// Answers for each address, in their order.
pub(super) fn answers(resolver: &Resolver, sender: Sender, accounts: &[String], addresses: &[String], json: bool) -> io::Result<()> {
    let accounts: HashSet<&str> = accounts.iter().map(String::as_str).collect();
    let mut out = io::stdout().lock();
    for address in addresses {
        let outcome = resolver.resolve(address, sender, &|name| accounts.contains(name));
        match (&outcome, json) {
            (Ok(resolution), true) => writeln!(out, "{}", accepted(address, resolution))?,
            (Err(rejection), true) => writeln!(out, "{}", refused(address, rejection))?,
            (Ok(resolution), false) => print_accepted(&mut out, address, resolution)?,
            (Err(rejection), false) => print_refused(&mut out, address, rejection)?,
        }
    }
    Ok(())
}

fn accepted(address: &str, resolution: &Resolution) -> Value {
    let all: Vec<_> = resolution.recipients.iter().map(|r| &r.address).chain(&resolution.undeliverable).collect();
    let destinations: Vec<_> = resolution.recipients.iter().map(destination).collect();
    json!({
        "address": address,
        "recipients": all,
        "undeliverable": resolution.undeliverable,
        "destinations": destinations,
        "steps": steps(&resolution.steps),
    })
}

fn refused(address: &str, rejection: &Rejection) -> Value {
    let reply = &rejection.reply;
    json!({
        "address": address,
        "reject": {"code": reply.code, "enhanced": reply.enhanced.to_string(), "text": reply.text},
        "cause": rejection.cause,
        "steps": steps(&rejection.steps),
    })
}

fn destination(recipient: &Recipient) -> Value {
    match &recipient.destination {
        Destination::Account { name, extension } => json!({"address": recipient.address, "account": name, "extension": extension}),
        Destination::Postmaster => json!({"address": recipient.address, "postmaster": true}),
        Destination::Elsewhere(there) => json!({"address": recipient.address, "elsewhere": there}),
    }
}

fn steps(steps: &[Step]) -> Vec<Value> {
    let value = |step: &Step| json!({"address": step.address, "map": &*step.map, "line": step.line, "targets": step.targets});
    steps.iter().map(value).collect()
}

fn print_accepted(out: &mut impl Write, address: &str, resolution: &Resolution) -> io::Result<()> {
    writeln!(out, "{address}")?;
    print_steps(out, &resolution.steps)?;
    for recipient in &resolution.recipients {
        match &recipient.destination {
            Destination::Account { name, extension: None } => writeln!(out, "  to account {name}")?,
            Destination::Account { name, extension: Some(extension) } => writeln!(out, "  to account {name}, extension {extension}")?,
            Destination::Postmaster => writeln!(out, "  to the postmaster of this host")?,
            Destination::Elsewhere(there) => writeln!(out, "  to another host: {there}")?,
        }
    }
    resolution.undeliverable.iter().try_for_each(|lost| writeln!(out, "  lost: there is no mailbox {lost}"))
}

fn print_refused(out: &mut impl Write, address: &str, rejection: &Rejection) -> io::Result<()> {
    writeln!(out, "{address}")?;
    print_steps(out, &rejection.steps)?;
    writeln!(out, "  refused: {} ({})", rejection.reply, rejection.cause)
}

/// More steps than this are not shown to people; they are mostly a circle.
const SHOWN: usize = 10;

fn print_steps(out: &mut impl Write, steps: &[Step]) -> io::Result<()> {
    for step in steps.iter().take(SHOWN) {
        writeln!(out, "  {}:{}: {} -> {}", alias::path(&step.map), step.line, step.address, step.targets.join(", "))?;
    }
    match steps.len().checked_sub(SHOWN + 1) {
        Some(more) => writeln!(out, "  and {} steps more", more + 1),
        None => Ok(()),
    }
}
