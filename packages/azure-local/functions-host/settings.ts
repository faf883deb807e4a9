import { LocalError } from "../errors.ts";
import {
  FUNCTIONS_BODY_MAX_BYTES,
  FUNCTIONS_STORAGE_PAUSE_MAX_MS,
  FUNCTIONS_STORAGE_PAUSE_MS,
  FUNCTIONS_STORAGE_TRIES,
} from "../limits.ts";

/** App settings, as the environment gives them. */
export type Settings = Readonly<Record<string, string | undefined>>;

/** Replaces each `%NAME%` by that setting. `configuration-invalid` names a missing setting. */
export function resolveText(text: string, settings: Settings, usedBy: string): string {
  return text.replaceAll(/%([^%\s]+)%/g, (_whole, name: string) => {
    const value = settings[name];
    if (value === undefined || value === "") {
      throw new LocalError("configuration-invalid", `${usedBy} refers to the setting ${name}, which is missing.`, {
        setting: name,
      });
    }
    return value;
  });
}

/**
 * The connection string that a binding's `connection` names: the setting itself, or the one with `AzureWebJobs` before
 * it; without a name, `AzureWebJobsStorage`. Identity-based connections (`NAME__queueServiceUri` and the like) need
 * Microsoft Entra ID and are refused locally.
 */
export function connectionString(name: string | undefined, settings: Settings, usedBy: string): string {
  const wanted = name === undefined || name === "" ? "AzureWebJobsStorage" : name;
  for (const candidate of [wanted, `AzureWebJobs${wanted}`]) {
    const value = settings[candidate];
    if (value !== undefined && value !== "") return value;
    const identityBased = Object.keys(settings).find(
      (key) => key.startsWith(`${candidate}__`) && settings[key] !== undefined,
    );
    if (identityBased !== undefined) {
      throw new LocalError(
        "not-supported",
        `${usedBy} connects by identity (${identityBased}), which needs Azure.`,
        { setting: identityBased },
        {
          hint: `Set ${candidate} to a connection string when the app runs locally.`,
        },
      );
    }
  }
  throw new LocalError("configuration-invalid", `${usedBy} needs the setting ${wanted} with a connection string.`, {
    setting: wanted,
  });
}

/** How the host's own storage clients retry. */
export const STORAGE_OPTIONS = {
  retryOptions: {
    maxTries: FUNCTIONS_STORAGE_TRIES,
    retryDelayInMs: FUNCTIONS_STORAGE_PAUSE_MS,
    maxRetryDelayInMs: FUNCTIONS_STORAGE_PAUSE_MAX_MS,
  },
};

/**
 * Opens a storage client with the connection string that a binding names; a malformed one is `configuration-invalid`
 * and never shown.
 */
export function openStorage<T>(
  name: string | undefined,
  settings: Settings,
  usedBy: string,
  open: (connection: string) => T,
): T {
  const connection = connectionString(name, settings, usedBy);
  try {
    return open(connection);
  } catch (error) {
    const setting = name ?? "AzureWebJobsStorage";
    const message = `${usedBy}: the setting ${setting} is not a connection string of a storage account.`;
    throw new LocalError("configuration-invalid", message, { setting }, { cause: error });
  }
}

/**
 * Maximum bytes of a request; `configuration-invalid` when `FUNCTIONS_REQUEST_BODY_SIZE_LIMIT` is no whole number of
 * bytes.
 */
export function bodyLimitBytes(settings: Settings): number {
  const setting = "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT";
  const text = settings[setting];
  if (text === undefined || text === "") return FUNCTIONS_BODY_MAX_BYTES;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new LocalError("configuration-invalid", `The setting ${setting} is "${text}", which is no number of bytes.`, {
    setting,
  });
}

/** True when `AzureWebJobs.<function>.Disabled` is set to `1` or `true`. */
export function isDisabled(functionName: string, settings: Settings): boolean {
  const wanted = [`azurewebjobs.${functionName}.disabled`, `azurewebjobs_${functionName}_disabled`].map((name) =>
    name.toLowerCase(),
  );
  return Object.entries(settings).some(
    ([name, value]) => wanted.includes(name.toLowerCase()) && /^(1|true)$/i.test(value ?? ""),
  );
}
