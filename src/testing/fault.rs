use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{StoreError, UntrustedText};

/// What happens to a call.
#[derive(Clone)]
#[non_exhaustive]
pub enum Fault {
    /// The call fails and has no effect.
    Error,
    /// The call takes effect, but its result is lost.
    LostResponse,
    /// The call is delayed.
    Delay(Duration),
    /// This function runs before the call, for example to kill the process.
    Before(Arc<dyn Fn() + Send + Sync>),
    /// This function runs after the call, before its result is returned.
    After(Arc<dyn Fn() + Send + Sync>),
}

/// The faults that a test has planned, for all calls of a store.
#[derive(Clone, Default)]
pub(super) struct FaultPlan(Arc<Mutex<Plan>>);

#[derive(Default)]
struct Plan {
    calls: usize,
    faults: HashMap<usize, Fault>,
}

impl FaultPlan {
    /// Plans a fault for a call. The first call is number 0.
    pub(super) fn fail(&self, call: usize, fault: Fault) {
        self.lock().faults.insert(call, fault);
    }

    /// The number of calls so far.
    pub(super) fn calls(&self) -> usize {
        self.lock().calls
    }

    /// A call, with its fault if one is planned.
    pub(super) async fn pass<T, E: From<StoreError>>(
        &self,
        call: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        let fault = {
            let mut plan = self.lock();
            let number = plan.calls;
            plan.calls = number.saturating_add(1);
            plan.faults.remove(&number)
        };
        match fault {
            None => call.await,
            Some(Fault::Error) => Err(unreachable().into()),
            Some(Fault::LostResponse) => {
                let _ = call.await;
                Err(unreachable().into())
            }
            Some(Fault::Delay(delay)) => {
                tokio::time::sleep(delay).await;
                call.await
            }
            Some(Fault::Before(run)) => {
                run();
                call.await
            }
            Some(Fault::After(run)) => {
                let response = call.await;
                run();
                response
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "Error",
            Self::LostResponse => "LostResponse",
            Self::Delay(_) => "Delay",
            Self::Before(_) => "Before",
            Self::After(_) => "After",
        })
    }
}

fn unreachable() -> StoreError {
    StoreError::Unreachable { detail: UntrustedText::new("a fault that the test has planned") }
}
