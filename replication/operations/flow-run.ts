import type { JobRecord } from "../jobs/job.ts";
import type { Flow } from "../states/states.ts";

/**
 * The order of the steps of all flows. To change it for any flow, keep the previous order in its own folder
 * (`orchestrations/version-N/`) and raise this number: runs in progress replay the order that they began with.
 * `test/orchestrations/flow-steps.test.ts` checks each order.
 */
export const FLOW_VERSION = 4;

/** The versions that this app can run. A version stays while a run of it may be open. */
export const FLOW_VERSIONS = [2, 3, FLOW_VERSION] as const;
export type FlowVersion = (typeof FLOW_VERSIONS)[number];

/** One run of a flow. */
export interface FlowRun {
  readonly version: FlowVersion;
  readonly itemId: string;
  readonly jobId: string;
  readonly flow: Flow;
}

/** Jobs that do not name their version have the tasks of this one, and so had every version before it. */
const UNNAMED_VERSION = 3;

/**
 * The version to start the flow of a job under: that of the app that made the job, because its record has the tasks of
 * that version. The newest if the record cannot be read, or this app no longer runs that version.
 */
export function versionOf(job: JobRecord | undefined): FlowVersion {
  const wanted = job === undefined ? FLOW_VERSION : (job.flowVersion ?? UNNAMED_VERSION);
  return FLOW_VERSIONS.find((version) => version === wanted) ?? FLOW_VERSION;
}

/** The name under which the host knows the flows of a version. */
export function orchestratorOf(version: FlowVersion): string {
  return `runFlow${version}`;
}
