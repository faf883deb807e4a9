import { randomBytes } from "node:crypto";
import { startStorage } from "@leeward/azure-local/storage";

/**
 * One storage account of a measurement, in its own process: the product's two accounts are in two regions and share no
 * processor. Started by `fork` with the account and its folder as arguments; answers every message with its operation
 * counts, and ends with its parent.
 */
const [account = "", folder = ""] = process.argv.slice(2);
const storage = await startStorage({
  folder,
  persistence: "disk",
  accounts: [{ name: account, region: account, blobPort: 0, queuePort: 0 }],
  key: () => randomBytes(64).toString("base64"),
});
process.on("message", () => process.send?.({ counts: [...storage.operationCounts(account)] }));
process.on("disconnect", () => process.exit(0));
process.send?.({ connectionString: storage.account(account).connectionString });
