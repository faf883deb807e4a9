import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { z } from "zod";
import { LeewardError } from "../replication/errors.ts";
import { EXIT_FAILED, EXIT_OK, UsageError, type Command } from "./command.ts";
import { CLI_STATUS_MS } from "./limits.ts";

const position = z.object({ stream: z.number(), epoch: z.number() });
const outcome = z.object({ requestId: z.string(), state: z.string(), reason: z.string().optional() });

/** The fields of the mobility service's status document that this command shows (mobility/service/status.ts). */
const document = z.object({
  itemId: z.string(),
  state: z.string(),
  startedMs: z.number(),
  atMs: z.number(),
  sealed: position,
  uploaded: position,
  pendingBytes: z.number(),
  spoolCount: z.number(),
  spoolBytes: z.number(),
  spoolBoundBytes: z.number(),
  mode: z.string(),
  dirtyBytes: z.number(),
  resynchronization: z.object({
    state: z.string(),
    reason: z.string().optional(),
    doneBytes: z.number().optional(),
    totalBytes: z.number().optional(),
  }),
  lagMs: z.number().optional(),
  uploadedCount: z.number(),
  uploadedBytes: z.number(),
  identity: z.object({
    state: z.string(),
    machineId: z.string().optional(),
    bootId: z.string(),
    sessionSinceMs: z.number().optional(),
    grantEndsMs: z.number().optional(),
  }),
  heartbeats: z.object({ sent: z.number(), answered: z.number() }),
  appPoints: z.object({ state: z.string(), outcome: outcome.optional() }),
  memory: z.object({ rssBytes: z.number(), heapBytes: z.number() }),
  seeding: z.object({
    doneBytes: z.number(),
    totalBytes: z.number(),
    done: z.boolean(),
    timeLeftMs: z.number().optional(),
  }),
  churn: z.object({ writes: z.number(), writtenBytes: z.number(), zeroedBytes: z.number() }),
  lastError: z.object({ atMs: z.number(), code: z.string(), message: z.string() }).optional(),
});
export type ShownStatus = z.infer<typeof document>;

/** Queries the mobility service of this machine, without network and without a key. */
export const mobilityCommand: Command = {
  usage: [
    "mobility status --state FOLDER [--json]    what the mobility service of this state folder does; exit code 1 if it does not run",
  ],
  run: async (args, terminal) => {
    const [action, ...rest] = args;
    if (action !== "status")
      throw new UsageError(action === undefined ? "status?" : `there is no "mobility ${action}"`);
    const { values } = parseArgs({
      args: [...rest],
      options: { state: { type: "string" }, json: { type: "boolean" } },
    });
    if (values.state === undefined) throw new UsageError("mobility status takes --state FOLDER");
    const live = await askService(join(values.state, "status.sock"));
    const text = live ?? (await lastWords(join(values.state, "status.json")));
    terminal.out(values.json === true ? text.trim() : statusText(shaped(text), live !== undefined));
    return live === undefined ? EXIT_FAILED : EXIT_OK;
  },
};

/** The document of the running service; undefined when no service answers. */
function askService(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connect(path);
    socket.setTimeout(CLI_STATUS_MS, () => socket.destroy());
    socket.on("data", (part: Buffer) => (text += part.toString("utf8")));
    socket.on("error", () => resolve(undefined));
    socket.on("close", () => resolve(text === "" ? undefined : text));
  });
}

async function lastWords(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    const hint = "Give the `stateFolder` of the service's configuration, as a user who may read it.";
    throw new LeewardError(
      "configuration-invalid",
      `No mobility service left word in ${path}.`,
      { path },
      { cause, hint },
    );
  }
}

function shaped(text: string): ShownStatus {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const parsed = document.safeParse(value);
  if (parsed.success) return parsed.data;
  const hint = "Use the command line and the mobility service of one version; --json shows the document as it is.";
  throw new LeewardError(
    "internal",
    "The mobility service speaks in a shape that this version does not know.",
    {},
    { hint },
  );
}

function statusText(status: ShownStatus, running: boolean): string {
  const { identity, uploaded, sealed, churn, appPoints, lastError } = status;
  const lines: readonly (readonly [string, string])[] = [
    ["item", status.itemId],
    [
      "service",
      running
        ? `${status.state} since ${time(status.startedMs)}`
        : `not running; its last word is of ${time(status.atMs)}`,
    ],
    ["identity", identityText(identity)],
    ["machine", `${identity.machineId ?? "not known yet"}, boot ${identity.bootId}`],
    ["lag", status.lagMs === undefined ? "not known yet" : `${(status.lagMs / 1000).toFixed(1)} s`],
    [
      "uploaded",
      `stream ${uploaded.stream} epoch ${uploaded.epoch}, ${status.uploadedCount} deltas of ${size(status.uploadedBytes)}`,
    ],
    ["waiting", `${size(status.pendingBytes)}, ${status.spoolCount} deltas sealed up to epoch ${sealed.epoch}`],
    ["spool", `${size(status.spoolBytes)} of at most ${size(status.spoolBoundBytes)}`],
    ["log", logText(status)],
    ["disks read", seedingText(status)],
    ["writes", `${churn.writes} of ${size(churn.writtenBytes)}, and ${size(churn.zeroedBytes)} of zeros`],
    ["heartbeats", `${status.heartbeats.answered} of ${status.heartbeats.sent} answered`],
    [
      "app points",
      appPoints.outcome === undefined
        ? appPoints.state
        : `${appPoints.state}, the last one ${outcomeText(appPoints.outcome)}`,
    ],
    ["memory", size(status.memory.rssBytes)],
    ...(lastError === undefined
      ? []
      : [["last error", `${time(lastError.atMs)} ${lastError.code}: ${lastError.message}`] as const]),
  ];
  return lines.map(([name, value]) => `${name.padEnd(10)}  ${value}`).join("\n");
}

function identityText({ state, sessionSinceMs, grantEndsMs }: ShownStatus["identity"]): string {
  const since = sessionSinceMs === undefined ? "" : `, session since ${time(sessionSinceMs)}`;
  const until = grantEndsMs === undefined ? "" : `, may upload until ${time(grantEndsMs)}`;
  return `${IDENTITY_WORDS[state] ?? state}${since}${until}`;
}

const IDENTITY_WORDS: Readonly<Record<string, string>> = {
  asking: "has not been answered yet",
  granted: "speaks for the item",
  waiting: "waits: another service speaks for the item",
  refused: "refused: its token does not count",
  silent: "silent: a clone of the machine, or an older copy of its state folder",
};

function logText({ mode, dirtyBytes, resynchronization: { state, reason } }: ShownStatus): string {
  if (mode === "tracking")
    return `none (${reason ?? "unknown"}): the guest writes on, ${size(dirtyBytes)} have to be read again`;
  return state === "running" ? `yes; resynchronizing because of ${reason ?? "unknown"}` : "yes";
}

function seedingText({ seeding: { done, doneBytes, totalBytes, timeLeftMs } }: ShownStatus): string {
  if (done) return "completely";
  const left = timeLeftMs === undefined ? "" : `, about ${Math.ceil(timeLeftMs / 60_000)} min left`;
  return `${size(doneBytes)} of ${size(totalBytes)}${left}`;
}

function outcomeText({ state, reason }: z.infer<typeof outcome>): string {
  return reason === undefined ? state : `${state}: ${reason}`;
}

const time = (timeMs: number): string => new Date(timeMs).toISOString();

function size(bytes: number): string {
  const mebibytes = bytes / (1024 * 1024);
  return mebibytes >= 1 ? `${mebibytes.toFixed(1)} MiB` : `${bytes} bytes`;
}
