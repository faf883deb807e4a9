import { randomUUID } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { z } from "zod";
import { LeewardError } from "../replication/errors.ts";
import { isDiskId } from "../replication/names.ts";
import { CLI_RESTORE_MS, CLI_RESTORE_POLL_MS } from "./limits.ts";
import { API_OPTIONS, API_USAGE, type ApiConnection, callApi, findConnection, shaped } from "./api.ts";
import { EXIT_OK, UsageError } from "./command.ts";
import type { Command, Terminal } from "./command.ts";
import { downloadDisk } from "./download.ts";

const status = z.object({
  state: z.enum(["Pending", "InProgress", "Succeeded", "Failed", "Removing"]),
  percentComplete: z.number(),
  error: z.object({ message: z.string(), hint: z.string() }).optional(),
});
const names = z.object({ value: z.array(z.object({ name: z.string(), damaged: z.unknown().optional() })) });
const access = z.object({ value: z.array(z.object({ id: z.string(), url: z.string() })) });

/** Restores a recovery point into page blobs of its own and downloads them as fixed VHDs. */
export const restoreCommand: Command = {
  usage: [
    `restore ITEM POINT --to FOLDER ${API_USAGE}    restores a recovery point ("latest": the newest) and downloads its disks as VHDs`,
  ],
  run: async (args, terminal) => {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { ...API_OPTIONS, to: { type: "string" } },
      allowPositionals: true,
    });
    const [item, point, other] = positionals;
    if (item === undefined || point === undefined || other !== undefined || values.to === undefined) {
      throw new UsageError("restore takes an item, a point and --to FOLDER");
    }
    const connection = await findConnection(values, process.env);
    const location = await startRestore(connection, item, point);
    await waitForRestore(connection, location, terminal);
    await mkdir(values.to, { recursive: true });
    for (const disk of await grantAccess(connection, location)) {
      const path = join(values.to, `${disk}.vhd`);
      await downloadDisk(path, async () => (await grants(connection, location)).get(disk));
      terminal.out(path);
    }
    return EXIT_OK;
  },
};

/**
 * Returns where to ask for the restore. The request carries an id of its own, so that repeating it after a lost answer
 * starts nothing new.
 */
async function startRestore(connection: ApiConnection, item: string, point: string): Promise<string> {
  const pointName = point === "latest" ? await latestPoint(connection, item) : point;
  const path = `${encodeURIComponent(item)}/recoveryPoints/${encodeURIComponent(pointName)}/restore`;
  const { location } = await callApi(connection, "POST", path, { "x-ms-client-request-id": randomUUID() });
  if (location === undefined)
    throw new LeewardError("internal", "The function app did not say where the restore can be watched.");
  return location;
}

async function latestPoint(connection: ApiConnection, item: string): Promise<string> {
  const listed = await callApi(connection, "GET", `${encodeURIComponent(item)}/recoveryPoints`);
  const newest = shaped(names, listed).value.find(({ damaged }) => damaged === undefined);
  if (newest === undefined) throw new LeewardError("point-unknown", `${item} has no recovery points yet.`, { item });
  return newest.name;
}

/** Returns when the restore is done; a restore that does not end in a day, or that failed, is an error. */
async function waitForRestore(connection: ApiConnection, location: string, terminal: Terminal): Promise<void> {
  let shownPercent = -1;
  for (let waitedMs = 0; waitedMs < CLI_RESTORE_MS; waitedMs += CLI_RESTORE_POLL_MS) {
    const { state, percentComplete, error } = shaped(status, await callApi(connection, "GET", location));
    if (state === "Succeeded") return;
    if (state === "Failed") {
      throw new LeewardError(
        "internal",
        error?.message ?? "The restore failed.",
        {},
        { hint: error?.hint ?? "See the log of the function app." },
      );
    }
    if (state === "Removing") throw new LeewardError("restore-unknown", "The restore was deleted meanwhile.");
    if (percentComplete > shownPercent) terminal.error(`restoring: ${percentComplete} %`);
    shownPercent = percentComplete;
    await sleep(CLI_RESTORE_POLL_MS);
  }
  throw new LeewardError(
    "internal",
    "The restore did not end within a day.",
    {},
    { hint: "See the log of the function app." },
  );
}

async function grantAccess(connection: ApiConnection, location: string): Promise<readonly string[]> {
  const disks = [...(await grants(connection, location)).keys()];
  const wrong = disks.find((disk) => !isDiskId(disk));
  // Disk ids become file names here: what could leave the folder is no disk id.
  if (wrong !== undefined) throw new LeewardError("internal", `"${wrong}" cannot be the name of a disk.`);
  return disks;
}

/** Fresh read addresses, by disk. */
async function grants(connection: ApiConnection, location: string): Promise<ReadonlyMap<string, string>> {
  const { value } = shaped(access, await callApi(connection, "POST", `${location}/grantAccess`));
  return new Map(value.map(({ id, url }) => [id, url]));
}
