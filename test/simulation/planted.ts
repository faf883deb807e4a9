import type { Edit } from "../mutants/mutant.ts";

/** A fault that the product once had. Planted again, it has to be found by the simulation. */
export interface PlantedFault {
  /** As the reviews call it. `plans.ts` has a plan of this name that finds it. */
  readonly name: string;
  /** What was wrong. */
  readonly wrong: string;
  /** What brings just that back into today's code. */
  readonly edits: readonly Edit[];
}

export const PLANTED_FAULTS: readonly PlantedFault[] = [
  {
    name: "B1",
    wrong: "An epoch given up on a full disk: what is sealed behind it passes for a state of the source.",
    edits: [
      {
        file: "mobility/capture/recorder.ts",
        find: "await state.change({ sealedSegment: number, sealedSequence: lastSequence, ...gap });",
        replace: "await state.change({ sealedSegment: number, sealedSequence: lastSequence });",
      },
    ],
  },
  {
    name: "B2",
    wrong:
      "A write of state.json that failed shows all the same: the sealed delta is never uploaded, and its segment goes.",
    edits: [
      {
        file: "mobility/epochs/state.ts",
        find: "const next = changes.reduce((state, change) => ({ ...state, ...change(state) }), current);",
        replace: "const next = current; void changes;",
      },
      {
        file: "mobility/epochs/state.ts",
        find: '      waiting.changes.push(typeof change === "function" ? change : () => change);',
        replace: '      current = { ...current, ...(typeof change === "function" ? change(current) : change) };',
      },
      { file: "mobility/epochs/state.ts", find: "    current = next;\n", replace: "" },
    ],
  },
  {
    name: "B3",
    wrong:
      "Every life of an item has the same stream number and the same start: the state folder of the first goes on in the second.",
    edits: [
      {
        file: "replication/items/protect.ts",
        find: "stream: await mintStream(stores, request.itemId),",
        replace: "stream: 1,",
      },
      { file: "replication/items/protect.ts", find: "nonce: ids.next(),", replace: 'nonce: "0".repeat(32),' },
    ],
  },
  {
    name: "B5",
    wrong:
      "In a batch that was begun a damaged journal entry is final, whatever the cache has, and a stop there never ends by itself.",
    edits: [
      {
        file: "replication/apply/next-delta.ts",
        find: '      const { lengthBytes } = error.facts;\n      if (error.code === "delta-too-large"',
        replace:
          '      if (begun) throw error;\n      const { lengthBytes } = error.facts;\n      if (error.code === "delta-too-large"',
      },
      {
        file: "replication/apply/next-delta.ts",
        find: "  const end = open.largeBatches.tryBegin();",
        replace: "  if (!isBoundary(progress)) return false;\n  const end = open.largeBatches.tryBegin();",
      },
    ],
  },
  {
    name: "B6",
    wrong: "A delta that cannot be applied holds back the good ones before it.",
    edits: [
      {
        file: "replication/apply/batch.ts",
        find: "if (bad !== undefined && (last === undefined || last.end.epoch < claim.progress().intent.epoch)) throw bad.error;",
        replace: "if (bad !== undefined) throw bad.error;",
      },
    ],
  },
  {
    name: "B9",
    wrong:
      "A worker that is warm when a failover is committed looks at the stream only when it claims, and takes points afterwards.",
    edits: [
      {
        file: "replication/apply/open-stream.ts",
        find: 'if (when === "now and then" && Math.abs(clock.now() - lookedMs) < STREAM_LOOK_MS) return true;',
        replace: "if (lookedMs > -Infinity) return true;",
      },
      {
        file: "replication/apply/take-point.ts",
        find: 'return decision.kind === "due" && (await isStreamOpen(open)) ?',
        replace: 'return decision.kind === "due" ?',
      },
      {
        file: "orchestrations/activities/workers.ts",
        find: 'await context.queue.send({ kind: "hint", itemId }, 0);',
        replace: "",
      },
      {
        file: "orchestrations/activities/commit.ts",
        find: "return { left: isEnded ? left : left + 1 };",
        replace: "return { left };",
      },
    ],
  },
  {
    name: "kindness A",
    wrong:
      "A throttled page write counts as of unknown outcome: the batch begins again at once, and a long one never ends.",
    edits: [
      {
        file: "azure/errors.ts",
        find: 'new Set(["ServerBusy", "SnapshotOperationRateExceeded"])',
        replace: "new Set([])",
      },
      { file: "replication/apply/limits.ts", find: "CLAIM_AGAIN_PAUSE_MS = 250", replace: "CLAIM_AGAIN_PAUSE_MS = 0" },
      {
        file: "functions/queues/apply-hints.ts",
        find: 'if (outcome.kind === "held") await putOff(',
        replace: "if (app === undefined) await putOff(",
      },
    ],
  },
  {
    name: "kindness B",
    wrong: "A group whose list shows nothing is removed, with everything that the list does not show yet.",
    edits: [
      {
        file: "replication/resources/ledger.ts",
        find: "const toLeave = going.filter((entry) => isHolder(entry) && !kept.includes(entry));",
        replace:
          'const toLeave = going.filter((entry) => isHolder(entry) && entry.kind !== "resource-group" && !kept.includes(entry));',
      },
      {
        file: "orchestrations/activities/removal.ts",
        find: 'if (entry.kind === "resource-group" || entry.kind === "storage-account")\n',
        replace: 'if (entry.kind === "resource-group" && (await resourceManager.list(`${id}/resources`)).length > 0)\n',
      },
    ],
  },
  {
    name: "kindness D",
    wrong:
      '"In use" by what has just been removed is believed: what is shared is released in silence, and the rest is an error for good.',
    edits: [
      {
        file: "orchestrations/activities/removal.ts",
        find: `    const inUse = judgeInUse(await readLedger(stores, run.itemId), entry.id, begun.message, clock.now());
    if (inUse.kind === "again") return { kind: "again", delayMs: AZURE_BUSY_MS, failed: undefined };
    // A failover needs the name of what it made before: there it is an error.
    if (inUse.kind === "foreign" && run.flow === "disable-protection")
      return leave(context, run, inUseLeft(entry.id, inUse.users));
`,
        replace: `    if (entry.role === "shared") {
      await changeLedger(stores, run.itemId, (ledger) => markReleased(ledger, entry.id, clock.now()));
      return { kind: "done" };
    }
`,
      },
    ],
  },
];
