import { describe, expect, it } from "vitest";
import { lockFolder } from "../../mobility/system/folder-lock.ts";
import type { Processes } from "../../mobility/system/process-start.ts";
import { createMemoryMedium } from "../memory/memory-files.ts";
import { createRandom } from "../memory/random.ts";

const PATH = "/state/lock";
const processOf = (ownId: number, living: readonly number[]): Processes => ({
  ownId,
  startTime: (id) => (living.includes(id) ? String(id) : undefined),
  exists: (id) => living.includes(id),
});

describe("the lock of a state folder", () => {
  it("keeps a second process out while the first lives, and is taken over when it does not", () => {
    const medium = createMemoryMedium({ random: createRandom(1), schedule: (work) => work() });
    medium.put("/state/x", Buffer.alloc(0));
    const { files } = medium.process();
    lockFolder(files, processOf(1, [1, 2]), PATH);
    expect(() => lockFolder(files, processOf(2, [1, 2]), PATH)).toThrow(
      expect.objectContaining({ code: "state-locked" }),
    );
    const unlock = lockFolder(files, processOf(2, [2]), PATH);
    unlock();
    expect(files.list("/state")).toEqual(["x"]);
  });

  it("that cannot be written leaves no file, open or closed", () => {
    const medium = createMemoryMedium({ random: createRandom(1), schedule: (work) => work() });
    medium.put("/state/x", Buffer.alloc(0));
    const process = medium.process();
    const undo = medium.fail({ operations: ["write"], path: /lock$/, code: "ENOSPC", when: "before" });
    expect(() => lockFolder(process.files, processOf(1, [1]), PATH)).toThrow("ENOSPC");
    expect([process.files.list("/state"), process.openPaths]).toEqual([["x"], []]);
    undo();
    lockFolder(process.files, processOf(1, [1]), PATH);
  });
});
