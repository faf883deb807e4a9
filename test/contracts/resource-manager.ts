import { describe, expect, it } from "vitest";
import { partOf, textOf } from "../../replication/resources/json.ts";
import type {
  Begun,
  Change,
  Failed,
  PollResult,
  ResourceJson,
  ResourceManager,
} from "../../replication/resources/resource-manager.ts";

export interface ResourceManagerUnderTest {
  readonly resourceManager: ResourceManager;
  /** Another one on the same resources, as opened by another process. */
  readonly reopen: () => ResourceManager;
  readonly subscriptionId: string;
  /** A region that takes resources. */
  readonly region: string;
  /** An empty group of this test alone. */
  readonly group: string;
  /**
   * Injects a fault into the next such change. `late`: it is accepted and fails while it runs. `lost`: it is done but
   * the answer is lost.
   */
  readonly strike: (change: Change["kind"], how: "throttled" | "late" | "lost" | "allocation") => void;
}

/** Runs a change to its end, waiting only to let other work run. The first answer may be busy. */
async function run(resourceManager: ResourceManager, change: Change, seen: Begun["kind"][] = []): Promise<PollResult> {
  let progress: Begun = await resourceManager.begin(change);
  for (let tries = 0; tries < 10_000; tries += 1) {
    seen.push(progress.kind);
    if (progress.kind === "done" || progress.kind === "failed") return progress;
    await new Promise((resolve) => setTimeout(resolve, 2));
    progress =
      progress.kind === "busy" ? await resourceManager.begin(change) : await resourceManager.poll(progress.operation);
  }
  throw new Error(`${change.kind} ${change.id} did not end`);
}

function doneWith(progress: Begun): ResourceJson {
  expect(progress).toMatchObject({ kind: "done" });
  return progress.kind === "done" ? (progress.result ?? {}) : {};
}

