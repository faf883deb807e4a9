import type { Flow } from "../states/states.ts";

/** One run of a flow. `version`: a change of the order of steps gets a new one, and a function of its own. */
export interface FlowRun {
  readonly version: 2 | 3;
  readonly itemId: string;
  readonly jobId: string;
  readonly flow: Flow;
}
