import { startStorage } from "../../../storage/storage.ts";
import { accountKey } from "./world.ts";

/**
 * A storage process that is made to be killed: `node storage-child.ts FOLDER durable|unmended BYTES` prints its
 * connection string.
 */
const [folder = "", durability = "durable", redoLogMinBytes = "1"] = process.argv.slice(2);

const storage = await startStorage({
  folder,
  persistence: "disk",
  accounts: [{ name: "cachewe", region: "westeurope", blobPort: 0, queuePort: 0 }],
  key: accountKey,
  leaveOut: durability === "durable" ? [] : ["durability"],
  redoLogMinBytes: Number(redoLogMinBytes),
});
process.stdout.write(`${storage.account("cachewe").connectionString}\n`);
// The test that started this process ends it; when that test dies, so does this.
process.on("disconnect", () => process.exit(1));
