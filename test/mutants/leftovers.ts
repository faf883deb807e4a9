import type { Mutant } from "./mutant.ts";

/** Faults of what is done after a flow: leftovers, PUTs that take effect late, and records that are made anew. */
export const LEFTOVER_MUTANTS: readonly Mutant[] = [
  {
    name: "a removal of leftovers takes along the deltas of a life that began meanwhile",
    why: "sealed deltas are lost, and the machine stands still (rule 4)",
    file: "replication/operations/leftovers.ts",
    find: `await context.stores.removeCacheData(managed.itemId, lastStream);`,
    replace: `await context.stores.removeCacheData(managed.itemId, lastStream + 9_999);`,
    tests: ["test/orchestrations/ends.test.ts"],
  },
  {
    name: "the cache goes whatever stream is named",
    why: "sealed deltas of the next life are lost (rule 4)",
    file: "azure/remove-item.ts",
    find: `if (stream <= lastStream) await removeContainer(cache,`,
    replace: `await removeContainer(cache,`,
    tests: ["test/services/azure/contracts.test.ts"],
  },
  {
    name: "disks go whatever stream is named",
    why: "a disabling that slept takes the disks of the machine's next life",
    file: "azure/remove-item.ts",
    find: `if (stream <= lastStream) await removeContainer(replica,`,
    replace: `await removeContainer(replica,`,
    tests: ["test/services/azure/contracts.test.ts"],
  },
  {
    name: "an item is forgotten whatever stream it has",
    why: "a disabling that slept takes the record of the machine's next life",
    file: "azure/remove-item.ts",
    find: `if (name === ITEM_RECORD) await requireNoLaterLife(itemId, stored.bytes, lastStream);`,
    replace: `void [requireNoLaterLife, lastStream];`,
    tests: ["test/services/azure/contracts.test.ts"],
  },
  {
    name: "a PUT that was never answered is forgotten with its resource",
    why: "what it brings minutes later stands and costs for ever",
    file: "replication/resources/ledger.ts",
    find: `return entry.answer === undefined ? [] : [{ ...entry, state: "left" }];`,
    replace: `return [];`,
    tests: ["test/failover/ledger.test.ts", "test/orchestrations/late-puts.test.ts"],
  },
  {
    name: "the answer to a second PUT counts as that to the first",
    why: "the first one takes effect after the disabling, and nobody looks",
    file: "replication/resources/ledger.ts",
    find: `(answer === undefined ? "awaited" : "missing")`,
    replace: `(answer === undefined ? "awaited" : answer)`,
    tests: ["test/failover/ledger.test.ts", "test/orchestrations/late-puts.test.ts"],
  },
  {
    name: "a flow does not note that it asks for a resource",
    why: "what Azure makes late is in no ledger",
    file: "orchestrations/activities/walk.ts",
    find: `noteSent(intend(ledger, resources, jobId, nowMs), idsOf(resources)),`,
    replace: `intend(ledger, resources, jobId, nowMs),`,
    tests: ["test/orchestrations/late-puts.test.ts"],
  },
  {
    name: "the answer about the extension is not noted",
    why: "each disabling leaves the ledger to the sweep, which asks Azure in vain",
    file: "orchestrations/activities/mobility.ts",
    find: `  await changeLedger(stores, run.itemId, (ledger) => noteAnswered(ledger, [id]));
`,
    replace: ``,
    also: [
      {
        file: "orchestrations/activities/mobility.ts",
        find: `import { cacheEntryId, intend, markCreated, noteAnswered, noteSent }`,
        replace: `import { cacheEntryId, intend, markCreated, noteSent }`,
      },
      {
        file: "replication/resources/ledger.ts",
        find: `  return noteAnswered(seen, [id]);`,
        replace: `  return seen;`,
      },
    ],
    tests: ["test/orchestrations/ends.test.ts", "test/orchestrations/late-puts.test.ts"],
  },
  {
    name: "what a late PUT brought is removed whoever has it now",
    why: "the network of another machine goes",
    file: "replication/operations/leftovers.ts",
    find: `if (found === undefined || !(await isOursAlone(context, managed, entry, found))) return true;`,
    replace: `if (found === undefined || isOursAlone === undefined) return true;`,
    tests: ["test/orchestrations/late-puts.test.ts"],
  },
  {
    name: "a sweep that died while it tried a leftover in the target region blocks the machine",
    why: "it cannot be protected again",
    file: "replication/resources/ledger.ts",
    find: `=> sideOf(entry) === "source" || entry.isRetry === true;`,
    replace: `=> sideOf(entry) === "source";`,
    tests: ["test/failover/ledger.test.ts"],
  },
  {
    name: "the next life forgets a PUT of the one before",
    why: "what it brings late is in no ledger",
    file: "replication/resources/ledger.ts",
    find: `{ ...fresh, answer: found.answer }`,
    replace: `fresh`,
    tests: ["test/failover/ledger.test.ts", "test/orchestrations/late-puts.test.ts"],
  },
  {
    name: "a machine whose record was made anew gets no service",
    why: "nobody can speak for it, and it replicates nothing",
    file: "orchestrations/repair-item.ts",
    find: `  if (managed !== undefined) await installIfSilent(context, run);
`,
    replace: `  void installIfSilent;
`,
    tests: ["test/orchestrations/repair-item.test.ts"],
  },
  {
    name: "each repair installs the service anew",
    why: "no repair is possible while Azure does not answer",
    file: "orchestrations/repair-item.ts",
    find: `if (item === undefined || item.tokenHash !== undefined || item.nextTokenHash !== undefined) return;`,
    replace: `if (item === undefined) return;`,
    tests: ["test/orchestrations/repair-item.test.ts"],
  },
  {
    name: "a repair that broke off behind a record made anew is refused",
    why: "the item waits for a service that nobody installs",
    file: "replication/operations/situation.ts",
    find: `return item !== undefined && item.tokenHash === undefined && item.nextTokenHash === undefined;`,
    replace: `return item === undefined;`,
    tests: ["test/orchestrations/repair-item.test.ts"],
  },
  {
    name: "a damaged item.json is made anew only where progress can be read",
    why: "with both damaged the machine must be disabled, and its points go",
    file: "orchestrations/repair-item.ts",
    find: `      if (damage.facts["name"] !== PROGRESS_RECORD) throw damage;`,
    replace: `      if (damage.facts["name"] !== "") throw damage;`,
    tests: ["test/orchestrations/repair-item.test.ts"],
  },
  {
    name: "a repair brings a machine back that was disabled meanwhile",
    why: "it replicates again, and nobody knows of it",
    file: "orchestrations/repair-item.ts",
    find: `policy, policyName, replaces: found.etag };`,
    replace: `policy, policyName };`,
    tests: ["test/orchestrations/repair-item.test.ts"],
  },
  {
    name: "a repair begins a ledger that knows only the extension",
    why: "disabling leaves the rest behind and says that nothing is left",
    file: "orchestrations/repair-item.ts",
    find: `  await requireLedger(context, run);
  // Only`,
    replace: `  // Only`,
    also: [
      {
        file: "orchestrations/repair-item.ts",
        find: `  await requireLedger(context, run);
  const answer`,
        replace: `  const answer`,
      },
    ],
    tests: ["test/orchestrations/repair-item.test.ts"],
  },
  {
    name: "a disabling that slept revokes the tokens of the next life",
    why: "the service of a machine that is protected again is silent for good",
    file: "orchestrations/activities/removal-data.ts",
    find: `    requireSameLife(item, lastStream);
    return`,
    replace: `    return`,
    tests: ["test/orchestrations/sleepers.test.ts"],
  },
  {
    name: "a flow that slept closes the stream of the next life",
    why: "a machine that is protected again replicates nothing",
    file: "replication/records/streams.ts",
    find: `  requireSameLife(item, lastStream);
`,
    replace: ``,
    tests: ["test/orchestrations/sleepers.test.ts"],
  },
];
