import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { LeewardError, isErrorCode } from "../replication/errors.ts";
import { CLI_REQUEST_MS } from "./limits.ts";

/** The options that every command of the API takes. */
export const API_OPTIONS = { url: { type: "string" }, key: { type: "string" } } as const;
/** For the usage of a command. */
export const API_USAGE = "[--url URL --key KEY]";

/** Address of a function app (without `/api`) and a function key of it. */
export interface ApiConnection {
  readonly url: string;
  readonly key: string;
}

/** What an answer of the API is made of, as far as commands need it. */
export interface ApiAnswer {
  readonly status: number;
  readonly location: string | undefined;
  readonly body: unknown;
}

/** Where `npm start` leaves word of the local cloud of this folder. */
const CONNECTION_FILE = join(".leeward", "connection.json");
const connectionFile = z.object({ url: z.string(), functionKey: z.string() });
const refusal = z.object({ error: z.object({ code: z.string(), message: z.string(), hint: z.string() }) });

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

/**
 * One call below `/api/replicationProtectedItems/`, or of a path that the API gave as `Location`. Errors: those that
 * the API names, as it words them.
 */
export async function callApi(
  connection: ApiConnection,
  method: "GET" | "POST",
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<ApiAnswer> {
  const target = new URL(/^(\/|https?:)/.test(path) ? path : `/api/replicationProtectedItems/${path}`, connection.url);
  // A Location of another host must not get the key.
  if (target.origin !== new URL(connection.url).origin) {
    throw new LeewardError("invalid-request", `The answer points to another host: ${target.origin}`, {
      origin: target.origin,
    });
  }
  let answer: Response;
  try {
    const signal = AbortSignal.timeout(CLI_REQUEST_MS);
    answer = await fetch(target, { method, headers: { ...headers, "x-functions-key": connection.key }, signal });
  } catch (cause) {
    const hint = "See whether the function app runs and whether the address is right.";
    throw new LeewardError(
      "store-unavailable",
      `The function app at ${connection.url} does not answer.`,
      {},
      { cause, hint },
    );
  }
  const body = parseJson(await answer.text());
  if (answer.ok) return { status: answer.status, location: answer.headers.get("location") ?? undefined, body };
  throw refused(answer.status, body);
}

/** The body of an answer in the shape that the command needs. Errors: `internal` when it has another one. */
export function shaped<Body>(schema: z.ZodType<Body>, { body }: ApiAnswer): Body {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const hint = "Use the command line and the function app of one version.";
  throw new LeewardError(
    "internal",
    `The function app answers in a shape that this version does not know. ${z.prettifyError(parsed.error)}`,
    {},
    { hint },
  );
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

function refused(status: number, body: unknown): LeewardError {
  const parsed = refusal.safeParse(body);
  if (parsed.success) {
    const { code, message, hint } = parsed.data.error;
    // A newer function app may name a code that this version does not know.
    if (isErrorCode(code)) return new LeewardError(code, message, { status }, { hint });
    return new LeewardError("invalid-request", `${message} (${code})`, { status }, { hint });
  }
  if (status === 401) return new LeewardError("not-authorized", "The function app refused the key.", { status });
  return new LeewardError("internal", `The function app answered ${status} without saying why.`, { status });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
