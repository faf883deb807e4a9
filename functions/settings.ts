import * as z from "zod";
import type { ResourceManagerAddress } from "../azure/arm/transport.ts";
import type { AccountAddress } from "../azure/connections.ts";
import type { TopicAddress } from "../azure/events.ts";
import { LeewardError } from "../replication/errors.ts";
import { isInstallScriptUrl } from "../replication/operations/install-script.ts";

/** The app's configuration. */
export interface Settings {
  /** The account of the source region that mobility services upload to. */
  readonly cache: AccountAddress;
  /** The account of the target region, with queues. */
  readonly target: AccountAddress;
  /** Undefined for an app that only replicates: it makes no resources. */
  readonly management: ManagementSettings | undefined;
  /** Where changes are published; undefined: nowhere. */
  readonly events: TopicAddress | undefined;
  /** An answer that violates the contract fails the request: for tests and for developers of the app. */
  readonly checkAnswers: boolean;
}

/** Where the app may make resources. */
interface ManagementSettings {
  readonly address: ResourceManagerAddress;
  /** The subscription of the app, and the default one of targets. */
  readonly subscriptionId: string;
  /** The resource group of the app: accounts that many items share are made there. */
  readonly resourceGroup: string;
  /** Where mobility services reach the app, with `/api`; undefined when not configured. */
  readonly apiUrl: string | undefined;
  /** Where VMs download install-mobility.sh; undefined when not configured. */
  readonly installScriptUrl: string | undefined;
}

/**
 * The settings of this process; the one place that reads its environment. Errors: `configuration-invalid` names the
 * setting.
 */
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
    management: managementSettings(settings),
    events: topicAddress(settings.LEEWARD_EVENTS_ENDPOINT, settings.LEEWARD_EVENTS_KEY),
    checkAnswers: settings.LEEWARD_CHECK_ANSWERS === "true",
  };
}

// Azure keeps an app setting without a value as empty text.
const unset = (value: unknown): unknown => (value === "" ? undefined : value);
const connectionString = z.preprocess(unset, z.string().includes("=", { error: "is no connection string" }).optional());
const serviceUri = z.preprocess(unset, z.url({ protocol: /^https$/, error: "is no https address" }).optional());
const schedule = z.preprocess(
  unset,
  z
    .string({ error: "is missing" })
    .regex(/^\s*(\S+\s+){5}\S+\s*$/, { error: "is no schedule of six fields (second first)" }),
);

/**
 * The host resolves the schedules; they are checked here because the host's own message for a missing one does not
 * help.
 */
const settingsSchema = z.object({
  CacheStorage: connectionString,
  CacheStorage__blobServiceUri: serviceUri,
  TargetStorage: connectionString,
  TargetStorage__blobServiceUri: serviceUri,
  TargetStorage__queueServiceUri: serviceUri,
  LEEWARD_POINT_SCHEDULE: schedule,
  LEEWARD_SWEEP_SCHEDULE: schedule,
  LEEWARD_SUBSCRIPTION_ID: z.preprocess(unset, z.guid({ error: "is no subscription id" }).optional()),
  LEEWARD_RESOURCE_GROUP: z.preprocess(unset, z.string().optional()),
  LEEWARD_ARM_ENDPOINT: z.preprocess(unset, z.url({ protocol: /^https?$/, error: "is no address" }).optional()),
  LEEWARD_ARM_SCOPE: z.preprocess(unset, z.string().optional()),
  LEEWARD_ARM_TOKEN: z.preprocess(unset, z.string().optional()),
  LEEWARD_EVENTS_ENDPOINT: z.preprocess(unset, z.url({ protocol: /^https?$/, error: "is no address" }).optional()),
  LEEWARD_EVENTS_KEY: z.preprocess(unset, z.string().optional()),
  LEEWARD_API_URL: z.preprocess(unset, z.url({ protocol: /^https?$/, error: "is no address" }).optional()),
  LEEWARD_MOBILITY_SCRIPT_URL: z.preprocess(
    unset,
    z
      .url({ protocol: /^https$/, error: "is no https address" })
      .refine(isInstallScriptUrl, { error: "does not end in /install-mobility.sh" })
      .optional(),
  ),
  LEEWARD_CHECK_ANSWERS: z.preprocess(unset, z.enum(["true", "false"], { error: "is not true or false" }).optional()),
  // Azure's own name for the app's address.
  WEBSITE_HOSTNAME: z.preprocess(unset, z.string().optional()),
});

