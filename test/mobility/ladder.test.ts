import { describe, expect, it } from "vitest";
import { LADDER, type LadderEvent, type Rung, judgeRoom } from "../../mobility/capture/ladder.ts";

const RUNGS = Object.keys(LADDER) as readonly Rung[];
const EVENTS = Object.keys(LADDER.logging) as readonly LadderEvent[];
const cells = RUNGS.flatMap((rung) => EVENTS.map((event) => ({ rung, event, taken: LADDER[rung][event] })));
const actionsOf = (event: LadderEvent): object =>
  Object.fromEntries(RUNGS.map((rung) => [rung, LADDER[rung][event]?.action]));

describe("the ladder", () => {
  it("has an answer on every rung for what the guest and the seeding may want at any moment", () => {
    expect(actionsOf("change")).toEqual({ logging: "record", closing: "wait", tracking: "mark", opening: "wait" });
    expect(actionsOf("seed")).toEqual({ logging: "record", closing: "refuse", tracking: "refuse", opening: "refuse" });
    expect(actionsOf("flush")).toEqual({
      logging: "sync-journal",
      closing: "wait",
      tracking: "sync-images",
      opening: "wait",
    });
    expect(actionsOf("settle")).toEqual({
      logging: "sync-journal",
      closing: "refuse",
      tracking: "sync-map",
      opening: "refuse",
    });
    expect(actionsOf("lose")).toEqual({
      logging: "end-log",
      closing: "nothing",
      tracking: "nothing",
      opening: "nothing",
    });
  });

  it("is moved by nothing that only wants to write, read or flush", () => {
    const moved = cells.filter(
      ({ rung, event, taken }) =>
        ["change", "seed", "flush", "settle"].includes(event) && taken !== undefined && taken.next !== rung,
    );
    expect(moved).toEqual([]);
  });

  it("is climbed by these steps only: from log to marks and back through what makes it durable", () => {
    const moves = cells.flatMap(({ rung, event, taken }) =>
      taken === undefined || taken.next === rung ? [] : [`${rung} -${event}-> ${taken.next}`],
    );
    expect(moves.toSorted()).toEqual([
      "closing -closed-> tracking",
      "logging -close-> closing",
      "logging -lose-> closing",
      "opening -failed-> tracking",
      "opening -opened-> logging",
      "tracking -open-> opening",
    ]);
  });

  it("tells those who wait whenever they may go on", () => {
    const waiting = new Set(RUNGS.filter((rung) => LADDER[rung].change?.action === "wait"));
    const ways = cells.flatMap(({ rung, taken }) =>
      waiting.has(rung) && taken !== undefined && !waiting.has(taken.next) ? [taken.action] : [],
    );
    expect(ways).toEqual(["tell", "tell", "tell"]);
  });

  it("cannot be told of an end or a beginning that was not under way", () => {
    const impossible = cells.flatMap(({ rung, event, taken }) => (taken === undefined ? [`${rung} ${event}`] : []));
    expect(impossible.toSorted()).toEqual([
      "closing failed",
      "closing open",
      "closing opened",
      "logging closed",
      "logging failed",
      "logging open",
      "logging opened",
      "opening close",
      "opening closed",
      "opening open",
      "tracking closed",
      "tracking failed",
      "tracking opened",
    ]);
  });
});

describe("rule 9: a change is recorded", () => {
  const room = { hasRoom: true, isSealerFailing: false, bytes: 100, boundBytes: 100 };
  it.each([
    ["up to the bound of the spool", room, "record"],
    ["but not beyond it: then the log ends", { ...room, bytes: 101 }, "spool-full"],
    ["once the journal has room: until then the guest waits", { ...room, hasRoom: false }, "wait"],
    [
      "unless nothing can be sealed any more: then the log ends",
      { ...room, hasRoom: false, isSealerFailing: true },
      "disk-full",
    ],
    ["as long as there is room, whatever the sealer does", { ...room, isSealerFailing: true }, "record"],
    ["never beyond the bound for want of room", { ...room, hasRoom: false, bytes: 101 }, "wait"],
  ] as const)("%s", (_, fullness, judged) => {
    expect(judgeRoom(fullness)).toBe(judged);
  });
});
