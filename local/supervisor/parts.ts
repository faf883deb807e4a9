import { setTimeout as sleep } from "node:timers/promises";
import { CLOUD_STOP_MS } from "../limits.ts";

/** Something that runs and can be stopped in order, or killed at once. */
export interface Part {
  stop(): Promise<void>;
  kill(): void;
}

/** The started parts, in order: stopped in reverse, also when the start itself fails half-way. */
export class StartedParts {
  readonly #parts: Part[] = [];
  /** Being stopped: a kill includes them. */
  #stopping: readonly Part[] = [];

  add(part: Part): void {
    this.#parts.push(part);
  }

  /**
   * Stops the parts one at a time, the last one first; kills anything still running after ten seconds. Stopping twice
   * is harmless.
   */
  async stop(): Promise<void> {
    const parts = this.#parts.splice(0).toReversed();
    this.#stopping = [...this.#stopping, ...parts];
    const orderly = async (): Promise<string> => {
      for (const part of parts) await part.stop();
      return "stopped";
    };
    const patience = new AbortController();
    const late = sleep(CLOUD_STOP_MS, "late", { signal: patience.signal }).catch(() => "stopped");
    try {
      if ((await Promise.race([orderly(), late])) === "late") for (const part of parts) part.kill();
    } finally {
      patience.abort();
    }
  }

  /** Kills every part, even while it is being stopped, and does not wait. */
  kill(): void {
    for (const part of [...this.#parts, ...this.#stopping]) part.kill();
  }
}
