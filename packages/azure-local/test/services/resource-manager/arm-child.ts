import { startResourceManager } from "../../../resource-manager/resource-manager.ts";

/** The Resource Manager as a process that is made to be killed: `node arm-child.ts FOLDER PORT SUBSCRIPTION TOKEN`. */
const [folder = "", port = "0", subscriptionId = "", token = ""] = process.argv.slice(2);
const arm = await startResourceManager({
  folder,
  persistence: "disk",
  port: Number(port),
  subscriptionId,
  token,
  accounts: [],
  now: () => Date.now(),
  // About the time of two or three requests, so that a kill finds operations under way.
  pace: 0.01,
});
await arm.resumeMachines();
process.send?.({ kind: "ready", url: arm.url });
process.on("disconnect", () => process.exit(0));
