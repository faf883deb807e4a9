import { z } from "zod";
import type { AccountAddress } from "../azure/connections.ts";
import { LeewardError } from "../replication/errors.ts";

/** What the app is told about its surroundings. */
export interface Settings {
  /** The account of the source region that mobility services upload to. */
  readonly cache: AccountAddress;
  /** The account of the target region; it has queues too. */
  readonly target: AccountAddress;
}

/** The settings of this process; the one place that reads its environment. Errors: `configuration-invalid` names the setting. */
export function readSettings(): Settings {
  return parseSettings(process.env);
}

/** Errors: `configuration-invalid` names every setting that is missing or malformed, and never shows a value. */
export function parseSettings(environment: Readonly<Record<string, string | undefined>>): Settings {
  const known = Object.fromEntries(Object.keys(settingsSchema.shape).map((name) => [name, environment[name]]));
  const parsed = settingsSchema.safeParse(known);
  if (!parsed.success) {
    const faults = parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
    throw new LeewardError("configuration-invalid", `The app settings are not usable. ${faults.join("; ")}`);
  }
  const settings = parsed.data;
  return {
    cache: accountAddress("CacheStorage", settings.CacheStorage, settings.CacheStorage__blobServiceUri, undefined),
    target: accountAddress(
      "TargetStorage",
      settings.TargetStorage,
      settings.TargetStorage__blobServiceUri,
      // The queues are used by the app itself and by the host's triggers, which read the same setting.
      settings.TargetStorage__queueServiceUri ?? "",
    ),
  };
}

// Azure keeps an app setting without a value as empty text.
const unset = (value: unknown): unknown => (value === "" ? undefined : value);
const connectionString = z.preprocess(unset, z.string().includes("=", { error: "is no connection string" }).optional());
const serviceUri = z.preprocess(unset, z.url({ protocol: /^https$/, error: "is no https address" }).optional());
const schedule = z.preprocess(
  unset,
  z.string({ error: "is missing" }).regex(/^\s*(\S+\s+){5}\S+\s*$/, { error: "is no schedule of six fields (second first)" }),
);

/** The schedules are resolved by the host; they are checked here because the host's own message for a missing one does not help. */
const settingsSchema = z.object({
  CacheStorage: connectionString,
  CacheStorage__blobServiceUri: serviceUri,
  TargetStorage: connectionString,
  TargetStorage__blobServiceUri: serviceUri,
  TargetStorage__queueServiceUri: serviceUri,
  LEEWARD_POINT_SCHEDULE: schedule,
  LEEWARD_SWEEP_SCHEDULE: schedule,
});

function accountAddress(
  name: string,
  connectionString: string | undefined,
  blobServiceUri: string | undefined,
  queueServiceUri: string | undefined,
): AccountAddress {
  if (connectionString !== undefined) return { kind: "connection-string", connectionString };
  if (blobServiceUri === undefined) {
    throw new LeewardError("configuration-invalid", `${name} is missing: give a connection string, or ${name}__blobServiceUri.`, { name });
  }
  if (queueServiceUri === "") {
    throw new LeewardError("configuration-invalid", `${name}__queueServiceUri is missing beside ${name}__blobServiceUri.`, { name });
  }
  return { kind: "identity", blobServiceUri, queueServiceUri };
}
