/** Why an operation is refused in a state, in words for the operator. */
export const REFUSALS = {
  busy: "A job of this item is running; wait until it ends.",
  "not-protected": "The item is not protected.",
  "already-protected": "The item is protected already.",
  "replicates-by-itself": "Initial replication is under way and ends by itself.",
  "no-recovery-point": "Initial replication is not complete, so there is no recovery point yet.",
  "initial-replication-failed": "Initial replication failed; repair the replication or disable protection.",
  "enable-failed": "Enabling protection failed; enable it again or disable it.",
  "not-resynchronized":
    "A planned failover needs a target that is level with the source; repair the replication first, or fail over unplanned.",
  "no-test-failover": "There is no test failover to clean up.",
  "clean-up-first": "A test failover is open; clean it up first. An unplanned failover is possible all the same.",
  "not-failed-over": "The item has not failed over.",
  "failover-incomplete": "A failover is half done; fail over again. Cancelling it is not built yet.",
  "failover-being-cancelled": "The failover is being cancelled; try the cancellation again, or fail over again.",
  "already-failed-over": "The item has failed over already.",
  "commit-first": "Commit the failover first.",
  "recovery-point-half-changed":
    "Changing the recovery point stopped half-way; change it again or cancel the failover.",
  "commit-begun": "The failover is being committed, and its recovery points are being removed; commit it again.",
  "already-committed": "The failover is committed; its recovery points are gone.",
  "reprotect-first": "The item runs in the target region without protection. Re-protecting it is not built yet.",
  "being-disabled": "Protection is being disabled; disable it again to finish.",
} as const;

export type RefusalReason = keyof typeof REFUSALS;
