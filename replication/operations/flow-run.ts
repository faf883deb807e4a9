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

/** The name under which the host knows the flows of a version. */
export function orchestratorOf(version: FlowVersion): string {
  return `runFlow${version}`;
}
