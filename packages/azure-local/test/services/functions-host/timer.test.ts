import { BlobServiceClient } from "@azure/storage-blob";
import { expect, it, vi } from "vitest";
import { fakeClock } from "../../functions-host/fake-clock.ts";
import { type AppFolder, makeApp, makeStorage, runHost } from "./world.ts";

const NOON_MS = Date.parse("2026-01-01T12:00:00Z");
const MINUTE_MS = 60_000;
const soon = { timeout: 20_000, interval: 20 };

interface TimerInfo {
  readonly isPastDue: boolean;
  readonly scheduleStatus: unknown;
}

const globals = globalThis as unknown as Record<string, TimerInfo[] | undefined>;
const makeTimerApp = (name: string, options: string): Promise<AppFolder> =>
  makeApp({
    source: `const seen = (globalThis.${name} ??= []); app.timer("tick", { ${options}, handler: (timer) => { seen.push(timer); } });`,
  });

it("a timer that missed its time while the host was away is past due at the next start", async () => {
  await using world = await makeStorage();
  await using app = await makeTimerApp("pastDue", `schedule: "%SCHEDULE%"`);
  const environment = {
    AzureWebJobsStorage: world.connection,
    SCHEDULE: "0 */5 * * * *",
    AzureFunctionsWebHost__hostid: "leeward-test",
  };
  const seen = (): readonly TimerInfo[] => globals["pastDue"] ?? [];

  const clock = fakeClock(NOON_MS);
  {
    await using running = await runHost(app, { environment, clock });
    await clock.advance(6 * MINUTE_MS);
    await vi.waitFor(() => expect(seen()).toHaveLength(1), soon);
    await vi.waitFor(() => expect(running.host.invocations()["tick"]?.succeeded).toBe(1), soon);
  }
  expect(seen()[0]).toMatchObject({ isPastDue: false, scheduleStatus: { next: "2026-01-01T12:05:00.000+00:00" } });
  const blob = BlobServiceClient.fromConnectionString(world.connection)
    .getContainerClient("azure-webjobs-hosts")
    .getBlobClient("timers/leeward-test/Host.Functions.tick/status");
  expect(JSON.parse((await blob.downloadToBuffer()).toString())).toEqual({
    Last: "2026-01-01T12:05:00.000+00:00",
    Next: "2026-01-01T12:10:00.000+00:00",
    LastUpdated: "2026-01-01T12:05:00.000+00:00",
  });

  // A second app, as a process that starts again would have it: the modules of an app are loaded once in a process.
  await using again = await makeTimerApp("pastDue", `schedule: "%SCHEDULE%"`);
  {
    await using running = await runHost(again, { environment, clock: fakeClock(NOON_MS + 13 * MINUTE_MS) });
    await vi.waitFor(() => expect(running.host.invocations()["tick"]?.succeeded).toBe(1), soon);
    expect(running.events).toContainEqual(
      expect.objectContaining({ message: "Function 'tick' is past due on startup. Executing now." }),
    );
  }
  expect(seen()[1]).toMatchObject({ isPastDue: true });
});

it("a timer may run on startup; one without monitor needs no storage", async () => {
  await using app = await makeTimerApp("startup", `schedule: "0 0 0 1 1 *", runOnStartup: true, useMonitor: false`);
  await using running = await runHost(app);
  await vi.waitFor(() => expect(running.host.invocations()["tick"]?.succeeded).toBe(1), soon);
  expect(globals["startup"]).toEqual([{ schedule: { adjustForDST: true }, scheduleStatus: null, isPastDue: false }]);
});

it("a timer whose setting is missing is refused by name, and so is a monitored one without storage", async () => {
  await using app = await makeTimerApp("missing", `schedule: "%NO_SUCH_SETTING%"`);
  await expect(runHost(app)).rejects.toMatchObject({
    code: "configuration-invalid",
    facts: { setting: "NO_SUCH_SETTING" },
  });
  await using other = await makeTimerApp("missing", `schedule: "0 * * * * *"`);
  await expect(runHost(other)).rejects.toMatchObject({
    code: "configuration-invalid",
    facts: { setting: "AzureWebJobsStorage" },
  });
});
