import { setTimeout as sleep } from "node:timers/promises";
import { CLOUD_STOP_MS } from "../limits.ts";

/** Something that runs and can be stopped in order, or killed at once. */
export interface Part {
  stop(): Promise<void>;
  kill(): void;
}

/** What has started, in order: stopping goes backwards, also when the start itself fails half-way. */
export class StartedParts {
  readonly #parts: Part[] = [];
  /** Being stopped: a kill reaches them too. */
  #stopping: readonly Part[] = [];

  add(part: Part): void {
    this.#parts.push(part);
  }

  /**
   * Stops the parts one after the other, the last one first; what still runs after ten seconds is killed. Stopping
   * twice is harmless.
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

  /** Kills every part, also one whose stop is under way, and waits for nothing. */
  kill(): void {
    for (const part of [...this.#parts, ...this.#stopping]) part.kill();
  }
}
