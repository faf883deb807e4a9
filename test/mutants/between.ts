import type { Mutant } from "./mutant.ts";

const ENDS = "test/orchestrations/ends.test.ts";
const REPAIR = "test/orchestrations/repair-item.test.ts";
const REQUEST = "test/orchestrations/request.test.ts";
const LANES = "test/apply/concurrency.test.ts";
const LEDGER = "test/failover/ledger.test.ts";
const LATE = "test/orchestrations/late-puts.test.ts";
const CONTRACTS = "test/services/azure/contracts.test.ts";

/** Faults in what parts assume of each other: jobs of their item, ledgers of their requests, work of its lanes. */
export const BETWEEN_MUTANTS: readonly Mutant[] = [
  {
    name: "an item keeps the run of a job that has ended",
    why: "a look at the item shows a failover that is long over",
    file: "replication/operations/job-outcome.ts",
    find: `{ ...managed, situation, running: undefined }`,
    replace: `{ ...managed, situation }`,
    tests: ["test/orchestrations/flows.test.ts"],
  },
  {
    name: "the job that holds an item is forgotten when its record says that it has ended",
    why: "its outcome is never reported, and the item is held for ever",
    file: "replication/jobs/job-record.ts",
    find: `isEnded(job) && job.jobId !== running`,
    replace: `isEnded(job)`,
    tests: [REQUEST],
  },
  {
    name: "a repair installs without looking for the ledger",
    why: "a new ledger with one entry hides from disabling what has to go",
    file: "orchestrations/repair-item.ts",
    find: `  // Without its other entries the ledger would hide from disabling what has to go.
  await requireLedger(context, run);
`,
    replace: ``,
    tests: [REPAIR],
  },
  {
    name: "a repair that Azure is too busy for is called done",
    why: "nobody asks again, and the machine stays silent",
    file: "orchestrations/repair-item.ts",
    find: `if (answer.kind !== "again") return;`,
    replace: `if (answer !== undefined) return;`,
    tests: [REPAIR],
  },
  {
    name: "a leftover that came into use again is removed",
    why: "the sweep takes the next life's extension and deltas",
    file: "replication/operations/leftovers.ts",
    find: `if (!begun.entries.some((entry) => entry.id === id && entry.state === "removing")) return undefined;`,
    replace: `void begun;`,
    tests: [ENDS],
  },
  {
    name: "a late PUT's resource is removed though another item made it",
    why: "another item loses its network",
    file: "replication/operations/leftovers.ts",
    find: `if (itemOf(found) !== itemId) return false;`,
    replace: ``,
    tests: [LATE],
  },
  {
    name: "an answer that comes later takes back that an earlier PUT had none",
    why: "what that PUT makes is never looked for",
    file: "replication/resources/ledger.ts",
    find: `(answer === "awaited" ? undefined : answer)`,
    replace: `(answer === undefined ? answer : undefined)`,
    tests: [LEDGER, LATE],
  },
  {
    name: "a second PUT makes the ledger forget that the first was not answered",
    why: "what that PUT makes is never looked for",
    file: "replication/resources/ledger.ts",
    find: `(answer === undefined ? "awaited" : "missing")`,
    replace: `(answer === "missing" ? "missing" : "awaited")`,
    tests: [LEDGER, LATE],
  },
  {
    name: "one more is under way than was asked for",
    why: "the memory of the app is exceeded (rule 9)",
    file: "replication/concurrency.ts",
    find: `while (underWay.size >= lanes)`,
    replace: `while (underWay.size > lanes)`,
    tests: [LANES],
  },
  {
    name: "what is given comes in the order in which it ends",
    why: "a frame lands at the place of another",
    file: "replication/concurrency.ts",
    find: `.toSorted(([one], [other]) => one - other)`,
    replace: ``,
    tests: [LANES],
  },
  {
    name: "a failure ends all that waits behind it",
    why: "one bad batch stops every large one of the process",
    file: "replication/concurrency.ts",
    find: `before = own.catch(() => undefined);`,
    replace: `before = own;`,
    tests: [LANES],
  },
  {
    name: "disks of all replica accounts are looked for in the first",
    why: "a machine with many disks exceeds one account, or is not found",
    file: "azure/item-stores.ts",
    find: `openTargetDisks((await accounts.of(itemId)).replicaOf(diskId))`,
    replace: `openTargetDisks((await accounts.of(itemId)).replicas[0])`,
    tests: [CONTRACTS],
  },
  {
    name: "copies are made in another account than the disk's",
    why: "no copy of a snapshot crosses accounts at once",
    file: "azure/item-stores.ts",
    find: `openDiskSnapshots((await accounts.of(itemId)).replicaOf(diskId))`,
    replace: `openDiskSnapshots((await accounts.of(itemId)).replicas[0])`,
    tests: [CONTRACTS],
  },
  {
    name: "an earlier stream goes from the first replica account only",
    why: "its disks are paid for, for ever",
    file: "azure/item-stores.ts",
    find: `for (const replica of (await accounts.of(itemId)).replicas)`,
    replace: `for (const replica of (await accounts.of(itemId)).replicas.slice(0, 1))`,
    tests: [CONTRACTS],
  },
];
