import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { LocalError } from "../errors.ts";
import { DURABLE_ACTIVITIES_MAX, DURABLE_EPISODES_MAX } from "../limits.ts";

/** The parts of host.json that affect this host, with the real host's defaults filled in. */
export interface HostConfiguration {
  readonly routePrefix: string;
  readonly customHeaders: Readonly<Record<string, string>>;
  readonly queues: QueueConfiguration;
  readonly durableTask: DurableConfiguration;
  /** Undefined: no limit. */
  readonly functionTimeoutMs: number | undefined;
}

export interface DurableConfiguration {
  readonly hubName: string;
  readonly maxConcurrentActivityFunctions: number;
  readonly maxConcurrentOrchestratorFunctions: number;
}

interface QueueConfiguration {
  readonly batchSize: number;
  readonly newBatchThreshold: number;
  readonly maxPollingIntervalMs: number;
  /** How long a message stays invisible after a failed run. */
  readonly visibilityTimeoutMs: number;
  readonly maxDequeueCount: number;
  readonly messageEncoding: "base64" | "none";
}

/** A little below the limit of Node's timers; no caller waits longer for one function. */
const LONGEST_TIMEOUT_MS = 24 * 24 * 3_600_000;

const timeSpan = z.string().transform((text, context) => {
  const durationMs = parseTimeSpan(text);
  if (durationMs !== undefined) return durationMs;
  context.addIssue({ code: "custom", message: `"${text}" is not a time span (hh:mm:ss or d.hh:mm:ss)` });
  return z.NEVER;
});

const httpSection = z.strictObject({
  routePrefix: z.string().default("api"),
  customHeaders: z.record(z.string(), z.string()).default({}),
});

const queueSection = z.strictObject({
  // The real host's bounds (documentation of host.json, section queues): a Get Messages call returns at most 32.
  batchSize: z.int().min(1).max(32).default(16),
  newBatchThreshold: z.int().min(0).optional(),
  maxPollingInterval: timeSpan
    .default(60_000)
    .refine((durationMs) => durationMs >= 100, "the shortest interval is 00:00:00.100"),
  visibilityTimeout: timeSpan.default(0),
  maxDequeueCount: z.int().min(1).default(5),
  messageEncoding: z.enum(["base64", "none"]).default("base64"),
});

/**
 * `tracing` and the members of `storageProvider` are ignored: they configure Azure Storage, and here the state is a
 * file.
 */
const durableTaskSection = z.strictObject({
  // The real host's rule for hub names; this host derives a file name from any of them.
  hubName: z
    .string()
    .regex(/^[A-Za-z][A-Za-z0-9]{2,44}$/)
    .default("TestHubName"),
  maxConcurrentActivityFunctions: z.int().min(1).default(DURABLE_ACTIVITIES_MAX),
  maxConcurrentOrchestratorFunctions: z.int().min(1).default(DURABLE_EPISODES_MAX),
  tracing: z.unknown().optional(),
  storageProvider: z
    .strictObject({
      type: z.literal("AzureStorage").optional(),
      maxQueuePollingInterval: timeSpan.optional(),
      partitionCount: z.int().min(1).max(16).optional(),
    })
    .optional(),
});

/**
 * A setting not named here would change behaviour only on Azure, so it is refused. `logging` and `extensionBundle`
 * change nothing locally.
 */
const hostFile = z.strictObject({
  $schema: z.string().optional(),
  version: z.literal("2.0"),
  extensionBundle: z.unknown().optional(),
  logging: z.unknown().optional(),
  functionTimeout: z
    .union([z.literal("-1").transform(() => -1), timeSpan.refine((durationMs) => durationMs <= LONGEST_TIMEOUT_MS)])
    .default(30 * 60_000),
  extensions: z
    .strictObject({
      http: httpSection.default(httpSection.parse({})),
      queues: queueSection.default(queueSection.parse({})),
      durableTask: durableTaskSection.default(durableTaskSection.parse({})),
    })
    .default({
      http: httpSection.parse({}),
      queues: queueSection.parse({}),
      durableTask: durableTaskSection.parse({}),
    }),
});

/**
 * Reads the app's host.json. `not-supported` for sections unknown to this host, `configuration-invalid` for wrong
 * values.
 */
export function readHostConfiguration(appFolder: string): HostConfiguration {
  const path = join(appFolder, "host.json");
  if (!existsSync(path)) throw new LocalError("configuration-invalid", "The app has no host.json.");
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new LocalError("configuration-invalid", `host.json is not JSON: ${String(error)}`, {}, { cause: error });
  }
  return parseHostConfiguration(parsed);
}

export function parseHostConfiguration(value: unknown): HostConfiguration {
  const result = hostFile.safeParse(value);
  if (!result.success) throw refusal(result.error);
  const { http, queues, durableTask } = result.data.extensions;
  const timeoutMs = result.data.functionTimeout;
  return {
    routePrefix: http.routePrefix.replaceAll(/^\/+|\/+$/g, ""),
    customHeaders: http.customHeaders,
    queues: {
      batchSize: queues.batchSize,
      newBatchThreshold: queues.newBatchThreshold ?? Math.floor(queues.batchSize / 2),
      maxPollingIntervalMs: queues.maxPollingInterval,
      visibilityTimeoutMs: queues.visibilityTimeout,
      maxDequeueCount: queues.maxDequeueCount,
      messageEncoding: queues.messageEncoding,
    },
    durableTask: {
      hubName: durableTask.hubName,
      maxConcurrentActivityFunctions: durableTask.maxConcurrentActivityFunctions,
      maxConcurrentOrchestratorFunctions: durableTask.maxConcurrentOrchestratorFunctions,
    },
    functionTimeoutMs: timeoutMs < 0 ? undefined : timeoutMs,
  };
}

function refusal(error: z.ZodError): LocalError {
  const issue = error.issues[0];
  const place = (keys: readonly PropertyKey[]): string => ["host.json", ...keys.map(String)].join(".");
  if (issue?.code === "unrecognized_keys") {
    const setting = place([...issue.path, ...issue.keys.slice(0, 1)]);
    return new LocalError("not-supported", `${setting} is not known to the local Functions host.`, { setting });
  }
  const setting = place(issue?.path ?? []);
  return new LocalError("configuration-invalid", `${setting}: ${issue?.message ?? error.message}`, { setting });
}

/** Milliseconds of a .NET TimeSpan text `[d.]hh:mm:ss[.fff]`; undefined if it is none. */
export function parseTimeSpan(text: string): number | undefined {
  const match = /^(?:(\d+)\.)?(\d{1,2}):([0-5]?\d)(?::([0-5]?\d)(\.\d{1,7})?)?$/.exec(text);
  if (match === null || Number(match[2]) > 23) return undefined;
  const [days, hours, minutes, seconds] = [match[1], match[2], match[3], match[4]].map((part) => Number(part ?? 0));
  const wholeSeconds = (((days ?? 0) * 24 + (hours ?? 0)) * 60 + (minutes ?? 0)) * 60 + (seconds ?? 0);
  return wholeSeconds * 1000 + Math.round(Number(match[5] ?? 0) * 1000);
}
