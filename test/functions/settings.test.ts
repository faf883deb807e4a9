import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseSettings } from "../../functions/settings.ts";
import { connectApplication } from "../../functions/wiring.ts";
import { LeewardError } from "../../replication/errors.ts";

interface Sample {
  readonly IsEncrypted: boolean;
  readonly Values: Readonly<Record<string, string>>;
}
const sample = JSON.parse(readFileSync("local.settings.sample.json", "utf8")) as Sample;

describe("local.settings.sample.json", () => {
  it("holds values that the app itself accepts", () => {
    expect(sample.IsEncrypted).toBe(false);
    const settings = parseSettings(sample.Values);
    expect(settings).toMatchObject({ cache: { kind: "connection-string" }, target: { kind: "connection-string" } });
    expect(() => connectApplication(settings)).not.toThrow();
  });

  it("names what the host needs besides", () => {
    expect(Object.keys(sample.Values).sort()).toEqual([
      "AzureWebJobsStorage",
      "CacheStorage",
      "FUNCTIONS_WORKER_RUNTIME",
      "LEEWARD_ARM_ENDPOINT",
      "LEEWARD_ARM_TOKEN",
      "LEEWARD_MOBILITY_SCRIPT_URL",
      "LEEWARD_POINT_SCHEDULE",
      "LEEWARD_RESOURCE_GROUP",
      "LEEWARD_SUBSCRIPTION_ID",
      "LEEWARD_SWEEP_SCHEDULE",
      "TargetStorage",
    ]);
  });
});

