//! The agents that are open: at most one for each account, made when it is first asked for, closed when nobody has asked for it
//! in a while. A slow disk under one account holds up nobody else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use auth::{Account, Accounts};
use tokio::sync::OwnedMutexGuard;

use crate::agent::{Agent, AgentError};
use crate::house::House;

/// The place of one account's agent. It is never removed while the daemon runs: whoever waits for it must find the only one.
#[derive(Debug, Default)]
struct Slot {
    held: Mutex<Option<(Arc<Agent>, Instant)>>,
    /// Sessions that want the agent opened wait here, without a thread each.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// All agents.
#[derive(Debug, Default)]
pub(crate) struct Agents(Mutex<HashMap<String, Arc<Slot>>>);

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Option<(Arc<Agent>, Instant)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Agents {
    /// The agent of an account. May take as long as the account's disk does.
    pub(crate) fn get(&self, house: &Arc<House>, account: &Arc<Account>) -> Result<Arc<Agent>, AgentError> {
        let slot = self.slot(account);
        let mut slot = slot.lock();
        if let Some(agent) = use_open(&mut slot, account) {
            return Ok(agent);
        }
        if let Some((former, _)) = slot.take() {
            former.close(false);
        }
        refuse_shared_home(account, house.authenticator.accounts())?;
        let agent = Agent::open(house, account)?;
        *slot = Some((agent.clone(), Instant::now()));
        Ok(agent)
    }

    /// The same if it is open and nobody holds it up: hundreds that log in at once need no threads of their own to wait in.
    pub(crate) fn ready(&self, account: &Account) -> Option<Arc<Agent>> {
        let slot = self.lock().get(account.name.as_str())?.clone();
        let mut held = slot.held.try_lock().ok()?;
        use_open(&mut held, account)
    }

    /// The turn to have the agent opened. Hundreds may log in before it is.
    pub(crate) async fn turn(&self, account: &Account) -> OwnedMutexGuard<()> {
        let turn = self.slot(account).turn.clone();
        turn.lock_owned().await
    }

    fn slot(&self, account: &Account) -> Arc<Slot> {
        self.lock().entry(account.name.to_string()).or_default().clone()
    }

    /// Closes those that have no session and that nobody has asked for since `idle`. `covered` waits until all that was written
    /// is on disk and says whether it is: only then may an account's marks tell of an end in order. With `doubts`, mail from
    /// before the start is still to be delivered, and accounts that a power cut may have robbed must not forget that.
    pub(crate) fn close_idle(&self, idle: Duration, doubts: bool, covered: impl FnOnce() -> bool) {
        let unused = |(agent, used): &(Arc<Agent>, Instant)| {
            Arc::strong_count(agent) == 1 && used.elapsed() >= idle && !(doubts && agent.is_after_power_cut())
        };
        // One that is being opened is in use.
        let is_idle = |slot: &Arc<Slot>| slot.held.try_lock().is_ok_and(|slot| slot.as_ref().is_some_and(unused));
        let idle_slots: Vec<_> = self.slots().into_iter().filter(is_idle).collect();
        if idle_slots.is_empty() || !covered() {
            return;
        }
        for slot in idle_slots {
            let Ok(mut slot) = slot.held.try_lock() else { continue };
            if let Some((agent, _)) = slot.take_if(|held| unused(held)) {
                agent.close(true);
            }
        }
    }

    /// Closes all of them at the end of the daemon; `covered` says whether all that was written is on disk, `doubts` as above.
    pub(crate) fn close(&self, covered: bool, doubts: bool) {
        for slot in self.slots() {
            if let Some((agent, _)) = slot.lock().as_ref() {
                agent.close(covered && !(doubts && agent.is_after_power_cut()));
            }
        }
    }

    fn slots(&self) -> Vec<Arc<Slot>> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Slot>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The agent in a slot, if it serves the account as it is recorded now.
fn use_open(slot: &mut Option<(Arc<Agent>, Instant)>, account: &Account) -> Option<Arc<Agent>> {
    let (agent, used) = slot.as_mut().filter(|(agent, _)| agent.is_of(account))?;
    *used = Instant::now();
    Some(agent.clone())
}

/// Two agents on one Maildir would each give out UIDs: the older account keeps the home.
fn refuse_shared_home(account: &Account, accounts: &Accounts) -> Result<(), AgentError> {
    let all = accounts.list();
    let older = |other: &&Arc<Account>| (other.created, &other.name) < (account.created, &account.name) && other.home == account.home;
    match all.iter().find(older) {
        None => Ok(()),
        Some(other) => Err(AgentError::Shared { home: account.home.display().to_string(), other: other.name.to_string() }),
    }
}
