import { setTimeout as sleep } from "node:timers/promises";
import type { Guest } from "../lab/guest.ts";
import type { NbdAddress } from "../lab/nbd-client.ts";
import { attachGuest } from "../lab/vm.ts";
import { startWriter } from "../lab/writer.ts";
import { START_ATTACH_PAUSE_MS, START_GUEST_STOP_MS } from "../limits.ts";

export interface AttachedGuestOptions {
  readonly address: NbdAddress;
  readonly disks: readonly { readonly id: string; readonly sizeBytes: number }[];
  readonly seed: () => number;
  readonly recordsPerSecond: number;
  /** Stops it. */
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
}

/** A guest that writes all the time and reattaches when the service behind its disks has died. */
export interface AttachedGuest {
  /** Records written so far. */
  readonly records: number;
  /** Resolves after `signal`, when its last record is acknowledged or its disks are gone. */
  readonly done: Promise<void>;
}

/** Throws when the first attempt to attach fails. */
export async function startAttachedGuest(options: AttachedGuestOptions): Promise<AttachedGuest> {
  const { address, disks, signal, say } = options;
  const attach = (): Promise<Guest> => attachGuest(address, disks, () => Date.now(), false);
  const sizes = disks.map(({ sizeBytes }, disk) => ({ disk, sizeBytes }));
  let guest = await attach();
  let earlierRecords = 0;
  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      const writer = startWriter({
        guest,
        disks: sizes,
        seed: options.seed(),
        recordsPerSecond: options.recordsPerSecond,
      });
      const stop = (): void => void writer.stop().catch(() => undefined);
      signal.addEventListener("abort", stop, { once: true });
      const failure = await Promise.race([
        writer.done.then(
          () => undefined,
          (error: unknown) => error,
        ),
        lateAfter(signal),
      ]);
      signal.removeEventListener("abort", stop);
      guest.close();
      if (signal.aborted) return;
      say(
        `The guest has lost its disks (${failure instanceof Error ? failure.message : String(failure)}); it attaches again.`,
      );
      earlierRecords += guest.totals.requests;
      const again = await reattach(attach, signal);
      if (again === undefined) return;
      guest = again;
      say("The guest writes again.");
    }
  };
  const done = run();
  return {
    get records() {
      return earlierRecords + guest.totals.requests;
    },
    done,
  };
}

/** A hung service acknowledges nothing: a guest that is stopping does not wait for it. */
async function lateAfter(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  await sleep(START_GUEST_STOP_MS, undefined, { ref: false });
}

/** Retries until the service is there; undefined when the guest is stopped meanwhile. */
async function reattach(attach: () => Promise<Guest>, signal: AbortSignal): Promise<Guest | undefined> {
  for (;;) {
    await sleep(START_ATTACH_PAUSE_MS, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return undefined;
    const guest = await attach().catch(() => undefined);
    if (guest !== undefined) return guest;
  }
}
