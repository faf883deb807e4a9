import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it, vi } from "vitest";
import { type AppFolder, type HostProcess, addressOf, forkHost, makeApp } from "./world.ts";

const SEED = Number(process.env["FC_SEED"] ?? 20261126);
const INSTANCES = 40;
const KILLS = 4;
/** Allows for six process starts on a busy machine. */
const LIMIT_MS = 300_000;
const soon = { timeout: 100_000, interval: 100 };

/** Every kind of step, each activity noting that it ran, in a file that outlives the process. */
const SOURCE = `
import * as df from "durable-functions";
import { appendFileSync } from "node:fs";

const note = (text) => appendFileSync(process.env.NOTES, text + "\\n");
df.app.activity("step", {
  handler: async ({ key, failFirst }) => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    note(key);
    if (failFirst && Math.random() < 0.5) throw new Error("not yet");
    return key;
  },
});
const later = (context, ms) => new Date(context.df.currentUtcDateTime.getTime() + ms);
df.app.orchestration("sequence", function* (context) {
  const keys = [];
  for (const n of [1, 2, 3]) keys.push(yield context.df.callActivity("step", { key: context.df.instanceId + "/" + n }));
  return keys;
});
df.app.orchestration("fan", function* (context) {
  const retry = new df.RetryOptions(20, 50);
  return yield context.df.Task.all([1, 2, 3, 4, 5].map((n) => context.df.callActivityWithRetry("step", retry, { key: context.df.instanceId + "/" + n, failFirst: true })));
});
df.app.orchestration("parent", function* (context) {
  yield context.df.createTimer(later(context, 150));
  return yield context.df.Task.all([1, 2].map((n) => context.df.callSubOrchestrator("sequence", undefined, context.df.instanceId + "-child" + n)));
});
df.app.orchestration("eternal", function* (context) {
  const n = context.df.getInput() ?? 1;
  yield context.df.callActivity("step", { key: context.df.instanceId + "/" + n });
  if (n < 5) context.df.continueAsNew(n + 1);
  return n;
});
df.app.orchestration("waiter", function* (context) {
  const timeout = context.df.createTimer(later(context, 3600000));
  const event = context.df.waitForExternalEvent("Go");
  yield context.df.Task.any([event, timeout]);
  timeout.cancel();
  return yield context.df.callActivity("step", { key: context.df.instanceId + "/" + event.result });
});
app.http("links", { authLevel: "anonymous", extraInputs: [df.input.durableClient()], handler: (request, context) => ({ jsonBody: df.getClient(context).createHttpManagementPayload("ID") }) });
`;

const KINDS = ["sequence", "fan", "parent", "eternal", "waiter"] as const;
const keysOf = (id: string, count: number): readonly string[] =>
  Array.from({ length: count }, (_, n) => `${id}/${n + 1}`);
const EXPECTED: Readonly<
  Record<(typeof KINDS)[number], (id: string) => { readonly output: unknown; readonly keys: readonly string[] }>
> = {
  sequence: (id) => ({ output: keysOf(id, 3), keys: keysOf(id, 3) }),
  fan: (id) => ({ output: keysOf(id, 5), keys: keysOf(id, 5) }),
  parent: (id) => {
    const children = [`${id}-child1`, `${id}-child2`].map((child) => keysOf(child, 3));
    return { output: children, keys: children.flat() };
  },
  eternal: (id) => ({ output: 5, keys: keysOf(id, 5) }),
  waiter: (id) => ({ output: `${id}/1`, keys: keysOf(id, 1) }),
};

describe("an app that is killed with SIGKILL", () => {
  it(
    `finishes ${INSTANCES} orchestrations over ${KILLS} kills, each with every one of its activities (FC_SEED=${SEED})`,
    async () => {
      await using app = await makeApp({
        source: SOURCE,
        hostJson: { version: "2.0", extensions: { durableTask: { hubName: "KillHub" } } },
      });
      await using state = await makeState(app);
      const random = seeded(SEED);
      const ids = Array.from(
        { length: INSTANCES },
        (_, n) => [KINDS[n % KINDS.length] ?? "sequence", `run-${n}`] as const,
      );
      const started = new Set<string>();
      const raised = new Set<string>();
      for (let kill = 0; kill < KILLS; kill += 1) {
        await using running = state.fork();
        const api = await apiOf(running);
        const dead = running.exited.then(() => true as const);
        // Between two kills more instances are started and get their event. The outcome of a request that the kill
        // interrupts is unknown, so it is sent again.
        const load = drive(api, ids.slice(0, Math.ceil((INSTANCES * (kill + 1)) / KILLS)), started, raised);
        await Promise.race([
          sleep(40 + Math.floor(random() * 400)),
          load.then(() => sleep(Math.floor(random() * 200))),
        ]);
        running.child.kill("SIGKILL");
        await Promise.all([dead, load]);
      }
      await using running = state.fork();
      const api = await apiOf(running);
      await vi.waitFor(async () => {
        await drive(api, ids, started, raised);
        const statuses = await Promise.all(ids.map(async ([, id]) => ((await api.show(id)) ?? {}).runtimeStatus));
        expect(statuses.filter((status) => status !== "Completed")).toEqual([]);
      }, soon);
      const notes = new Set((await readFile(state.notes, "utf8")).split("\n"));
      for (const [kind, id] of ids) {
        const { output, keys } = EXPECTED[kind](id);
        expect((await api.show(id))?.output).toEqual(output);
        expect(keys.filter((key) => !notes.has(key))).toEqual([]);
      }
    },
    LIMIT_MS,
  );
});

