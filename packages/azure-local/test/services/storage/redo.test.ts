import { fc, it } from "@fast-check/vitest";
import { describe, expect } from "vitest";
import { hasCode } from "../../../errors.ts";
import { replaceMethod } from "../../../storage/mends/patch.ts";
import { spliceBetween } from "../../../storage/redo/changes.ts";
import { decodeFrames, encodeFrame } from "../../../storage/redo/frames.ts";

describe("the splice between two lists", () => {
  const elements = Array.from({ length: 12 }, (_, number) => ({ number }));
  const list = fc.array(fc.constantFrom(...elements), { maxLength: 30 });

  it.prop([list, list])("turns the one into the other", (before, after) => {
    const { at, removed, inserted } = spliceBetween(before, after);
    const result: object[] = [...before];
    result.splice(at, removed, ...inserted);
    expect(result).toEqual(after);
  });

  it.prop([fc.nat(500), fc.nat(500), fc.nat(3)])("is as short as the change", (length, where, count) => {
    const before = Array.from({ length }, (_, number) => ({ number }));
    const inserted = Array.from({ length: count }, () => ({ number: -1 }));
    const at = Math.min(where, length);
    expect(spliceBetween(before, before.toSpliced(at, 2, ...inserted)).inserted).toHaveLength(count);
  });
});

describe("frames", () => {
  const text = fc.array(fc.string(), { maxLength: 20 });

  it.prop([text, fc.nat(2000)])("come back up to the place where the file was cut off", (values, cut) => {
    const frames = values.map((value) => encodeFrame(JSON.stringify([value])));
    const whole = Buffer.concat(frames);
    const cutAt = Math.min(cut, whole.length);
    const { values: found, lengthBytes } = decodeFrames(whole.subarray(0, cutAt), "file");
    let count = 0;
    let end = 0;
    for (const frame of frames) {
      if (end + frame.length > cutAt) break;
      end += frame.length;
      count++;
    }
    expect(found).toEqual(values.slice(0, count).map((value) => [value]));
    expect(lengthBytes).toBe(end);
  });

  it.prop([text, fc.nat(), fc.integer({ min: 1, max: 255 })])(
    "that were damaged are never read as something else",
    (values, where, flip) => {
      const frames = values.map((value) => encodeFrame(JSON.stringify([value])));
      const whole = Buffer.concat(frames);
      if (whole.length === 0) return;
      const at = where % whole.length;
      whole[at] = (whole[at] ?? 0) ^ flip;
      let found: readonly unknown[] = [];
      let refused = false;
      try {
        found = decodeFrames(whole, "file").values;
      } catch (error) {
        refused = hasCode(error, "state-damaged");
      }
      expect(refused || found.length < values.length).toBe(true);
      expect(found).toEqual(values.slice(0, found.length).map((value) => [value]));
    },
  );
});

describe("a change of Azurite", () => {
  it("is refused when the function that it replaces is not there", () => {
    const other: { computeChecksums?: () => void } = {};
    const change = (): unknown => replaceMethod(other, "computeChecksums", () => () => {});
    expect(change).toThrow(expect.toSatisfy((error: unknown) => hasCode(error, "internal")));
  });

  it("can be taken back", () => {
    const target = { word: () => "before" };
    const undo = replaceMethod(target, "word", (original) => () => `${original()} and after`);
    expect(target.word()).toBe("before and after");
    undo();
    expect(target.word()).toBe("before");
  });
});
