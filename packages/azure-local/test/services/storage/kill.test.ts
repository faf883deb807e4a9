import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { QueueServiceClient } from "@azure/storage-queue";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { blobHammer, containerOf, pageHammer, queueHammer, type Hammer } from "./hammer.ts";

const SEED = Number(process.env["FC_SEED"] ?? 20261122);
const CHILD = fileURLToPath(new URL("storage-child.ts", import.meta.url));

describe("storage that is killed with SIGKILL", () => {
  let folder: string;
  let child: ChildProcess | undefined;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "leeward-kill-"));
  });
  afterEach(async () => {
    if (child !== undefined) await kill(child);
    await rm(folder, { recursive: true });
  });

  // Small logs: about every twentieth answer has a database being rewritten while the kill comes.
  it.each([20_000, 16_777_216])(
    `holds every answer through 5 kills, with logs of %i bytes (FC_SEED=${SEED})`,
    async (redoLogMinBytes) => {
      const random = seeded(SEED + redoLogMinBytes);
      const pageHammers = [pageHammer("disk-0", random), pageHammer("disk-1", random)];
      const hammers: Hammer[] = [...pageHammers, blobHammer("delta-0", random), blobHammer("delta-1", random)];
      for (let round = 0; round < 5; round++) {
        const started = await startChild(folder, "durable", redoLogMinBytes);
        child = started.child;
        const { connectionString } = started;
        await containerOf(connectionString).createIfNotExists();
        for (const hammer of hammers) await hammer.verify(connectionString);
        const queue = `queue-${round}`;
        await QueueServiceClient.fromConnectionString(connectionString).createQueue(queue);
        const sender = queueHammer(queue, random);
        const killAfter = 20 + Math.floor(random() * 150);
        expect(await hammerUntilKilled(started, [...hammers, sender], killAfter)).toBeGreaterThanOrEqual(killAfter);
        // Messages become hidden by looking at them, so the queue of a round is looked at by the process after it.
        hammers.push(verifiedOnce(sender));
      }
      const last = await startChild(folder, "durable", redoLogMinBytes);
      child = last.child;
      for (const hammer of hammers) await hammer.verify(last.connectionString);
    },
  );

  it("loses answers without the mend (the fault is still there)", async () => {
    const disk = pageHammer("disk", seeded(SEED));
    const started = await startChild(folder, "unmended", 1);
    child = started.child;
    await containerOf(started.connectionString).create();
    await hammerUntilKilled(started, [disk], 20);
    const last = await startChild(folder, "unmended", 1);
    child = last.child;
    await expect(disk.verify(last.connectionString)).rejects.toMatchObject({ statusCode: 404 });
  });
});

interface StartedChild {
  readonly child: ChildProcess;
  readonly connectionString: string;
}

async function startChild(folder: string, durability: string, redoLogMinBytes: number): Promise<StartedChild> {
  const child = spawn(process.execPath, [CHILD, folder, durability, String(redoLogMinBytes)], {
    stdio: ["ignore", "pipe", "inherit", "ipc"],
  });
  const ended = once(child, "exit").then(() => {
    throw new Error("The storage process ended before it was ready.");
  });
  ended.catch(() => undefined);
  if (child.stdout === null) throw new Error("The storage process has no output.");
  const [line] = await Promise.race([once(child.stdout, "data"), ended]);
  return { child, connectionString: String(line).trim() };
}

/**
 * Runs all hammers at once, and kills the process at the given number of answers, while other requests are under way.
 */
async function hammerUntilKilled(
  started: StartedChild,
  hammers: readonly Hammer[],
  killAfter: number,
): Promise<number> {
  let answers = 0;
  const acknowledged = (): void => {
    if (++answers === killAfter) started.child.kill("SIGKILL");
  };
  await Promise.all(hammers.map((hammer) => hammer.work(started.connectionString, acknowledged)));
  await kill(started.child);
  return answers;
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

/** A hammer whose work is done and that is verified one time. */
function verifiedOnce(hammer: Hammer): Hammer {
  let verified = false;
  return {
    work: async () => undefined,
    verify: async (connectionString) => {
      if (!verified) await hammer.verify(connectionString);
      verified = true;
    },
  };
}

/** Numbers in [0, 1) that repeat with the seed (mulberry32, public domain). */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
