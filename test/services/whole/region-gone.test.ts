import { expect, it, onTestFinished } from "vitest";
import { killInsideBatch } from "../../../local/demo/faults.ts";
import { readProgress } from "../../../local/demo/progress.ts";
import { CACHE_ACCOUNT } from "../../../local/supervisor/cloud.ts";
import { clientsTo, contentOf, fillDisks, flowsOf, makeMachines, openGuest, targetOf } from "./machines.ts";
import { until } from "./until.ts";
import { startWorld } from "./world.ts";

const PATIENCE_MS = 60_000;

it(
  "rule 7: with the source region's storage and Resource Manager gone a batch that was begun is finished, and the machine fails over",
  { timeout: 400_000 },
  async () => {
    const world = await startWorld((undo) => onTestFinished(undo));
    const { cloud, operator } = world;
    const [first = ""] = await makeMachines(clientsTo(world), ["web-1"]);
    await fillDisks(world, first);
    const { ask, ended, inState, enable } = flowsOf(operator);
    await enable("web-1", first);
    const guest = await openGuest(world, first, "web-1");
    for (let count = 0; count < 5; count += 1) await guest.write();
    await guest.pointOfNow();
    await inState("web-1", "Protected");

    // The app dies inside a batch, and the region goes before it is back: what the batch still needs is in the journal
    // alone.
    const killed = killInsideBatch(cloud, "web-1", 1, PATIENCE_MS);
    for (let count = 0; count < 4; count += 1) await guest.write();
    const begun = await killed;
    cloud.storage.setReachable(CACHE_ACCOUNT, false);
    cloud.resourceManager.setReachable("westeurope", false);
    guest.close();
    await cloud.app.restart();
    await until("the batch is finished", async () => {
      const { applied } = await readProgress(cloud.storage, "web-1");
      return applied >= begun.intent ? true : undefined;
    });

    const options = { recoveryPointType: "LatestProcessed", sourceSiteOperations: "Required" };
    const { state, errors } = await ended(await ask("POST", "web-1/unplannedFailover", options));
    expect([state, errors]).toMatchObject(["Succeeded", [{ taskName: "ShutDownSource", code: "azure-unavailable" }]]);
    const prefixes = guest.log.prefixesOf(await contentOf(world, targetOf(world, "web-1")));
    expect(Math.max(...prefixes)).toBeGreaterThanOrEqual(5);
  },
);
