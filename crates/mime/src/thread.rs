//! THREAD (RFC 5256 section 3): REFERENCES, ORDEREDSUBJECT, and Dovecot's REFS.
//!
//! The messages are given in the order of the mailbox; every tie is decided by it. Threads are kept as a flat arena: one
//! conversation may be a hundred thousand messages deep, so nothing here recurses.

use std::collections::HashMap;

use crate::ids::Links;
use crate::limits;

/// How threads are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// By `References`, then by subject.
    References,
    /// By `References` alone; threads in the order of their newest message.
    Refs,
    /// By subject alone.
    OrderedSubject,
}

/// A message to be threaded.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The number that the answer shows: UID or sequence number.
    pub number: u32,
    /// Its id and its ancestors'.
    pub links: &'a Links,
    /// Its folded base subject ([`crate::sort::Keys::subject`]).
    pub subject: &'a [u8],
    /// Whether that was the subject of a reply or forward.
    pub is_reply: bool,
    /// When it was sent, or arrived.
    pub date: i64,
}

/// A place in [`Threads`].
type NodeId = usize;

#[derive(Clone, Debug, Default)]
struct Node {
    /// Its place among the messages; `None` for a message that is only spoken of.
    message: Option<usize>,
    parent: Option<NodeId>,
    /// How many nodes have it as their parent, while links are made.
    linked: usize,
    children: Vec<NodeId>,
    /// Date and place in the mailbox; of a missing message those of its first child.
    order: (i64, usize),
}

/// Threads, ready to be written.
#[derive(Clone, Debug, Default)]
pub struct Threads {
    nodes: Vec<Node>,
    roots: Vec<NodeId>,
    numbers: Vec<u32>,
}

