import { expect, it, onTestFinished } from "vitest";
import { CACHE_ACCOUNT, TARGET_ACCOUNT } from "../../../local/supervisor/cloud.ts";
import { cacheContainer, diskContainer } from "../../../replication/items/names.ts";
import { clientsTo, contentOf, fillDisks, flowsOf, makeMachines, openGuest, targetOf } from "./machines.ts";
import { blobsOf, startWorld } from "./world.ts";

const ITEM = "web-1";

it(
  "a machine that was disabled and is enabled again replicates anew, though all that its earlier life left lies there",
  { timeout: 400_000 },
  async () => {
    const world = await startWorld((undo) => onTestFinished(undo));
    const { cloud, operator } = world;
    const [machine = ""] = await makeMachines(clientsTo(world), [ITEM]);
    await fillDisks(world, machine);
    const { succeeds, inState, enable } = flowsOf(operator);
    const replicate = async (writes: number) => {
      await enable(ITEM, machine);
      const guest = await openGuest(world, machine, ITEM);
      for (let count = 0; count < writes; count += 1) await guest.write();
      await guest.pointOfNow();
      await inState(ITEM, "Protected");
      guest.close();
      return guest.log;
    };
    const stream = async () =>
      ((await operator.call("GET", `replicationProtectedItems/${ITEM}`)).body as { readonly stream: number }).stream;
    const exists = (account: string, container: string) => blobsOf(cloud, account).getContainerClient(container).exists();

    await replicate(5);
    expect(await stream()).toBe(1);
    await succeeds("DELETE", ITEM);
    // The second life finds the state folder of the first: its token, its positions, its spool. A third finds that of the second.
    for (const life of [2, 3]) {
      const log = await replicate(5);
      expect(await stream()).toBe(life);
      for (let earlier = 1; earlier < life; earlier += 1) {
        expect(await exists(CACHE_ACCOUNT, cacheContainer(ITEM, earlier))).toBe(false);
        expect(await exists(TARGET_ACCOUNT, diskContainer(ITEM, earlier))).toBe(false);
      }
      const view = (await operator.item(ITEM)) as {
        readonly replicationHealth: string;
        readonly stopped?: object;
        readonly applied: object;
      };
      expect(view).toMatchObject({ replicationHealth: "Normal", applied: { stream: life } });
      expect(view.stopped).toBeUndefined();
      if (life === 2) {
        await succeeds("DELETE", ITEM);
        continue;
      }
      await succeeds("POST", `${ITEM}/unplannedFailover`, { recoveryPointType: "LatestProcessed" });
      const prefixes = log.prefixesOf(await contentOf(world, targetOf(world, ITEM)));
      expect(Math.max(...prefixes)).toBeGreaterThanOrEqual(5);
    }
  },
);
