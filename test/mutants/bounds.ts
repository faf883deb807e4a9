import type { Mutant } from "./mutant.ts";

const LARGE = "test/apply/large-batches.test.ts";
const CACHE = "test/points/point-cache.test.ts";
const ACCOUNT = "test/mobility/cache-account.test.ts";

/** Faults of what one process may hold in memory, and of where the service may send its data. */
export const BOUND_MUTANTS: readonly Mutant[] = [
  {
    name: "any number of large batches is in memory at once",
    why: "the instance dies, and with it every worker",
    file: "replication/apply/large-batches.ts",
    find: `    if (free === 0) return undefined;
`,
    replace: ``,
    tests: [LARGE],
  },
  {
    name: "the place of a large batch is given back twice",
    why: "more of them are in memory than there is room for",
    file: "replication/apply/large-batches.ts",
    find: `if (held) free += 1;`,
    replace: `void held;
        free += 1;`,
    tests: [LARGE],
  },
  {
    name: "the place of a large batch is never given back",
    why: "after a few of them no large delta is applied any more",
    file: "replication/apply/apply-next.ts",
    find: `    end?.();`,
    replace: `    void end;`,
    tests: [LARGE],
  },
  {
    name: "a worker that waits for room lets its claim run out",
    why: "another one takes the item over each time, and nothing is applied",
    file: "replication/apply/apply-next.ts",
    find: `    await claim.keep();
`,
    replace: ``,
    tests: [LARGE],
  },
  {
    name: "a batch that was begun is gone on with as a small one",
    why: "it ends before its intent, and the disks stand at no position (rule 1)",
    file: "replication/apply/batch.ts",
    find: `if (!large && !isBoundary(claim.progress())) return { kind: "large" };`,
    replace: ``,
    tests: [LARGE],
  },
  {
    name: "a delta that no small batch can hold stops its item",
    why: "every large write of the guest stops replication",
    file: "replication/apply/next-delta.ts",
    find: `if (error.code === "delta-too-large" && typeof lengthBytes === "number" && lengthBytes <= DELTA_MAX_BYTES)
        return { kind: "large" };`,
    replace: `if (lengthBytes === "") return { kind: "large" };`,
    tests: [LARGE],
  },
  {
    name: "a manifest that changed is taken from the cache",
    why: "a point that retention removes, or that was damaged, passes for a whole one",
    file: "replication/points/point-cache.ts",
    find: `return kept?.etag === etag ? kept.record : undefined;`,
    replace: `return kept?.etag === "" ? undefined : kept?.record;`,
    tests: [CACHE],
  },
  {
    name: "any number of manifests is kept in memory",
    why: "the instance dies, and with it every worker",
    file: "replication/points/point-cache.ts",
    find: `if (disks + wanted > POINT_CACHE_MAX_DISKS) return;`,
    replace: ``,
    tests: [CACHE],
  },
  {
    name: "what was kept of an item counts twice after its next sweep",
    why: "soon nothing finds room, and every sweep reads every manifest",
    file: "replication/points/point-cache.ts",
    find: `      drop(itemId);
      const nowMs`,
    replace: `      const nowMs`,
    tests: [CACHE],
  },
  {
    name: "deltas go wherever a heartbeat says",
    why: "who can answer heartbeats gets the disks of the guest",
    file: "mobility/control/cache-account.ts",
    find: `      if (addressOf(account) === kept) return undefined;`,
    replace: `      if (addressOf(account) !== "") return undefined;`,
    tests: [ACCOUNT],
  },
  {
    name: "the account of the first grant is not kept",
    why: "a state folder of before follows every heartbeat",
    file: "mobility/control/cache-account.ts",
    find: `      if (kept === undefined) remember(account.href);`,
    replace: `      if (kept === undefined) return undefined;`,
    tests: [ACCOUNT],
  },
  {
    name: "a cache account is reached over plain http",
    why: "everybody on the way reads the credential",
    file: "mobility/control/cache-account.ts",
    find: `      if (!isGuarded(container)) return`,
    replace: `      if (container.host === "") return`,
    tests: [ACCOUNT],
  },
  {
    name: "a refusal that may mean that the delta is there counts as uploaded",
    why: "a credential that ended deletes the only copies (rule 4)",
    file: "mobility/upload/uploader.ts",
    find: `        if ((await this.#ask(delta, streamOver)) === "again") throw this.#drop(containerUrl, outcome.reason);
`,
    replace: ``,
    tests: ["test/mobility/uploader.test.ts"],
  },
  {
    name: "a record of another item is believed",
    why: "an item goes on with what was decided for another one (rule 6)",
    file: "replication/records/record.ts",
    find: `if (fields.get(field) !== wanted)`,
    replace: `if (fields.get(field) === "" && wanted === "")`,
    tests: ["test/records/record.test.ts"],
  },
  {
    name: "a damaged record fails the sweep of its item",
    why: "the timer fails with each run for one record, and its alert means nothing any more",
    file: "replication/sweep/sweep.ts",
    find: `        damaged ??= damage;
        return otherwise;`,
    replace: `        damaged ??= damage;
        throw damage;`,
    tests: ["test/functions/work.test.ts"],
  },
];
