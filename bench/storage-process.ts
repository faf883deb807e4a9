import { randomBytes } from "node:crypto";
import { startStorage } from "../local/storage/storage.ts";

/**
 * The store of a measurement, in a process of its own as in the product, so that the worker and the store share no event loop. Started by `fork` with
 * the folder as its argument; answers every message with the operation counts of both accounts, and ends with its parent.
 */
const folder = process.argv[2] ?? "";
const storage = await startStorage({
  folder,
  persistence: "disk",
  accounts: [
    { name: "benchcache", region: "source", blobPort: 0, queuePort: 0 },
    { name: "benchtarget", region: "target", blobPort: 0, queuePort: 0 },
  ],
  key: () => randomBytes(64).toString("base64"),
});
process.on("message", () => {
  process.send?.({ kind: "counts", counts: [...storage.operationCounts("benchcache"), ...storage.operationCounts("benchtarget")] });
});
process.on("disconnect", () => process.exit(0));
process.send?.({
  kind: "ready",
  cache: storage.account("benchcache").connectionString,
  target: storage.account("benchtarget").connectionString,
});
