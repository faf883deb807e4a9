import { z } from "zod";
import { ArmError, notSupported } from "../engine/arm-error.ts";
import type { ResourceType, StorageAccountFacts, World } from "../engine/resource-type.ts";
import { SKU, TAGS } from "./shapes.ts";

const BODY = z.looseObject({ ...TAGS, sku: SKU, kind: z.string(), properties: z.looseObject({}) });

export const STORAGE_ACCOUNT_TYPE = "Microsoft.Storage/storageAccounts";

/** Only accounts running in this cloud: the resource is made and deleted, their bytes stay. */
export const storageAccounts: ResourceType<z.infer<typeof BODY>> = {
  name: STORAGE_ACCOUNT_TYPE,
  apiVersion: "2026-09-01",
  naming: /^[a-z0-9]{3,24}$/,
  schema: BODY,
  members: ["sku", "kind"],
  etagInBody: false,
  // A new account uses Location alone, and its 202 has no body.
  put: { form: "location", durationMs: 15_000, state: "Creating", created: 202, updated: 202, withBody: false },
  patch: "at-once",
  delete: { form: "none", durationMs: 0 },
  actions: {
    listKeys: {
      form: "none",
      durationMs: 0,
      answer: (record, world) => {
        const { key } = running(record.name, world);
        return {
          keys: ["key1", "key2"].map((keyName) => ({
            keyName,
            value: key,
            permissions: "FULL",
            creationTime: new Date(0).toISOString(),
          })),
        };
      },
    },
  },
  admit: (draft, world) => {
    const account = running(draft.name, world);
    if (account.region !== draft.location) {
      throw new ArmError(
        409,
        "StorageAccountAlreadyTaken",
        `The storage account named ${draft.name} runs in ${account.region}.`,
      );
    }
    const sku = { ...draft.body.sku, tier: draft.body.sku.name.split("_")[0] ?? "" };
    const creationTime = draft.body.properties["creationTime"] ?? new Date(world.nowMs).toISOString();
    return { ...draft, body: { ...draft.body, sku, properties: { ...draft.body.properties, creationTime } } };
  },
  project: (record, world) => {
    const { blobUrl, queueUrl } = running(record.name, world);
    return {
      properties: {
        primaryEndpoints: { blob: `${blobUrl}/`, queue: `${queueUrl}/` },
        primaryLocation: record.location,
        statusOfPrimary: "available",
      },
    };
  },
};

function running(name: string, world: World): StorageAccountFacts {
  const account = world.facts.accounts.find((candidate) => candidate.name === name);
  if (account !== undefined) return account;
  throw notSupported(
    `storage accounts beside those that run here (${world.facts.accounts.map((known) => known.name).join(", ")}): '${name}'`,
  );
}
