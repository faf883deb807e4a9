import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseHostConfiguration, parseTimeSpan } from "../../functions-host/host-json.ts";
import { bodyLimitBytes, connectionString, isDisabled, resolveText } from "../../functions-host/settings.ts";

describe("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", () => {
  it("is a number of bytes, 100 MiB unless it is set", () => {
    expect([bodyLimitBytes({}), bodyLimitBytes({ FUNCTIONS_REQUEST_BODY_SIZE_LIMIT: "" })]).toEqual([
      104_857_600, 104_857_600,
    ]);
    expect(bodyLimitBytes({ FUNCTIONS_REQUEST_BODY_SIZE_LIMIT: "2048" })).toBe(2048);
  });

  it.each(["100 MB", "-1", "1e6", "0x10", "1.5", "many"])("is refused when it is %s", (text) => {
    expect(() => bodyLimitBytes({ FUNCTIONS_REQUEST_BODY_SIZE_LIMIT: text })).toThrow(
      expect.objectContaining({
        code: "configuration-invalid",
        facts: { setting: "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT" },
      }),
    );
  });
});

describe("host.json", () => {
  it("of the product is accepted in full", () => {
    expect(parseHostConfiguration(JSON.parse(readFileSync("host.json", "utf8")))).toMatchObject({
      routePrefix: "api",
      queues: {
        batchSize: 3,
        newBatchThreshold: 1,
        maxPollingIntervalMs: 2000,
        visibilityTimeoutMs: 10_000,
        maxDequeueCount: 5,
      },
      durableTask: { hubName: "Leeward" },
      functionTimeoutMs: 600_000,
    });
  });

  it("limits how many activities and orchestrators run at once; settings of Azure Storage are ignored", () => {
    const durableTask = {
      hubName: "Hub1",
      maxConcurrentActivityFunctions: 3,
      maxConcurrentOrchestratorFunctions: 2,
      tracing: { distributedTracingEnabled: true },
      storageProvider: { type: "AzureStorage", maxQueuePollingInterval: "00:00:02", partitionCount: 4 },
    };
    expect(parseHostConfiguration({ version: "2.0", extensions: { durableTask } }).durableTask).toEqual({
      hubName: "Hub1",
      maxConcurrentActivityFunctions: 3,
      maxConcurrentOrchestratorFunctions: 2,
    });
  });

  it("has the defaults of the real host", () => {
    expect(parseHostConfiguration({ version: "2.0" })).toEqual({
      routePrefix: "api",
      customHeaders: {},
      queues: {
        batchSize: 16,
        newBatchThreshold: 8,
        maxPollingIntervalMs: 60_000,
        visibilityTimeoutMs: 0,
        maxDequeueCount: 5,
        messageEncoding: "base64",
      },
      durableTask: {
        hubName: "TestHubName",
        maxConcurrentActivityFunctions: 10,
        maxConcurrentOrchestratorFunctions: 10,
      },
      functionTimeoutMs: 1_800_000,
    });
    expect(parseHostConfiguration({ version: "2.0", functionTimeout: "-1" }).functionTimeoutMs).toBeUndefined();
  });

  it.each([
    [{ version: "2.0", extensions: { serviceBus: {} } }, "host.json.extensions.serviceBus"],
    [
      { version: "2.0", extensions: { http: { dynamicThrottlesEnabled: true } } },
      "host.json.extensions.http.dynamicThrottlesEnabled",
    ],
    [{ version: "2.0", functions: ["one"] }, "host.json.functions"],
    [
      { version: "2.0", extensions: { durableTask: { extendedSessionsEnabled: true } } },
      "host.json.extensions.durableTask.extendedSessionsEnabled",
    ],
    [
      { version: "2.0", extensions: { durableTask: { storageProvider: { connectionName: "X" } } } },
      "host.json.extensions.durableTask.storageProvider.connectionName",
    ],
  ])("is refused with what the host does not know: %j", (file, setting) => {
    expect(() => parseHostConfiguration(file)).toThrow(
      expect.objectContaining({ code: "not-supported", facts: { setting } }),
    );
  });

  it.each([
    [{ version: "1.0" }, "host.json.version"],
    [{ version: "2.0", functionTimeout: "ten" }, "host.json.functionTimeout"],
    [{ version: "2.0", extensions: { queues: { batchSize: 33 } } }, "host.json.extensions.queues.batchSize"],
    [{ version: "2.0", extensions: { durableTask: { hubName: "../x" } } }, "host.json.extensions.durableTask.hubName"],
    [
      { version: "2.0", extensions: { durableTask: { storageProvider: { type: "mssql" } } } },
      "host.json.extensions.durableTask.storageProvider.type",
    ],
    [
      { version: "2.0", extensions: { queues: { maxPollingInterval: "00:00:00" } } },
      "host.json.extensions.queues.maxPollingInterval",
    ],
    [
      { version: "2.0", extensions: { queues: { visibilityTimeout: 5 } } },
      "host.json.extensions.queues.visibilityTimeout",
    ],
  ])("is refused with a wrong value: %j", (file, setting) => {
    expect(() => parseHostConfiguration(file)).toThrow(
      expect.objectContaining({ code: "configuration-invalid", facts: { setting } }),
    );
  });

  it.each([
    ["00:00:02", 2000],
    ["00:00:00.100", 100],
    ["01:30", 5_400_000],
    ["2.03:00:00", 183_600_000],
    ["24:00:00", undefined],
    ["00:60:00", undefined],
    ["2", undefined],
    ["", undefined],
  ])("reads the time span %j as %j ms", (text, expected) => {
    expect(parseTimeSpan(text)).toBe(expected);
  });
});

describe("settings", () => {
  it("replace %NAME%, and a missing one is named", () => {
    expect(resolveText("%A%-%B%", { A: "1", B: "2" }, "Function tick")).toBe("1-2");
    expect(() => resolveText("%SWEEP%", {}, "Function tick")).toThrow(
      /Function tick refers to the setting SWEEP, which is missing/,
    );
  });

  it("give the connection string that a binding names", () => {
    expect(connectionString("Target", { Target: "T", AzureWebJobsTarget: "W" }, "f")).toBe("T");
    expect(connectionString("Target", { AzureWebJobsTarget: "W" }, "f")).toBe("W");
    expect(connectionString(undefined, { AzureWebJobsStorage: "S" }, "f")).toBe("S");
    expect(() => connectionString("Target", {}, "f")).toThrow(
      expect.objectContaining({ code: "configuration-invalid", facts: { setting: "Target" } }),
    );
  });

  it("refuse a connection by identity, which needs Azure", () => {
    expect(() => connectionString("Target", { Target__queueServiceUri: "https://x" }, "f")).toThrow(
      expect.objectContaining({ code: "not-supported", message: expect.stringContaining("Target__queueServiceUri") }),
    );
  });

  it("switch a function off as on Azure", () => {
    expect(isDisabled("tick", { "AzureWebJobs.tick.Disabled": "true" })).toBe(true);
    expect(isDisabled("tick", { AzureWebJobs_TICK_Disabled: "1" })).toBe(true);
    expect(isDisabled("tick", { "AzureWebJobs.tick.Disabled": "0", "AzureWebJobs.tock.Disabled": "1" })).toBe(false);
  });
});
