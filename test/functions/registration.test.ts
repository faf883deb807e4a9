import { globSync, readFileSync } from "node:fs";
import { describe, expect, it, vi } from "vitest";
import { CONTRACT } from "../../api/contract.ts";
import { ACTIVITIES } from "../../orchestrations/activities/table.ts";

interface Registered {
  readonly kind: string;
  readonly name: string;
  readonly options: Readonly<Record<string, unknown>>;
}
const registered: Registered[] = [];
const record =
  (kind: string) =>
  (name: string, options: Readonly<Record<string, unknown>>): void => {
    registered.push({ kind, name, options });
  };

vi.mock("@azure/functions", async (original) => ({
  ...(await original<Record<string, unknown>>()),
  app: {
    http: record("http"),
    timer: record("timer"),
    storageQueue: record("queue"),
    hook: { appTerminate: () => undefined },
  },
}));

describe("functions/index.ts", async () => {
  await import("../../functions/index.ts");
  const http = registered.filter(({ kind }) => kind === "http");

  it("registers every function that a file exports, under its own name", () => {
    const exported = globSync("functions/**/*.ts").flatMap((file) =>
      [...readFileSync(file, "utf8").matchAll(/export const (\w+) = \(application: ApplicationSource\)/g)].map(
        (match) => match[1],
      ),
    );
    expect(new Set(registered.map(({ name }) => name))).toEqual(new Set(exported));
    expect(registered).toHaveLength(exported.length);
    expect(exported.length).toBeGreaterThan(10);
  });

  it("gives no function the name of an activity: a host knows both by their names", () => {
    const activities = new Set(Object.keys(ACTIVITIES).map((name) => name.toLowerCase()));
    expect(registered.filter(({ name }) => activities.has(name.toLowerCase()))).toEqual([]);
  });

  it("serves every operation of the contract under its name, and no other route", () => {
    const served = http.map(({ name, options }) => [name, String(options["methods"]), options["route"]]);
    const described = Object.entries(CONTRACT).map(([name, { method, route }]) => [name, method, route]);
    expect(new Map(served.map((each) => [each[0], each]))).toEqual(new Map(described.map((each) => [each[0], each])));
    expect(served).toHaveLength(described.length);
    expect(new Set(described.map(([, ...route]) => route.join(" "))).size).toBe(described.length);
  });

  it("rule 8: operators need a key; the mobility service brings a token of its own item instead", () => {
    for (const { options } of http) {
      expect(options["authLevel"]).toBe(String(options["route"]).startsWith("mobility/") ? "anonymous" : "function");
    }
  });

  it("works queues of the target account, and timers by the settings' schedules", () => {
    const queues = registered
      .filter(({ kind }) => kind === "queue")
      .map(({ options }) => [options["queueName"], options["connection"]]);
    expect(queues).toEqual([
      ["leeward-hints", "TargetStorage"],
      ["leeward-restores", "TargetStorage"],
      ["leeward-alerts", "TargetStorage"],
    ]);
    const schedules = registered.filter(({ kind }) => kind === "timer").map(({ options }) => options["schedule"]);
    expect(schedules).toEqual(["%LEEWARD_POINT_SCHEDULE%", "%LEEWARD_SWEEP_SCHEDULE%"]);
  });
});
