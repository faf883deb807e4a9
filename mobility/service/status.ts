import type { Position } from "../../replication/position.ts";
import type { ConsistencyOutcome } from "../../replication/service/protocol.ts";
import type { Churn } from "../capture/volume.ts";
import type { IdentityState } from "../control/identity.ts";
import { STATUS_INTERVAL_MS } from "../limits.ts";
import type { Clock } from "../system/clock.ts";
import { replaceFile } from "../system/durable-file.ts";
import type { Files } from "../system/files.ts";

/**
 * The service's status for people and scripts on the machine: `status.json` in the state folder, written every second,
 * and the same document from the status socket. Counters only grow, and begin with the start of the service.
 */
export interface MobilityStatus {
  readonly version: 1;
  readonly itemId: string;
  readonly startedMs: number;
  /**
   * `failed`: no more writes are accepted until a restart; `uploads-stopped`: capturing continues, nothing leaves the
   * machine.
   */
  readonly state: "running" | "failed" | "uploads-stopped";
  /** End of the last delta in the spool. */
  readonly sealed: Position;
  /** The cache has everything up to here. */
  readonly uploaded: Position;
  /** Recorded or sealed and not yet in the cache. */
  readonly pendingBytes: number;
  readonly spoolCount: number;
  readonly spoolBytes: number;
  /** What deltas and journal may take together before the log ends. */
  readonly spoolBoundBytes: number;
  /** `tracking`: the guest writes without a log; the dirty map holds the changed places. */
  readonly mode: "logging" | "tracking";
  readonly dirtyBytes: number;
  readonly resynchronization: ResynchronizationStatus;
  /**
   * Age of the oldest moment whose writes are not all in the cache: 0 while nothing waits, undefined while nothing is
   * known since the start.
   */
  readonly lagMs: number | undefined;
  readonly uploadedCount: number;
  readonly uploadedBytes: number;
  readonly identity: {
    readonly state: IdentityState;
    /** Undefined until the machine knows it. */
    readonly machineId: string | undefined;
    readonly bootId: string;
    /** When this service got its session, on the target's clock. */
    readonly sessionSinceMs: number | undefined;
    /** Until when it may upload without another heartbeat. */
    readonly grantEndsMs: number | undefined;
  };
  readonly heartbeats: { readonly sent: number; readonly answered: number };
  readonly appPoints: { readonly state: "idle" | "frozen"; readonly outcome: ConsistencyOutcome | undefined };
  readonly memory: { readonly rssBytes: number; readonly heapBytes: number; readonly externalBytes: number };
  readonly seeding: {
    readonly doneBytes: number;
    readonly totalBytes: number;
    readonly done: boolean;
    readonly timeLeftMs: number | undefined;
  };
  readonly churn: Readonly<Churn>;
  readonly lastError: { readonly atMs: number; readonly code: string; readonly message: string } | undefined;
  readonly atMs: number;
}

/** `required`: the target falls behind and no recovery point is taken; `running`: the missing data is on its way. */
export type ResynchronizationStatus =
  | { readonly state: "none" }
  | {
      readonly state: "required" | "running";
      readonly reason: string;
      readonly doneBytes: number;
      readonly totalBytes: number;
    };

/** Keeps the file fresh; reports a failure to write it and continues. */
export function startStatusFile(
  { files, clock }: { readonly files: Files; readonly clock: Clock },
  path: string,
  status: () => MobilityStatus,
  failed: (error: unknown) => void,
): { stop(): void } {
  const write = (): void => {
    try {
      replaceFile(files, path, Buffer.from(`${JSON.stringify(status(), null, 2)}\n`));
    } catch (error) {
      failed(error);
    }
  };
  let cancel: () => void = () => undefined;
  const repeat = (): void => {
    write();
    cancel = clock.after(STATUS_INTERVAL_MS, repeat);
  };
  repeat();
  return {
    stop: () => {
      cancel();
      write();
    },
  };
}
