import type { ConsistencyOutcome } from "../../replication/service/protocol.ts";
import { THAW_MAX_MS, THAW_TRIES } from "../limits.ts";
import type { Clock } from "../system/clock.ts";
import { replaceFile, replaceFileDurably } from "../system/durable-file.ts";
import { isMissing, type Files } from "../system/files.ts";
import type { Log } from "../system/log.ts";
import { killScript, runScript, type ScriptFault } from "./script.ts";

/** App-consistent points on request of the control plane: freeze, mark the epoch, thaw (docs/capture.md, A1 to A6). */
export interface AppPoints {
  /** `idle`; `frozen` from before `--pre` until `--post` has succeeded. */
  readonly state: "idle" | "frozen";
  /** Result of the last request: in every heartbeat until the control plane stops asking for it. */
  readonly outcome: ConsistencyOutcome | undefined;
  /** Begins unless this request was already answered or is under way. */
  request(requestId: string): void;
  /** Gives up a freeze under way; resolves when the guest is thawed. Begins nothing more. */
  stop(): Promise<void>;
}

export interface AppPointsOptions {
  readonly files: Files;
  readonly clock: Clock;
  /** Undefined: none is configured, and every request fails. */
  readonly script: string | undefined;
  /** From the start of `--pre` until the cut. */
  readonly freezeMaxMs: number;
  /** Exists while the guest may be frozen, so that the next start thaws it; names the process that freezes. */
  readonly markerPath: string;
  /** Why a point would be useless now; undefined when it would not. */
  readonly obstacle: () => string | undefined;
  /** Marks the open epoch as consistent for applications and closes it. Throws when that is not possible. */
  readonly cut: () => void;
  readonly log: Log;
  /** There is an outcome to report. */
  readonly finished: () => void;
  /** Replaces the real scripts in tests of single moments. */
  readonly run?: typeof runScript | undefined;
}

/** First thaws what an earlier service, or an earlier moment of this one, may have left frozen. */
export function startAppPoints(options: AppPointsOptions): AppPoints {
  const { files, markerPath, log, script, run = runScript } = options;
  let state: AppPoints["state"] = "idle";
  let outcome: ConsistencyOutcome | undefined;
  let current: string | undefined;
  const stopping = new AbortController();
  const never = new AbortController();

  const thaw = async (path: string): Promise<string | undefined> => {
    let fault: ScriptFault | undefined;
    for (let tries = 0; tries < THAW_TRIES; tries += 1) {
      fault = await run(path, "--post", THAW_MAX_MS, never.signal);
      if (fault !== undefined) continue;
      // Only now: if the service dies before, the next one thaws again, which is harmless.
      files.remove(markerPath);
      state = "idle";
      log("info", "thawed");
      return undefined;
    }
    log("error", "thaw-failed", { ...fault });
    return fault?.reason;
  };
  /** Why there is no point; undefined when there is one. Always thaws the guest. */
  const take = async (): Promise<string | undefined> => {
    if (script === undefined) return "no script is configured";
    const obstacle = options.obstacle();
    if (obstacle !== undefined) return obstacle;
    const deadlineMs = options.clock.monotonicMs() + options.freezeMaxMs;
    // The marker is durable before anything is frozen.
    replaceFileDurably(files, markerPath, Buffer.from(""));
    state = "frozen";
    log("info", "freezing");
    const fault = await run(script, "--pre", options.freezeMaxMs, stopping.signal, (process) =>
      replaceFile(files, markerPath, Buffer.from(process)),
    );
    const reason = fault === undefined ? mark(options, deadlineMs) : withOutput(fault);
    const thawFault = await thaw(script);
    return reason ?? (thawFault === undefined ? undefined : `the point was taken, but ${thawFault}`);
  };
  const answer = async (requestId: string): Promise<void> => {
    const reason = await take().catch((error: unknown) => (error instanceof Error ? error.message : String(error)));
    outcome = reason === undefined ? { requestId, state: "done" } : { requestId, state: "failed", reason };
    if (reason === undefined) log("info", "app-point-done", { requestId });
    else log("warning", "app-point-failed", { requestId, reason });
    current = undefined;
    options.finished();
  };
  const thawOld = async (): Promise<void> => {
    const marker = readIfThere(files, markerPath);
    if (marker === undefined) return;
    state = "frozen";
    killScript(marker.toString("utf8"));
    if (script === undefined) log("error", "thaw-failed", { reason: "no script is configured any more" });
    else await thaw(script);
  };
  let work = thawOld();

  return {
    get state() {
      return state;
    },
    get outcome() {
      return outcome;
    },
    request: (requestId) => {
      if (stopping.signal.aborted || current !== undefined || outcome?.requestId === requestId) return;
      current = requestId;
      work = work.then(() => answer(requestId));
    },
    stop: async () => {
      stopping.abort();
      await work;
    },
  };
}

/** Why the epoch was not marked. Must not throw: the guest is still frozen. */
function mark(options: AppPointsOptions, deadlineMs: number): string | undefined {
  // After the limit, applications may have resumed by themselves.
  if (options.clock.monotonicMs() > deadlineMs) return `freezing took more than ${options.freezeMaxMs / 1000} s`;
  const obstacle = options.obstacle();
  if (obstacle !== undefined) return obstacle;
  try {
    options.cut();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function readIfThere(files: Files, path: string): Buffer | undefined {
  try {
    return files.readFile(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

function withOutput({ reason, output }: ScriptFault): string {
  const last = output.trim().split("\n").at(-1) ?? "";
  return last === "" ? reason : `${reason}: ${last}`;
}
