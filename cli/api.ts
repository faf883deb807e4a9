import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { type ApiError, type Client, createClient } from "../api/client.ts";
import { LeewardError, isErrorCode } from "../replication/errors.ts";
import { CLI_REQUEST_MS } from "./limits.ts";

/** The options of every API command. */
export const API_OPTIONS = { url: { type: "string" }, key: { type: "string" } } as const;
/** For the usage of a command. */
export const API_USAGE = "[--url URL --key KEY]";

/** Address of a function app (without `/api`) and one of its function keys. */
export interface ApiConnection {
  readonly url: string;
  readonly key: string;
}

/** Where `npm start` writes the connection of this folder's local cloud. */
const CONNECTION_FILE = join(".leeward", "connection.json");
const connectionFile = z.object({ url: z.string(), functionKey: z.string() });

/**
 * From the options, else the variables LEEWARD_URL and LEEWARD_FUNCTION_KEY, else the local cloud that `npm start` runs
 * in this folder.
 */
export async function findConnection(
  options: { readonly url?: string | undefined; readonly key?: string | undefined },
  environment: Readonly<Record<string, string | undefined>>,
): Promise<ApiConnection> {
  const url = options.url ?? environment["LEEWARD_URL"];
  const key = options.key ?? environment["LEEWARD_FUNCTION_KEY"];
  if (url !== undefined && key !== undefined) return { url: url.replace(/\/+$/, ""), key };
  const known = await readConnectionFile();
  if (known !== undefined) return { url: url ?? known.url, key: key ?? known.functionKey };
  throw new LeewardError(
    "configuration-invalid",
    "No function app is known here.",
    {},
    { hint: "Give --url and --key, set LEEWARD_URL and LEEWARD_FUNCTION_KEY, or run npm start in this folder." },
  );
}

/** The API client; its errors have the API's wording. Errors: those of the API; `store-unavailable`. */
export function openApi({ url, key }: ApiConnection): Client {
  return createClient({ url, functionKey: key, timeoutMs: CLI_REQUEST_MS, failure: leewardErrorOf });
}

async function readConnectionFile(): Promise<z.infer<typeof connectionFile> | undefined> {
  let text: string;
  try {
    text = await readFile(CONNECTION_FILE, "utf8");
  } catch {
    return undefined;
  }
  const parsed = connectionFile.safeParse(parseJson(text));
  if (parsed.success) return parsed.data;
  throw new LeewardError(
    "configuration-invalid",
    `${CONNECTION_FILE} is damaged.`,
    {},
    { hint: "Start the local cloud again with npm start." },
  );
}

function leewardErrorOf(error: ApiError): LeewardError {
  const { kind, status, code, hint, message } = error;
  const facts = status === undefined ? {} : { status };
  if (kind === "unreachable") {
    const hint = "See whether the function app runs and whether the address is right.";
    return new LeewardError("store-unavailable", message, {}, { cause: error, hint });
  }
  if (kind === "unreadable") {
    const hint = "Use the command line and the function app of one version.";
    return new LeewardError("internal", message, {}, { hint });
  }
  if (code !== undefined) {
    const options = hint === undefined ? {} : { hint };
    // A newer function app may use a code that this version does not know.
    if (isErrorCode(code)) return new LeewardError(code, message, facts, options);
    return new LeewardError("invalid-request", `${message} (${code})`, facts, options);
  }
  if (status === 401) return new LeewardError("not-authorized", "The function app refused the key.", facts);
  return new LeewardError("internal", `The function app answered ${status} without saying why.`, facts);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