describe("parseSettings", () => {
  const { LEEWARD_POINT_SCHEDULE, LEEWARD_SWEEP_SCHEDULE } = sample.Values;
  const schedules = { LEEWARD_POINT_SCHEDULE, LEEWARD_SWEEP_SCHEDULE };
  const identity = {
    ...schedules,
    CacheStorage__blobServiceUri: "https://cache.blob.core.windows.net",
    TargetStorage__blobServiceUri: "https://target.blob.core.windows.net",
    TargetStorage__queueServiceUri: "https://target.queue.core.windows.net",
  };
  const refusal = (environment: Readonly<Record<string, string | undefined>>): string => {
    try {
      parseSettings(environment);
    } catch (error) {
      if (error instanceof LeewardError && error.code === "configuration-invalid") return error.message;
      throw error;
    }
    return "accepted";
  };

  it("tells a topic with the identity over https, with a key anywhere, and names what is missing", () => {
    const LEEWARD_EVENTS_ENDPOINT = "https://t.westeurope-1.eventgrid.azure.net/api/events";
    expect(parseSettings({ ...identity, LEEWARD_EVENTS_ENDPOINT }).events).toEqual({
      endpoint: LEEWARD_EVENTS_ENDPOINT,
      key: undefined,
    });
    const local = { LEEWARD_EVENTS_ENDPOINT: "http://127.0.0.1:1/api/events", LEEWARD_EVENTS_KEY: "secret" };
    expect(parseSettings({ ...identity, ...local }).events).toEqual({
      endpoint: local.LEEWARD_EVENTS_ENDPOINT,
      key: "secret",
    });
    expect(parseSettings(identity).events).toBeUndefined();
    expect(refusal({ ...identity, ...local, LEEWARD_EVENTS_KEY: "" })).toContain("LEEWARD_EVENTS_KEY is missing");
    expect(refusal({ ...identity, ...local, LEEWARD_EVENTS_ENDPOINT: "" })).toContain(
      "LEEWARD_EVENTS_ENDPOINT is missing",
    );
  });

  it("takes service addresses, to be used with the app's identity", () => {
    expect(parseSettings(identity)).toEqual({
      cache: { kind: "identity", blobServiceUri: "https://cache.blob.core.windows.net", queueServiceUri: undefined },
      target: {
        kind: "identity",
        blobServiceUri: "https://target.blob.core.windows.net",
        queueServiceUri: "https://target.queue.core.windows.net",
      },
      management: undefined,
      checkAnswers: false,
    });
  });

  it("checks its answers only when it is told to", () => {
    expect(parseSettings({ ...identity, LEEWARD_CHECK_ANSWERS: "true" }).checkAnswers).toBe(true);
    expect(parseSettings({ ...identity, LEEWARD_CHECK_ANSWERS: "" }).checkAnswers).toBe(false);
    expect(refusal({ ...identity, LEEWARD_CHECK_ANSWERS: "yes" })).toMatch(/LEEWARD_CHECK_ANSWERS: is not true/);
  });

  const place = { LEEWARD_SUBSCRIPTION_ID: "1ee3a2d0-0000-4000-8000-000000000001", LEEWARD_RESOURCE_GROUP: "leeward" };

  it("makes resources in Azure's public cloud with the app's identity, or elsewhere with a token", () => {
    expect(parseSettings({ ...identity, ...place }).management).toEqual({
      address: {
        endpoint: "https://management.azure.com",
        access: { kind: "identity", scope: "https://management.azure.com/.default" },
      },
      subscriptionId: place.LEEWARD_SUBSCRIPTION_ID,
      resourceGroup: "leeward",
    });
    const elsewhere = {
      LEEWARD_ARM_ENDPOINT: "https://management.chinacloudapi.cn/",
      LEEWARD_ARM_SCOPE: "https://management.core.chinacloudapi.cn/.default",
    };
    expect(parseSettings({ ...identity, ...place, ...elsewhere }).management?.address).toEqual({
      endpoint: elsewhere.LEEWARD_ARM_ENDPOINT,
      access: { kind: "identity", scope: elsewhere.LEEWARD_ARM_SCOPE },
    });
    expect(parseSettings(sample.Values).management?.address.access).toEqual({
      kind: "token",
      token: "leeward-development-only-token",
    });
  });

  it("rule 8: an identity's token never travels in the clear, and half a place is none", () => {
    expect(refusal({ ...identity, ...place, LEEWARD_ARM_ENDPOINT: "http://10.0.0.4" })).toMatch(
      /^LEEWARD_ARM_TOKEN is missing/,
    );
    expect(refusal({ ...identity, ...place, LEEWARD_RESOURCE_GROUP: "" })).toMatch(
      /^LEEWARD_RESOURCE_GROUP is missing/,
    );
    expect(refusal({ ...identity, ...place, LEEWARD_SUBSCRIPTION_ID: undefined })).toMatch(
      /^LEEWARD_SUBSCRIPTION_ID is missing/,
    );
    expect(refusal({ ...identity, ...place, LEEWARD_SUBSCRIPTION_ID: "mine" })).toMatch(
      /LEEWARD_SUBSCRIPTION_ID: is no subscription id/,
    );
  });

  it("takes an address of install-mobility.sh that a VM can trust and whose file keeps its name", () => {
    const at = (url: string) => ({ ...identity, ...place, LEEWARD_MOBILITY_SCRIPT_URL: url });
    const url = "https://packages.example/v1/install-mobility.sh?sv=1";
    expect(parseSettings(at(url)).management?.installScriptUrl).toBe(url);
    expect(refusal(at("http://packages.example/install-mobility.sh"))).toContain(
      "LEEWARD_MOBILITY_SCRIPT_URL: is no https address",
    );
    expect(refusal(at("https://packages.example/setup.sh"))).toContain("does not end in /install-mobility.sh");
  });

  it("names the setting that is missing, empty text included", () => {
    expect(refusal({ ...sample.Values, CacheStorage: undefined })).toMatch(/^CacheStorage is missing/);
    expect(refusal({ ...sample.Values, TargetStorage: "" })).toMatch(/^TargetStorage is missing/);
    expect(refusal({ ...identity, TargetStorage__queueServiceUri: undefined })).toMatch(
      /TargetStorage__queueServiceUri is missing/,
    );
    expect(refusal({ ...sample.Values, LEEWARD_SWEEP_SCHEDULE: undefined })).toMatch(
      /LEEWARD_SWEEP_SCHEDULE: is missing/,
    );
  });

  it("refuses what cannot work, and rule 8: never shows a value", () => {
    expect(refusal({ ...sample.Values, LEEWARD_POINT_SCHEDULE: "*/5 * * * *" })).toMatch(
      /LEEWARD_POINT_SCHEDULE: is no schedule of six fields/,
    );
    expect(refusal({ ...sample.Values, CacheStorage: "hunter2" })).toMatch(
      /^(?!.*hunter2).*CacheStorage: is no connection string/,
    );
    expect(refusal({ ...identity, CacheStorage__blobServiceUri: "http://cache.blob.core.windows.net" })).toMatch(
      /CacheStorage__blobServiceUri: is no https address/,
    );
  });
});
