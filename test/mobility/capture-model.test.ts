import * as fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import type * as Limits from "../../mobility/limits.ts";
import { createRandom } from "../memory/random.ts";
import { BOUNDS, end, event, EXAMPLES, ROOMS, type End, type Event, type Step } from "./capture-histories.ts";
import { SourceMachine } from "./source-machine.ts";

/** Bounds small enough for every one of them to be reached by a few writes. */
vi.mock("../../mobility/limits.ts", async (original) => {
  const small = {
    SPOOL_MIN_BYTES: 4096,
    SEED_CHUNK_BYTES: 8192,
    EPOCH_MAX_DATA_BYTES: 49_152,
    ZERO_RUN_MIN_BYTES: 4096,
    DIRTY_MAP_CACHE_PAGES: 1,
  } satisfies Partial<Record<keyof typeof Limits, number>>;
  return { ...(await original<typeof Limits>()), ...small };
});

/** CI asks for more: `npm run test:long`. */
const HISTORIES = Number(process.env["LEEWARD_HISTORIES"] ?? 100);

function perform(machine: SourceMachine, step: Step): Promise<void> {
  switch (step.kind) {
    case "write":
      return machine.write(step.disk, step.sector, step.count, step.fill, step.fua);
    case "flush":
      return machine.flush(step.disk);
    case "idle":
      return machine.idle(step.count);
    case "upload":
      return machine.upload(step.count);
    case "resynchronize":
      // Should it fail it is asked for again.
      return machine.capture.recorder.resynchronize("requested", String(step.count)).catch(() => undefined);
    case "begin-stream":
      return machine.capture.beginStream(machine.startOf(step.mints)).catch(() => undefined);
    case "tight":
      machine.room.bytes = ROOMS[step.count] ?? 0;
      return Promise.resolve();
    case "failing-state":
    case "failing-state-late":
      machine.failState(step.count, step.kind === "failing-state" ? "before" : "after");
      return Promise.resolve();
    case "calm":
      return machine.calm();
    case "half-seeded":
      return machine.halfSeeded();
    case "given-up":
      return machine.givenUp();
    case "log-again":
      return machine.logAgain();
    case "stop":
      return Promise.resolve();
    case "cut":
      machine.cut();
      return Promise.resolve();
    case "bound":
      machine.spoolBoundBytes = BOUNDS[step.count] ?? 0;
      return Promise.resolve();
    case "full":
    case "room":
      machine.room.bytes = Number.POSITIVE_INFINITY;
      machine.isFull = step.kind === "full";
      return Promise.resolve();
    case "failing-journal":
      machine.failJournal();
      return Promise.resolve();
  }
}

/** Begins the step, and ends the machine as the event says. */
async function live(machine: SourceMachine, { step, end, startEnd }: Event): Promise<void> {
  // What the step waits for and what the machine does beside it share the steps of time.
  const work = async (): Promise<void> => perform(machine, step);
  if (step.kind === "stop") {
    await machine.stop(step.reboot);
    machine.healState();
    return machine.start();
  }
  if (end === undefined) return machine.time.finish(work());
  if (end.after === "operations") await machine.dieAfter(end.count, end.death, work);
  else {
    work().catch(() => undefined);
    await machine.idle(end.count);
    machine.die(end.death);
  }
  machine.checkDeltas();
  machine.healJournal();
  machine.healState();
  await startAgain(machine, startEnd);
}

/** Starts the service; one that dies at its start is started again. */
async function startAgain(machine: SourceMachine, end: End | undefined): Promise<void> {
  if (end !== undefined) await machine.start({ operations: end.count, death: end.death });
  if (!machine.isAlive) await machine.start();
}

describe("capture through bounds, kills and power failures", () => {
  it("rule 1: every delta without `seeding` is a state of the source, and nothing that the target lacks is ever forgotten", async () => {
    const property = fc.asyncProperty(
      fc.array(event, { maxLength: 40 }),
      fc.integer(),
      fc.integer({ min: 0, max: 3 }),
      fc.oneof({ weight: 2, arbitrary: fc.constant(undefined) }, end),
      async (events, seed, begin, firstEnd) => {
        const machine = new SourceMachine(createRandom(seed));
        await startAgain(machine, firstEnd);
        // Most histories begin with a target that has everything, the others with initial replication.
        if (begin > 0) await machine.finish();
        for (const each of events) await live(machine, each);
        machine.isFull = false;
        machine.room.bytes = Number.POSITIVE_INFINITY;
        machine.healJournal();
        machine.healState();
        machine.spoolBoundBytes = 1024 * 1024;
        // A journal that failed is trusted again after a restart only.
        machine.die("kill");
        await machine.start();
        await expect(machine.finish()).resolves.toBeUndefined();
      },
    );
    await fc.assert(property, {
      numRuns: EXAMPLES.length + HISTORIES,
      examples: EXAMPLES,
    });
  }, 900_000);
});