describe("an activity that runs longer than functionTimeout", () => {
  it(
    "has failed when the app comes back, and is not begun again",
    async () => {
      const source = `import * as df from "durable-functions";
      df.app.activity("never", { handler: () => { console.log("never begun"); return new Promise(() => {}); } });
      df.app.orchestration("sequence", function* (context) { yield context.df.callActivity("never"); });
      app.http("links", { authLevel: "anonymous", extraInputs: [df.input.durableClient()], handler: (request, context) => ({ jsonBody: df.getClient(context).createHttpManagementPayload("ID") }) });`;
      await using app = await makeApp({ source, hostJson: { version: "2.0", functionTimeout: "00:00:01" } });
      await using state = await makeState(app);
      {
        await using running = state.fork();
        expect(await (await apiOf(running)).start("sequence", "late")).toBe(true);
        expect(await running.exited).toBe(1);
      }
      await using running = state.fork();
      const api = await apiOf(running);
      await vi.waitFor(async () => expect((await api.show("late"))?.runtimeStatus).toBe("Failed"), soon);
      expect((await api.show("late"))?.output).toContain(
        "Activity function 'never' failed: Timeout value of 1 s exceeded by function: never",
      );
      expect(running.output()).not.toContain("never begun");
    },
    LIMIT_MS,
  );
});

interface Shown {
  readonly runtimeStatus?: string;
  readonly output?: unknown;
}
interface Api {
  start(kind: string, id: string): Promise<boolean>;
  raise(id: string): Promise<boolean>;
  show(id: string): Promise<Shown | undefined>;
}

/** Calls of the management API; false or undefined when the process dies during the call. */
async function apiOf(running: HostProcess): Promise<Api> {
  const url = await addressOf(running);
  const links = (await (await fetch(`${url}/api/links`)).json()) as { readonly statusQueryGetUri: string };
  const base = `${url}/runtime/webhooks/durabletask`;
  const code = new URL(links.statusQueryGetUri).search;
  const call = (path: string, init: RequestInit): Promise<Response | undefined> =>
    fetch(`${base}${path}${code}`, init).catch(() => undefined);
  const json = { "content-type": "application/json" };
  return {
    // 409: the start before it came through, and only its answer was lost.
    start: async (kind, id) =>
      [202, 409].includes((await call(`/orchestrators/${kind}/${id}`, { method: "POST" }))?.status ?? 0),
    raise: async (id) =>
      (await call(`/instances/${id}/raiseEvent/GO`, { method: "POST", headers: json, body: "1" }))?.status === 202,
    show: async (id) => {
      const answer = await call(`/instances/${id}`, {});
      return answer?.status === 200 || answer?.status === 202
        ? ((await answer.json().catch(() => undefined)) as Shown | undefined)
        : undefined;
    },
  };
}

/**
 * Starts what is not known to have been started, and sends each waiter its event; what was acknowledged is never sent
 * again.
 */
async function drive(
  api: Api,
  ids: readonly (readonly [(typeof KINDS)[number], string])[],
  started: Set<string>,
  raised: Set<string>,
): Promise<void> {
  for (const [kind, id] of ids) {
    if (!started.has(id) && (await api.show(id)) === undefined && !(await api.start(kind, id))) continue;
    started.add(id);
    if (kind === "waiter" && !raised.has(id) && (await api.raise(id))) raised.add(id);
  }
}

interface State extends AsyncDisposable {
  readonly notes: string;
  fork(): HostProcess;
}

async function makeState(app: AppFolder): Promise<State> {
  const folder = await mkdtemp(join(tmpdir(), "leeward-durable-kill-"));
  const notes = join(folder, "notes.txt");
  return {
    notes,
    fork: () => forkHost(app, { AZURE_LOCAL_DURABLE_FOLDER: join(folder, "durable"), NOTES: notes }),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
}

/** Mulberry32. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d_2b_79_f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
