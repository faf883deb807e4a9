import { randomUUID } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { Client } from "../api/client.ts";
import { LeewardError } from "../replication/errors.ts";
import { isDiskId } from "../replication/names.ts";
import { API_OPTIONS, API_USAGE, findConnection, openApi } from "./api.ts";
import { EXIT_OK, UsageError, type Command, type Terminal } from "./command.ts";
import { downloadDisk } from "./download.ts";
import { CLI_RESTORE_MS, CLI_RESTORE_POLL_MS } from "./limits.ts";

/** Restores a recovery point into separate page blobs and downloads them as fixed VHDs. */
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
    const api = openApi(await findConnection(values, process.env));
    const restore = await startRestore(api, item, point);
    await waitForRestore(api, restore, terminal);
    await mkdir(values.to, { recursive: true });
    for (const disk of await grantAccess(api, restore)) {
      const path = join(values.to, `${disk}.vhd`);
      await downloadDisk(path, async () => (await grants(api, restore)).get(disk));
      terminal.out(path);
    }
    return EXIT_OK;
  },
};

/** The API's names for a restore. */
interface RestoreNames {
  readonly item: string;
  readonly restore: string;
}

/** The request carries its own id, so repeating it after a lost answer starts nothing new. */
async function startRestore(api: Client, item: string, point: string): Promise<RestoreNames> {
  const pointName = point === "latest" ? await latestPoint(api, item) : point;
  const { body } = await api.restoreRecoveryPoint({ item, point: pointName, requestId: randomUUID() });
  return { item, restore: body.name };
}

async function latestPoint(api: Client, item: string): Promise<string> {
  const { body } = await api.listRecoveryPoints({ item });
  const newest = body.value.find((point) => !("damaged" in point));
  if (newest === undefined) throw new LeewardError("point-unknown", `${item} has no recovery points yet.`, { item });
  return newest.name;
}

/** Returns when the restore is done; throws when it failed or does not end within a day. */
async function waitForRestore(api: Client, restore: RestoreNames, terminal: Terminal): Promise<void> {
  let shownPercent = -1;
  for (let waitedMs = 0; waitedMs < CLI_RESTORE_MS; waitedMs += CLI_RESTORE_POLL_MS) {
    const { state, percentComplete, error } = (await api.showRestore(restore)).body;
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

async function grantAccess(api: Client, restore: RestoreNames): Promise<readonly string[]> {
  const disks = [...(await grants(api, restore)).keys()];
  const wrong = disks.find((disk) => !isDiskId(disk));
  // Disk ids become file names here: a name that could leave the folder is not a disk id.
  if (wrong !== undefined) throw new LeewardError("internal", `"${wrong}" cannot be the name of a disk.`);
  return disks;
}

/** Fresh read addresses, by disk. */
async function grants(api: Client, restore: RestoreNames): Promise<ReadonlyMap<string, string>> {
  const { value } = (await api.grantRestoreAccess(restore)).body;
  return new Map(value.map(({ id, url }) => [id, url]));
}