/// Threads messages.
#[must_use]
pub fn thread(algorithm: Algorithm, messages: &[Message<'_>]) -> Threads {
    let mut threads = match algorithm {
        Algorithm::OrderedSubject => by_subject(messages),
        Algorithm::References | Algorithm::Refs => linked(messages),
    };
    if algorithm == Algorithm::References {
        threads.merge_subjects(messages);
    }
    threads.sort();
    if algorithm == Algorithm::Refs {
        threads.newest_last(messages);
    }
    threads.numbers = messages.iter().map(|message| message.number).collect();
    threads
}

/// Messages of one subject follow the first of them (RFC 5256 section 3, ORDEREDSUBJECT).
fn by_subject(messages: &[Message<'_>]) -> Threads {
    let mut threads = Threads { nodes: nodes_of(messages), ..Threads::default() };
    let mut sorted: Vec<usize> = (0..messages.len()).collect();
    sorted.sort_by_key(|&at| (messages[at].subject, messages[at].date, at));
    for at in sorted {
        match threads.roots.last() {
            Some(&root) if messages[root].subject == messages[at].subject => threads.nodes[root].children.push(at),
            _ => threads.roots.push(at),
        }
    }
    threads
}

/// One node for each message, in the same places.
fn nodes_of(messages: &[Message<'_>]) -> Vec<Node> {
    messages.iter().enumerate().map(|(at, message)| Node { message: Some(at), order: (message.date, at), ..Node::default() }).collect()
}

/// Steps 1 to 3 of REFERENCES: the trees that the ids make, without the messages that are only spoken of, unless they hold
/// several others together at the top.
fn linked(messages: &[Message<'_>]) -> Threads {
    let mut nodes = nodes_of(messages);
    let mut by_id: HashMap<&[u8], NodeId> = HashMap::with_capacity(messages.len());
    // A second message with an id that is taken counts as one without.
    for (at, message) in messages.iter().enumerate() {
        if let Some(id) = &message.links.message_id {
            by_id.entry(id).or_insert(at);
        }
    }
    for (at, message) in messages.iter().enumerate() {
        let mut before = None;
        for id in &message.links.references {
            let next = *by_id.entry(id).or_insert_with(|| {
                nodes.push(Node::default());
                nodes.len() - 1
            });
            if let Some(parent) = before.filter(|_| nodes[next].parent.is_none()) {
                link(&mut nodes, parent, next);
            }
            before = Some(next);
        }
        if let Some(parent) = nodes[at].parent.take() {
            nodes[parent].linked -= 1;
        }
        if let Some(parent) = before {
            link(&mut nodes, parent, at);
        }
    }
    prune(nodes)
}

/// Makes `child` a child of `parent`, unless that would close a loop.
fn link(nodes: &mut [Node], parent: NodeId, child: NodeId) {
    // What has no children is nobody's ancestor; this spares the way up for most of a long conversation.
    if child == parent || (nodes[child].linked > 0 && is_below(nodes, parent, child)) {
        return;
    }
    nodes[child].parent = Some(parent);
    nodes[parent].linked += 1;
}

/// Whether `id` is below `ancestor`, or so deep that it is not worth finding out.
fn is_below(nodes: &[Node], id: NodeId, ancestor: NodeId) -> bool {
    let mut above = id;
    for _ in 0..limits::THREAD_DEPTH {
        match nodes[above].parent {
            Some(parent) if parent == ancestor => return true,
            Some(parent) => above = parent,
            None => return false,
        }
    }
    true
}

/// Fills in the children from the parents; a missing message gives its children to its own parent, but at the top only
/// if there is one child.
fn prune(mut nodes: Vec<Node>) -> Threads {
    let mut direct: Vec<Vec<NodeId>> = vec![Vec::new(); nodes.len()];
    let mut tops = Vec::new();
    for (id, node) in nodes.iter().enumerate() {
        match node.parent {
            Some(parent) => direct[parent].push(id),
            None => tops.push(id),
        }
    }
    let mut roots = Vec::new();
    for top in tops {
        // Each entry: a node, and the message or top that its children go to.
        let mut open = vec![(top, top)];
        while let Some((id, owner)) = open.pop() {
            for &child in direct[id].iter().rev() {
                let kept = nodes[child].message.is_some();
                if kept {
                    nodes[child].parent = Some(owner);
                    nodes[owner].children.push(child);
                }
                open.push((child, if kept { child } else { owner }));
            }
        }
        match (nodes[top].message, &nodes[top].children[..]) {
            (None, []) => {}
            (None, &[only]) => roots.push(only),
            _ => roots.push(top),
        }
    }
    Threads { nodes, roots, numbers: Vec::new() }
}

impl Threads {
    /// Sets the order of missing messages at the top, and sorts every list of children, then the threads.
    fn sort(&mut self) {
        for id in 0..self.nodes.len() {
            let mut children = std::mem::take(&mut self.nodes[id].children);
            children.sort_by_cached_key(|&child| self.order(child));
            self.nodes[id].children = children;
        }
        let mut roots = std::mem::take(&mut self.roots);
        roots.sort_by_cached_key(|&root| self.order(root));
        self.roots = roots;
    }

    /// What a node is sorted by. Missing messages stand only at the top, or one below it where subjects were merged, so
    /// the way down is short.
    fn order(&self, id: NodeId) -> (i64, usize) {
        let node = &self.nodes[id];
        if node.message.is_some() {
            return node.order;
        }
        node.children.iter().map(|&child| self.order(child)).min().unwrap_or_default()
    }

    /// Steps 4 and 5 of REFERENCES: threads whose subjects are the same are joined.
    fn merge_subjects(&mut self, messages: &[Message<'_>]) {
        self.sort();
        let mut heads = self.subject_table(messages);
        let roots = std::mem::take(&mut self.roots);
        let mut gone = vec![false; self.nodes.len()];
        let mut replaced: HashMap<NodeId, NodeId> = HashMap::new();
        for &root in &roots {
            let (subject, is_reply) = self.subject(root, messages);
            let Some(head) = heads.get_mut(subject).filter(|head| !subject.is_empty() && **head != root) else { continue };
            let (_, head_is_reply) = self.subject(*head, messages);
            match (self.nodes[root].message.is_some(), self.nodes[*head].message.is_some()) {
                (false, false) => {
                    let children = std::mem::take(&mut self.nodes[root].children);
                    self.nodes[*head].children.extend(children);
                }
                (_, false) => self.nodes[*head].children.push(root),
                _ if is_reply && !head_is_reply => self.nodes[*head].children.push(root),
                _ => {
                    let both = self.nodes.len();
                    self.nodes.push(Node { children: vec![*head, root], ..Node::default() });
                    replaced.insert(*head, both);
                    *head = both;
                }
            }
            gone[root] = true;
        }
        self.roots = roots.into_iter().filter(|&root| !gone[root]).map(|root| replaced.get(&root).copied().unwrap_or(root)).collect();
    }

    /// For each subject the thread that others with it join: a missing message if there is one, rather an original than a
    /// reply, and else the first.
    fn subject_table<'m>(&self, messages: &[Message<'m>]) -> HashMap<&'m [u8], NodeId> {
        let mut table: HashMap<&'m [u8], NodeId> = HashMap::new();
        for &root in &self.roots {
            let (subject, is_reply) = self.subject(root, messages);
            if subject.is_empty() {
                continue;
            }
            let head = table.entry(subject).or_insert(root);
            let (_, head_is_reply) = self.subject(*head, messages);
            if self.nodes[*head].message.is_some() && (self.nodes[root].message.is_none() || (head_is_reply && !is_reply)) {
                *head = root;
            }
        }
        table
    }

    /// The subject of a thread: that of its first message.
    fn subject<'m>(&self, root: NodeId, messages: &[Message<'m>]) -> (&'m [u8], bool) {
        let mut id = root;
        while self.nodes[id].message.is_none() {
            match self.nodes[id].children.first() {
                Some(&child) => id = child,
                None => return (b"", false),
            }
        }
        self.nodes[id].message.map_or((b"", false), |at| (messages[at].subject, messages[at].is_reply))
    }

    /// Sorts the threads by the newest message in each.
    fn newest_last(&mut self, messages: &[Message<'_>]) {
        let newest = |root: NodeId| {
            let mut open = vec![root];
            let mut newest = i64::MIN;
            while let Some(id) = open.pop() {
                newest = newest.max(self.nodes[id].message.map_or(i64::MIN, |at| messages[at].date));
                open.extend(&self.nodes[id].children);
            }
            newest
        };
        let mut roots: Vec<_> = self.roots.iter().map(|&root| (newest(root), self.order(root).1, root)).collect();
        roots.sort_unstable();
        self.roots = roots.into_iter().map(|(_, _, root)| root).collect();
    }

    /// Whether there is no thread.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    /// Appends the threads as the THREAD response lists them (RFC 5256 section 4): `(1 2 (3)(4))(5)`.
    pub fn write(&self, out: &mut Vec<u8>) {
        /// What is still to be written.
        enum Step {
            Thread(NodeId),
            Node(NodeId),
            Close,
        }
        let mut steps: Vec<Step> = self.roots.iter().rev().map(|&root| Step::Thread(root)).collect();
        while let Some(step) = steps.pop() {
            match step {
                Step::Close => out.push(b')'),
                Step::Thread(id) => {
                    out.push(b'(');
                    steps.push(Step::Close);
                    steps.push(Step::Node(id));
                }
                Step::Node(id) => {
                    let node = &self.nodes[id];
                    if let Some(at) = node.message {
                        out.extend_from_slice(self.numbers[at].to_string().as_bytes());
                    }
                    if node.message.is_some() && !node.children.is_empty() {
                        out.push(b' ');
                    }
                    match node.children[..] {
                        [only] => steps.push(Step::Node(only)),
                        _ => steps.extend(node.children.iter().rev().map(|&child| Step::Thread(child))),
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages as `id refs... | subject`, dated in their order.
    fn check(algorithm: Algorithm, messages: &[&str], expected: &str) {
        let all: Vec<(Links, String, bool)> = messages
            .iter()
            .map(|message| {
                let (ids, subject) = message.split_once('|').unwrap_or((message, ""));
                let mut ids = ids.split_whitespace().map(|id| id.as_bytes().to_vec());
                let links = Links { message_id: ids.next(), references: ids.collect() };
                let is_reply = subject.starts_with("Re:");
                (links, subject.trim_start_matches("Re:").to_owned(), is_reply)
            })
            .collect();
        let input: Vec<_> = all
            .iter()
            .zip(1..)
            .map(|((links, subject, is_reply), number)| Message {
                number,
                links,
                subject: subject.as_bytes(),
                is_reply: *is_reply,
                date: i64::from(number),
            })
            .collect();
        let mut out = Vec::new();
        thread(algorithm, &input).write(&mut out);
        assert_eq!(String::from_utf8_lossy(&out), expected, "{messages:?}");
    }

    #[test]
    fn links_messages_by_their_ids() {
        let by_id = |messages: &[&str], expected| check(Algorithm::References, messages, expected);
        by_id(&[], "");
        by_id(&["a", "b a", "c a b", "d a"], "(1 (2 3)(4))");
        by_id(&["b ghost", "c ghost"], "((1)(2))");
        by_id(&["b ghost"], "(1)");
        by_id(&["a b", "b a"], "(2 1)");
        by_id(&["a a", "b a"], "(1 2)");
        by_id(&["c a b", "a"], "(2 1)");
        by_id(&["a", "a", "b a"], "(1 3)(2)");
    }

    #[test]
    fn joins_threads_by_subject() {
        let both = |messages: &[&str], references, refs| {
            check(Algorithm::References, messages, references);
            check(Algorithm::Refs, messages, refs);
        };
        both(&["a|x", "b|Re:x", "c|x"], "((1 2)(3))", "(1)(2)(3)");
        both(&["a|x", "b|Re:x"], "(1 2)", "(1)(2)");
        both(&["a|Re:x", "b|x"], "(2 1)", "(1)(2)");
        both(&["a|x", "b|y", "c a|z"], "(1 3)(2)", "(2)(1 3)");
        both(&["a|x", "b g|x", "c g|y"], "((1)(2)(3))", "(1)((2)(3))");
        check(Algorithm::OrderedSubject, &["a|x", "b|y", "c|x", "d|x"], "(1 (3)(4))(2)");
    }

    #[test]
    fn very_long_conversations_are_no_trouble() {
        let all: Vec<_> = (0..50_000_u32)
            .map(|at| Links { message_id: Some(at.to_string().into_bytes()), references: vec![(at + 1).to_string().into_bytes()] })
            .collect();
        for reversed in [false, true] {
            let mut input: Vec<_> =
                all.iter().zip(1..).map(|(links, number)| Message { number, links, subject: b"", is_reply: false, date: 0 }).collect();
            if reversed {
                input.reverse();
            }
            let mut out = Vec::new();
            thread(Algorithm::References, &input).write(&mut out);
            assert!(out.starts_with(b"(50000 49999 ") && out.ends_with(b" 2 1)"));
        }
    }
}
