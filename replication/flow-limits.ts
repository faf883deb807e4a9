/** The limits of the flows (orchestrations); all others stand in limits.ts. */

/** Tries of one activity whose failure can pass: with the pauses below about twenty minutes, longer than a storage or Resource Manager hiccup. */
export const FLOW_ACTIVITY_MAX_TRIES = 8;
/** The first pause between two tries; each later one is twice as long, up to FLOW_PAUSE_MAX_MS. */
export const FLOW_PAUSE_MS = 5_000;
export const FLOW_PAUSE_MAX_MS = 5 * 60_000;
/** How often one change of a resource is begun again after Azure failed it for a reason that can pass (no capacity, a fault inside). */
export const FLOW_STEP_MAX_BEGINS = 5;
/** All pauses of one stage of resources: imports of 8 TiB disks take hours, and nothing takes a day. */
export const FLOW_STAGE_MAX_MS = 24 * 60 * 60_000;
/** The pause between looks at what Leeward itself waits for: registrations, points, copies. */
export const FLOW_LOOK_MS = 5_000;
/** A mobility service is installed and speaks within minutes; after half an hour somebody has to look at the machine. */
export const FLOW_REGISTRATION_MAX_MS = 30 * 60_000;
/** A machine that was made runs within minutes. */
export const FLOW_MACHINE_MAX_MS = 30 * 60_000;
/** A flow that is taken over from stops at its next activity; one that has died is not waited for longer than this. */
export const FLOW_TAKEOVER_MAX_MS = 10 * 60_000;
/** Jobs of one item that a list shows, the names of the latest pages first. */
export const JOBS_LIST_MAX_COUNT = 100;
/** Committing waits so long for restores that hold recovery points: no restore takes longer. */
export const COMMIT_WAIT_MAX_MS = 24 * 60 * 60_000;
/** The pause between looks once a wait has lasted a quarter of an hour: a day of looks then takes some thousand steps, not tens of thousands. */
export const FLOW_GROWN_PAUSE_MS = 60_000;
