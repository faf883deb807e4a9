import { expect, it, onTestFinished } from "vitest";
import { CACHE_ACCOUNT, TARGET_ACCOUNT } from "../../../local/supervisor/cloud.ts";
import { cacheContainer, diskContainer } from "../../../replication/names.ts";
import { clientsTo, contentOf, fillDisks, flowsOf, makeMachines, openGuest, targetOf } from "./machines.ts";
import { blobsOf, startWorld } from "./world.ts";

const ITEM = "web-1";

interface View {
  readonly stream: number;
  readonly stopped?: object;
}

it(
  "a machine that was disabled and is enabled again replicates anew, though all that its earlier life left lies there",
  { timeout: 400_000 },
  async () => {
    const world = await startWorld((undo) => onTestFinished(undo));
    const { cloud, operator } = world;
    const [machine = ""] = await makeMachines(clientsTo(world), [ITEM]);
    await fillDisks(world, machine);
    const { succeeds, inState, enable } = flowsOf(operator);
    const exists = (account: string, container: string) =>
      blobsOf(cloud, account).getContainerClient(container).exists();
    const used: number[] = [];
    const live = async () => {
      await enable(ITEM, machine);
      const guest = await openGuest(world, machine, ITEM);
      for (let count = 0; count < 5; count += 1) await guest.write();
      await guest.pointOfNow();
      await inState(ITEM, "Protected");
      guest.close();
      const view = (await operator.call("GET", `replicationProtectedItems/${ITEM}`)).body as View;
      expect(view).toMatchObject({
        replicationHealth: "Normal",
        applied: { stream: view.stream },
        uploaded: { stream: view.stream },
      });
      expect(view.stopped).toBeUndefined();
      for (const earlier of used) {
        expect(view.stream).toBeGreaterThan(earlier);
        expect(await exists(CACHE_ACCOUNT, cacheContainer(ITEM, earlier))).toBe(false);
        expect(await exists(TARGET_ACCOUNT, diskContainer(ITEM, earlier))).toBe(false);
      }
      used.push(view.stream);
      return guest.log;
    };

    await live();
    await succeeds("DELETE", ITEM);
    // The second life finds the state folder of the first: its token, positions and spool.
    const log = await live();
    await succeeds("POST", `${ITEM}/unplannedFailover`, { recoveryPointType: "LatestProcessed" });
    const prefixes = log.prefixesOf(await contentOf(world, targetOf(world, ITEM)));
    expect(Math.max(...prefixes)).toBeGreaterThanOrEqual(5);
  },
);
