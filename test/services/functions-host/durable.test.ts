import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { callClient, DURABLE_SOURCE } from "./durable-app.ts";
import type { AppFolder, RunningHost } from "./world.ts";
import { makeApp, runHost } from "./world.ts";

const soon = { timeout: 30_000, interval: 20 };
const hostJson = { version: "2.0", extensions: { durableTask: { hubName: "TestHub" } } };

interface Status {
  readonly runtimeStatus: string;
  readonly [member: string]: unknown;
}

describe("an app with durable-functions", () => {
  let app: AppFolder;
  let running: RunningHost;
  const client = (method: string, ...parameters: readonly unknown[]): Promise<unknown> => callClient(running, method, ...parameters);
  const ended = async (id: unknown): Promise<Status> =>
    vi.waitFor(async () => {
      const status = (await client("getStatus", id)) as Status;
      expect(["Completed", "Failed", "Terminated"]).toContain(status.runtimeStatus);
      return status;
    }, soon);

  beforeAll(async () => {
    app = await makeApp({ source: DURABLE_SOURCE, hostJson });
    running = await runHost(app);
  });
  afterAll(async () => {
    await running[Symbol.asyncDispose]();
    await app[Symbol.asyncDispose]();
  });

  it("starts an orchestration through its client, which ends with what its activities gave", async () => {
    const id = await client("startNew", "greet", { input: "you" });
    expect(await ended(id)).toMatchObject({
      name: "greet",
      instanceId: id,
      runtimeStatus: "Completed",
      output: { two: "hello hello you" },
    });
  });

  it("fails with the text of the activity that failed", async () => {
    const id = await client("startNew", "fails");
    expect(await ended(id)).toMatchObject({
      runtimeStatus: "Failed",
      output: expect.stringContaining("Orchestrator function 'fails' failed: Activity function 'boom' failed: no such luck"),
    });
  });
});