/** What every ResourceManager must do. */
export function resourceManagerContract(open: () => Promise<ResourceManagerUnderTest>): void {
  const opened = async () => {
    const under = await open();
    const of = (type: string, name: string): string => `${under.group}/providers/${type}/${name}`;
    const network: Change & { readonly kind: "put" } = {
      kind: "put",
      id: of("Microsoft.Network/virtualNetworks", "net"),
      body: {
        location: under.region,
        tags: { made: "here" },
        properties: {
          addressSpace: { addressPrefixes: ["10.0.0.0/16"] },
          subnets: [{ name: "a", properties: { addressPrefix: "10.0.0.0/24" } }],
        },
      },
    };
    const nic: Change & { readonly kind: "put" } = {
      kind: "put",
      id: of("Microsoft.Network/networkInterfaces", "nic"),
      body: {
        location: under.region,
        properties: { ipConfigurations: [{ name: "one", properties: { subnet: { id: `${network.id}/subnets/a` } } }] },
      },
    };
    const disk: Change & { readonly kind: "put" } = {
      kind: "put",
      id: of("Microsoft.Compute/disks", "disk"),
      body: {
        location: under.region,
        sku: { name: "Standard_LRS" },
        properties: { diskSizeGB: 1, osType: "Linux", creationData: { createOption: "Empty" } },
      },
    };
    return { ...under, of, network, nic, disk };
  };

  describe("ResourceManager: put and read", () => {
    it("done means that the resource was seen in the state Succeeded", async () => {
      const { resourceManager, network } = await opened();
      const seen: Begun["kind"][] = [];
      const result = doneWith(await run(resourceManager, network, seen));
      expect(seen).toContain("running");
      expect(textOf(result, "properties", "provisioningState")).toBe("Succeeded");
      expect(result).toMatchObject({ name: "net", tags: { made: "here" } });
      expect(await resourceManager.read(network.id)).toMatchObject({
        id: expect.stringMatching(/net$/) as unknown,
        properties: result["properties"],
      });
    });

    it("rule 10: the same put again ends in the same", async () => {
      const { resourceManager, network } = await opened();
      const first = doneWith(await run(resourceManager, network));
      const second = doneWith(await run(resourceManager, network));
      expect(partOf(second, "properties", "addressSpace")).toEqual(partOf(first, "properties", "addressSpace"));
    });

    it("a put that only creates replaces nothing: what is there is busy", async () => {
      const { resourceManager, network } = await opened();
      const createOnly = { ...network, createOnly: true };
      doneWith(await run(resourceManager, createOnly));
      const other = { ...createOnly, body: { ...network.body, tags: { made: "elsewhere" } } };
      expect(await resourceManager.begin(other)).toMatchObject({ kind: "busy" });
      expect(await resourceManager.read(network.id)).toMatchObject({ tags: { made: "here" } });
    });

    it("what is missing reads as undefined: the resource, its group", async () => {
      const { resourceManager, of, group } = await opened();
      expect(await resourceManager.read(of("Microsoft.Compute/disks", "none"))).toBeUndefined();
      expect(await resourceManager.read(`${group}-none`)).toBeUndefined();
      expect(await resourceManager.read(`${group}-none/providers/Microsoft.Compute/disks/none`)).toBeUndefined();
    });

    it("ids are the same in any case", async () => {
      const { resourceManager, network } = await opened();
      doneWith(await run(resourceManager, network));
      expect(
        await resourceManager.read(network.id.replace("net", "NET").replace("resourceGroups", "RESOURCEGROUPS")),
      ).toMatchObject({
        name: "net",
      });
    });

    it("a put into a group that is missing fails, and cannot be helped by trying again", async () => {
      const { resourceManager, group, disk } = await opened();
      const progress = await run(resourceManager, {
        ...disk,
        id: `${group}-none/providers/Microsoft.Compute/disks/disk`,
      });
      expect(progress).toMatchObject({
        kind: "failed",
        code: "azure-resource-missing",
        azureCode: "ResourceGroupNotFound",
        retryable: false,
      });
    });
  });

  describe("ResourceManager: patch", () => {
    it("changes what it names and nothing else; tags are replaced as a whole", async () => {
      const { resourceManager, network, disk } = await opened();
      for (const made of [network, { ...disk, body: { ...disk.body, tags: { made: "here", other: "1" } } }]) {
        const before = doneWith(await run(resourceManager, made));
        const patch = { kind: "patch", id: made.id, body: { tags: { kept: "yes" } } } as const;
        const after = doneWith(await run(resourceManager, patch));
        expect(after["tags"]).toEqual({ kept: "yes" });
        expect([after["location"], after["sku"]]).toEqual([before["location"], before["sku"]]);
        expect(partOf(after, "properties")).toEqual(partOf(before, "properties"));
        expect(await resourceManager.read(made.id)).toMatchObject({ tags: { kept: "yes" } });
      }
    });

    it("changes one property of many, and rule 10: the same patch again ends in the same", async () => {
      const { resourceManager, disk } = await opened();
      doneWith(await run(resourceManager, { ...disk, body: { ...disk.body, tags: { made: "here" } } }));
      const patch = { kind: "patch", id: disk.id, body: { properties: { diskSizeGB: 2 } } } as const;
      for (const time of ["once", "twice"]) {
        const after = doneWith(await run(resourceManager, patch));
        expect([time, partOf(after, "properties", "diskSizeGB")]).toEqual([time, 2]);
        expect(after).toMatchObject({ tags: { made: "here" }, properties: { osType: "Linux" } });
      }
    });

    it("of what is missing fails, and makes nothing", async () => {
      const { resourceManager, disk } = await opened();
      const patch = { kind: "patch", id: disk.id, body: { tags: { kept: "yes" } } } as const;
      const missing = { kind: "failed", code: "azure-resource-missing", retryable: false };
      expect(await run(resourceManager, patch)).toMatchObject(missing);
      expect(await resourceManager.read(disk.id)).toBeUndefined();
    });

    it("that is throttled is a wait, and one whose answer was lost is begun again", async () => {
      const { resourceManager, disk, strike } = await opened();
      doneWith(await run(resourceManager, disk));
      const patch = { kind: "patch", id: disk.id, body: { tags: { kept: "yes" } } } as const;
      strike("patch", "throttled");
      expect(await resourceManager.begin(patch)).toMatchObject({ kind: "busy", azureCode: "TooManyRequests" });
      strike("patch", "lost");
      await expect(resourceManager.begin(patch)).rejects.toMatchObject({ code: "azure-unavailable" });
      expect(doneWith(await run(resourceManager, patch))["tags"]).toEqual({ kept: "yes" });
    });
  });

  describe("ResourceManager: operations", () => {
    it("an operation's text is all that another process needs, and looking twice is harmless", async () => {
      const { resourceManager, reopen, network } = await opened();
      const begun = await resourceManager.begin(network);
      if (begun.kind !== "running") throw new Error(`it is ${begun.kind}`);
      const kept = JSON.parse(JSON.stringify(begun)) as typeof begun;
      expect(kept.operation.length).toBeLessThan(8_192);
      const other = reopen();
      let progress: PollResult = begun;
      while (progress.kind === "running") progress = await other.poll(progress.operation);
      doneWith(progress);
      doneWith(await resourceManager.poll(kept.operation));
    });

    it("a second change while one runs is busy, and nothing is begun", async () => {
      const { resourceManager, disk } = await opened();
      const begun = await resourceManager.begin(disk);
      const second = await resourceManager.begin(disk);
      // On a fast machine the first may have ended.
      expect(["busy", "running", "done"]).toContain(second.kind);
      let progress: PollResult = begun.kind === "busy" ? { kind: "done", result: undefined } : begun;
      while (progress.kind === "running") progress = await resourceManager.poll(progress.operation);
      doneWith(await run(resourceManager, disk));
    });

    it("throttling is a wait, not a failure, and nothing was begun", async () => {
      const { resourceManager, disk, strike } = await opened();
      strike("put", "throttled");
      const begun = await resourceManager.begin(disk);
      expect(begun).toMatchObject({ kind: "busy", azureCode: "TooManyRequests" });
      expect(await resourceManager.read(disk.id)).toBeUndefined();
      doneWith(await run(resourceManager, disk));
    });

    it("an operation that fails later says why, leaves the resource, and the same put repairs it", async () => {
      const { resourceManager, disk, strike } = await opened();
      strike("put", "late");
      const progress = await run(resourceManager, disk);
      expect(progress).toMatchObject({
        kind: "failed",
        code: "azure-no-capacity",
        azureCode: "AllocationFailed",
        retryable: true,
      } satisfies Partial<Failed>);
      expect(textOf(await resourceManager.read(disk.id), "properties", "provisioningState")).toBe("Failed");
      doneWith(await run(resourceManager, disk));
    });

    it("a refusal is a failure with a code of ours and Azure's word", async () => {
      const { resourceManager, disk, strike } = await opened();
      strike("put", "allocation");
      expect(await resourceManager.begin(disk)).toMatchObject({
        kind: "failed",
        code: "azure-no-capacity",
        azureCode: "AllocationFailed",
      });
    });

    it("a lost answer is told as azure-unavailable, and beginning again is right", async () => {
      const { resourceManager, disk, strike } = await opened();
      strike("put", "lost");
      await expect(resourceManager.begin(disk)).rejects.toMatchObject({ code: "azure-unavailable", retryable: true });
      doneWith(await run(resourceManager, disk));
    });

    it("a text that is no operation is a fault of ours", async () => {
      const { resourceManager } = await opened();
      await expect(resourceManager.poll('{"operation":"none"}')).rejects.toMatchObject({ code: "internal" });
    });
  });

  describe("ResourceManager: remove", () => {
    it("done means that it was seen to be gone", async () => {
      const { resourceManager, disk } = await opened();
      doneWith(await run(resourceManager, disk));
      expect(await run(resourceManager, { kind: "remove", id: disk.id })).toEqual({ kind: "done", result: undefined });
      expect(await resourceManager.read(disk.id)).toBeUndefined();
    });

    it("removing what is missing is done, also in a group that is missing", async () => {
      const { resourceManager, disk, group } = await opened();
      expect(await resourceManager.begin({ kind: "remove", id: disk.id })).toEqual({ kind: "done", result: undefined });
      expect(await resourceManager.begin({ kind: "remove", id: `${group}-none` })).toEqual({
        kind: "done",
        result: undefined,
      });
      const inNone = `${group}-none/providers/Microsoft.Compute/disks/disk`;
      expect(await resourceManager.begin({ kind: "remove", id: inNone })).toEqual({ kind: "done", result: undefined });
    });

    it("what is in use stays", async () => {
      const { resourceManager, network, nic } = await opened();
      doneWith(await run(resourceManager, network));
      doneWith(await run(resourceManager, nic));
      const progress = await run(resourceManager, { kind: "remove", id: network.id });
      expect(progress).toMatchObject({ kind: "failed", retryable: false });
      doneWith(await run(resourceManager, { kind: "remove", id: nic.id }));
      doneWith(await run(resourceManager, { kind: "remove", id: network.id }));
    });

    it("a group goes with all that is in it", async () => {
      const { resourceManager, group, network } = await opened();
      doneWith(await run(resourceManager, network));
      doneWith(await run(resourceManager, { kind: "remove", id: group }));
      expect(await resourceManager.read(network.id)).toBeUndefined();
      expect(await resourceManager.list(`${group}/providers/Microsoft.Network/virtualNetworks`)).toEqual([]);
    });
  });

  describe("ResourceManager: list", () => {
    it("gives all pages of a collection, of a group and of the subscription", async () => {
      const { resourceManager, disk, group, subscriptionId } = await opened();
      const names = ["d1", "d2", "d3", "d4", "d5"];
      for (const name of names) doneWith(await run(resourceManager, { ...disk, id: disk.id.replace(/disk$/, name) }));
      const ofGroup = await resourceManager.list(`${group}/providers/Microsoft.Compute/disks`);
      expect(
        ofGroup.map((found) => textOf(found, "name") ?? "").toSorted((left, right) => (left < right ? -1 : 1)),
      ).toEqual(names);
      const all = await resourceManager.list(`/subscriptions/${subscriptionId}/providers/Microsoft.Compute/disks`);
      expect(all.map((found) => found["name"])).toEqual(expect.arrayContaining(names));
    });

    it("tells whether a group is empty", async () => {
      const { resourceManager, network, group } = await opened();
      expect(await resourceManager.list(`${group}/resources`)).toEqual([]);
      doneWith(await run(resourceManager, network));
      expect((await resourceManager.list(`${group}/resources`)).map((found) => found["name"])).toEqual(["net"]);
      expect(await resourceManager.list(`${group}-none/resources`)).toEqual([]);
    });
  });

  describe("ResourceManager: actions", () => {
    it("an action that answers gives its answer", async () => {
      const { resourceManager, disk } = await opened();
      doneWith(await run(resourceManager, disk));
      const access = { access: "Read", durationInSeconds: 60, fileFormat: "VHD" };
      const answer = doneWith(
        await run(resourceManager, { kind: "act", id: disk.id, action: "beginGetAccess", body: access }),
      );
      expect(textOf(answer, "accessSAS")).toMatch(/./);
      doneWith(await run(resourceManager, { kind: "act", id: disk.id, action: "endGetAccess" }));
    });

    it("a machine that was deallocated shows it, and starts again", async () => {
      const { resourceManager, of, network, nic, disk, region } = await opened();
      for (const change of [network, nic, disk]) doneWith(await run(resourceManager, change));
      const id = of("Microsoft.Compute/virtualMachines", "vm");
      const properties = {
        hardwareProfile: { vmSize: "Standard_B1s" },
        storageProfile: { osDisk: { createOption: "Attach", osType: "Linux", managedDisk: { id: disk.id } } },
        networkProfile: { networkInterfaces: [{ id: nic.id }] },
      };
      doneWith(await run(resourceManager, { kind: "put", id, body: { location: region, properties } }));
      const power = async (): Promise<unknown> => {
        const view = await resourceManager.read(`${id}/instanceView`);
        return (partOf(view, "statuses") as readonly ResourceJson[]).map((status) => status["code"]).at(-1);
      };
      expect(await power()).toBe("PowerState/running");
      const stopped = doneWith(await run(resourceManager, { kind: "act", id, action: "deallocate" }));
      expect(stopped).toMatchObject({ name: "vm" });
      expect(await power()).toBe("PowerState/deallocated");
      doneWith(await run(resourceManager, { kind: "act", id, action: "start" }));
      expect(await power()).toBe("PowerState/running");
    });

    it("an action on what is missing fails", async () => {
      const { resourceManager, of } = await opened();
      const id = of("Microsoft.Compute/virtualMachines", "none");
      expect(await resourceManager.begin({ kind: "act", id, action: "start" })).toMatchObject({
        kind: "failed",
        code: "azure-resource-missing",
      });
    });
  });
}
