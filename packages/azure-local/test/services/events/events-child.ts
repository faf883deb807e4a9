import { startEventGrid } from "../../../events/event-grid.ts";
import { startStorage } from "../../../storage/storage.ts";
import { accountKey } from "../storage/world.ts";
import { SUBSCRIPTION } from "./subscription.ts";

/**
 * Storage of two regions with events, made to be killed: `node events-child.ts FOLDER DELAY_MS` prints both connection
 * strings.
 */
const [folder = "", delayMs = "0"] = process.argv.slice(2);

const storage = await startStorage({
  folder: `${folder}/storage`,
  persistence: "disk",
  accounts: ["cachewe", "targetne"].map((name) => ({ name, region: name, blobPort: 0, queuePort: 0 })),
  key: accountKey,
});
await startEventGrid({
  folder: `${folder}/events`,
  storage,
  subscriptions: [SUBSCRIPTION],
  random: () => 0.5,
  switches: { delayMs: Number(delayMs) },
});
process.stdout.write(`${storage.accounts.map((account) => account.connectionString).join(" ")}\n`);
process.on("disconnect", () => process.exit(1));