const AZURE_ENDPOINT = "https://management.azure.com";

/**
 * Azure's public cloud with the app's identity unless configured otherwise. A fixed token is for a Resource Manager
 * without identities.
 */
function managementSettings(settings: z.infer<typeof settingsSchema>): ManagementSettings | undefined {
  const {
    LEEWARD_SUBSCRIPTION_ID: subscriptionId,
    LEEWARD_RESOURCE_GROUP: resourceGroup,
    LEEWARD_ARM_TOKEN: token,
  } = settings;
  const endpoint = settings.LEEWARD_ARM_ENDPOINT ?? AZURE_ENDPOINT;
  const missing = (name: string, beside: string): LeewardError =>
    new LeewardError("configuration-invalid", `${name} is missing beside ${beside}.`, { name });
  if (subscriptionId === undefined) {
    if (resourceGroup !== undefined) throw missing("LEEWARD_SUBSCRIPTION_ID", "LEEWARD_RESOURCE_GROUP");
    if (settings.LEEWARD_ARM_ENDPOINT !== undefined) throw missing("LEEWARD_SUBSCRIPTION_ID", "LEEWARD_ARM_ENDPOINT");
    return undefined;
  }
  if (resourceGroup === undefined) throw missing("LEEWARD_RESOURCE_GROUP", "LEEWARD_SUBSCRIPTION_ID");
  // An identity's token never travels unencrypted.
  if (token === undefined && !endpoint.startsWith("https:"))
    throw missing("LEEWARD_ARM_TOKEN", "an LEEWARD_ARM_ENDPOINT without https");
  const scope = settings.LEEWARD_ARM_SCOPE ?? `${endpoint.replace(/\/+$/, "")}/.default`;
  const access = token === undefined ? ({ kind: "identity", scope } as const) : ({ kind: "token", token } as const);
  const apiUrl = settings.LEEWARD_API_URL ?? ownAddress(settings.WEBSITE_HOSTNAME);
  const installScriptUrl = settings.LEEWARD_MOBILITY_SCRIPT_URL;
  return { address: { endpoint, access }, subscriptionId, resourceGroup, apiUrl, installScriptUrl };
}

/** Hosts on the developer's machine have no certificate. */
function ownAddress(hostname: string | undefined): string | undefined {
  if (hostname === undefined) return undefined;
  return `${/^(localhost|127\.0\.0\.1)(:|$)/.test(hostname) ? "http" : "https"}://${hostname}/api`;
}

function topicAddress(endpoint: string | undefined, key: string | undefined): TopicAddress | undefined {
  const missing = (name: string, beside: string): LeewardError =>
    new LeewardError("configuration-invalid", `${name} is missing beside ${beside}.`, { name });
  if (endpoint === undefined) {
    if (key !== undefined) throw missing("LEEWARD_EVENTS_ENDPOINT", "LEEWARD_EVENTS_KEY");
    return undefined;
  }
  if (key === undefined && !endpoint.startsWith("https:"))
    throw missing("LEEWARD_EVENTS_KEY", "an LEEWARD_EVENTS_ENDPOINT without https");
  return { endpoint, key };
}

function accountAddress(
  name: string,
  connectionString: string | undefined,
  blobServiceUri: string | undefined,
  queueServiceUri: string | undefined,
): AccountAddress {
  if (connectionString !== undefined) return { kind: "connection-string", connectionString };
  if (blobServiceUri === undefined) {
    throw new LeewardError(
      "configuration-invalid",
      `${name} is missing: give a connection string, or ${name}__blobServiceUri.`,
      { name },
    );
  }
  if (queueServiceUri === "") {
    throw new LeewardError(
      "configuration-invalid",
      `${name}__queueServiceUri is missing beside ${name}__blobServiceUri.`,
      { name },
    );
  }
  return { kind: "identity", blobServiceUri, queueServiceUri };
}
