import type { HistoryPlan } from "./plan.ts";

/** A small history that found a fault. Whole plans, so that they stay what they are when the planner changes. */
export interface NamedPlan {
  readonly name: string;
  /** What happens in it. */
  readonly story: string;
  readonly plan: HistoryPlan;
}

export const PLANS: readonly NamedPlan[] = [
  {
    name: "B1",
    story:
      "two epochs wait to be sealed on a full disk, the first is given up, and what stands behind it is no state of the source",
    plan: {
      seed: 94,
      rates: {},
      machines: [
        { protectedBy: "disks", sectors: [44, 17], epochMaxAgeMs: 3000, spoolMaxBytes: 1_048_576, sealMs: 4000 },
      ],
      appProcesses: 1,
      policy: { pointIntervalMs: 20_000, retentionMs: 86_400_000 },
      steps: [
        { atMs: 0, kind: "operate", machine: 0, operation: "enable" },
        { atMs: 0, kind: "guest", machine: 0, everyMs: 1000 },
        { atMs: 47_952, kind: "state-disk-full", machine: 0, roomBytes: 1350, durationMs: 50_000 },
      ],
      calmMs: 107_952,
    },
  },
  {
    name: "B2",
    story: "the state file cannot be written when a delta was sealed, whose only copy lies in the spool",
    plan: {
      seed: 70,
      rates: {},
      machines: [{ protectedBy: "disks", sectors: [45, 8], epochMaxAgeMs: 3000, spoolMaxBytes: 1_048_576, sealMs: 5 }],
      appProcesses: 1,
      policy: { pointIntervalMs: 60_000, retentionMs: 86_400_000 },
      steps: [
        { atMs: 0, kind: "operate", machine: 0, operation: "enable" },
        { atMs: 0, kind: "guest", machine: 0, everyMs: 5000 },
        { atMs: 29_999, kind: "state-write-fails", machine: 0, times: 2, isDone: false },
      ],
      calmMs: 79_025,
    },
  },
  {
    name: "B3",
    story: "the machine is disabled and enabled again, and finds the state folder of its first life",
    plan: {
      seed: 4,
      rates: {},
      machines: [
        { protectedBy: "machine", sectors: [23, 8], epochMaxAgeMs: 5000, spoolMaxBytes: 1_048_576, sealMs: 5 },
      ],
      appProcesses: 1,
      policy: { pointIntervalMs: 20_000, retentionMs: 0 },
      steps: [
        { atMs: 0, kind: "operate", machine: 0, operation: "enable" },
        { atMs: 71_066, kind: "operate", machine: 0, operation: "disable" },
        { atMs: 102_498, kind: "operate", machine: 0, operation: "enable" },
      ],
      calmMs: 69_665,
    },
  },
  {
    name: "B5",
    story: "all workers die in a batch, and the journal's entry is damaged while the cache has the delta whole",
    plan: {
      seed: 8,
      rates: { "answer-lost": 0.03 },
      machines: [{ protectedBy: "disks", sectors: [25, 40], epochMaxAgeMs: 5000, spoolMaxBytes: 1_048_576, sealMs: 5 }],
      appProcesses: 1,
      policy: { pointIntervalMs: 20_000, retentionMs: 0 },
      steps: [
        { atMs: 0, kind: "operate", machine: 0, operation: "enable" },
        { atMs: 15_953, kind: "journal-damaged", machine: 0, inBatch: true, backMs: 40_000 },
      ],
      calmMs: 43_158,
    },
  },
  {
    name: "B6",
    story: "good deltas and one that is damaged wait for a worker",
    plan: {
      seed: 257,
      rates: {},
      machines: [{ protectedBy: "disks", sectors: [38, 17], epochMaxAgeMs: 3000, spoolMaxBytes: 1_048_576, sealMs: 5 }],
      appProcesses: 1,
      policy: { pointIntervalMs: 60_000, retentionMs: 86_400_000 },
      steps: [
        { atMs: 0, kind: "operate", machine: 0, operation: "enable" },
        { atMs: 0, kind: "guest", machine: 0, everyMs: 5000 },
        { atMs: 9922, kind: "app-killed", downMs: 30_000, isWhole: true },
        { atMs: 34_922, kind: "delta-damaged", machine: 0 },
      ],
      calmMs: 59_549,
    },
  },
  {
    name: "B9",
    story: "a worker is warm when a failover is committed, and its next point is due a little later",
    plan: {
      seed: 262,
      rates: {},
      machines: [
        { protectedBy: "machine", sectors: [32, 40], epochMaxAgeMs: 5000, spoolMaxBytes: 1_048_576, sealMs: 5 },
      ],
      appProcesses: 1,
      policy: { pointIntervalMs: 180_000, retentionMs: 86_400_000 },
      steps: [
        { atMs: 0, kind: "operate", machine: 0, operation: "enable" },
        { atMs: 0, kind: "guest", machine: 0, everyMs: 2000 },
        { atMs: 53_824, kind: "operate", machine: 0, operation: "failover" },
        { atMs: 225_708, kind: "operate", machine: 0, operation: "commit" },
      ],
      calmMs: 285_708,
    },
  },
  {
    name: "kindness A",
    story: "each page blob takes a write or two in a second, whatever a batch needs",
    plan: {
      seed: 13,
      rates: { "answer-lost": 0.01, "listing-stale": 0.3 },
      machines: [
        { protectedBy: "machine", sectors: [21, 40], epochMaxAgeMs: 3000, spoolMaxBytes: 1_048_576, sealMs: 4000 },
      ],
      appProcesses: 1,
      pageWritesPerSecond: 2,
      policy: { pointIntervalMs: 20_000, retentionMs: 600_000 },
      steps: [
        { atMs: 0, kind: "operate", machine: 0, operation: "enable" },
        { atMs: 0, kind: "guest", machine: 0, everyMs: 2000 },
        { atMs: 10_116, kind: "journal-damaged", machine: 0, inBatch: true },
        { atMs: 18_738, kind: "operate", machine: 0, operation: "repair" },
      ],
      calmMs: 59_054,
    },
  },
  {
    name: "kindness B",
    story: "a list lacks the operator's disk in the group that disabling leaves",
    plan: {
      seed: 116,
      rates: { "listing-stale": 0.1 },
      machines: [
        { protectedBy: "machine", sectors: [35, 8], epochMaxAgeMs: 10_000, spoolMaxBytes: 1_048_576, sealMs: 4000 },
      ],
      appProcesses: 1,
      policy: { pointIntervalMs: 60_000, retentionMs: 600_000 },
      steps: [
        { atMs: 0, kind: "operate", machine: 0, operation: "enable" },
        { atMs: 21_777, kind: "operate", machine: 0, operation: "disable" },
      ],
      calmMs: 90_065,
    },
  },
  {
    name: "kindness D",
    story: "a failover for which there was no room is asked for again, and Azure still shows what used the disks",
    plan: {
      seed: 20,
      rates: { "effect-late": 0.01, "listing-stale": 0.1, "in-use-late": 0.8 },
      machines: [
        { protectedBy: "machine", sectors: [28, 8], epochMaxAgeMs: 5000, spoolMaxBytes: 1_048_576, sealMs: 5 },
      ],
      appProcesses: 3,
      policy: { pointIntervalMs: 20_000, retentionMs: 0 },
      steps: [
        { atMs: 0, kind: "operate", machine: 0, operation: "enable" },
        { atMs: 0, kind: "guest", machine: 0, everyMs: 5000 },
        { atMs: 0, kind: "machine-refused", machine: 0, times: 1 },
        { atMs: 118_325, kind: "operate", machine: 0, operation: "failover" },
        { atMs: 163_498, kind: "operate", machine: 0, operation: "failover" },
      ],
      calmMs: 223_498,
    },
  },
];
