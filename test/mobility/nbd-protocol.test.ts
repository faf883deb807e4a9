import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkCommand } from "../../mobility/nbd/commands.ts";
import {
  acceptClientFlags,
  answerOption,
  type Negotiation,
  type OptionOutcome,
} from "../../mobility/nbd/negotiation.ts";

const EXPORTS = [
  { name: "os", sizeBytes: 1_048_576, sectorSizeBytes: 512 },
  { name: "data", sizeBytes: 2_097_152, sectorSizeBytes: 4096 },
];
const START: Negotiation = { noZeroes: true, structuredReplies: false };

const answer = (option: number, data: Buffer = Buffer.alloc(0), negotiation = START): OptionOutcome =>
  answerOption(option, data, negotiation, EXPORTS);
const types = (outcome: OptionOutcome): readonly number[] => outcome.replies.map((reply) => reply.readUInt32BE(12));
const named = (name: string, infos: readonly number[] = []): Buffer => {
  const text = Buffer.from(name);
  const data = Buffer.alloc(6 + text.length + 2 * infos.length);
  data.writeUInt32BE(text.length, 0);
  text.copy(data, 4);
  data.writeUInt16BE(infos.length, 4 + text.length);
  for (const [index, info] of infos.entries()) data.writeUInt16BE(info, 6 + text.length + 2 * index);
  return data;
};

const ACK = 1;
const UNSUPPORTED = 0x80000001;
const INVALID = 0x80000003;
const UNKNOWN = 0x80000006;

describe("NBD negotiation", () => {
  it("accepts the two flags it offers and hangs up on any other", () => {
    expect(acceptClientFlags(3)).toEqual({ noZeroes: true, structuredReplies: false });
    expect(acceptClientFlags(1)).toEqual({ noZeroes: false, structuredReplies: false });
    expect(acceptClientFlags(4)).toBeUndefined();
  });

  it("GO names size, flags and block sizes of the export and begins the transmission; INFO does the same and goes on", () => {
    const go = answer(7, named("data", [3]));
    expect(types(go)).toEqual([3, 3, ACK]);
    expect(go.next).toEqual({ transmit: 1 });
    expect(go.replies[0]?.readBigUInt64BE(22)).toBe(2_097_152n);
    expect([24, 28, 32].map((at) => go.replies[1]?.readUInt32BE(at - 2))).toEqual([4096, 4096, 64 * 1024 * 1024]);
    const info = answer(6, named("data"));
    expect([types(info), info.next]).toEqual([[3, 3, ACK], "continue"]);
  });

  it("offers DF only with structured replies, and never calls an export read-only", () => {
    const flagsOf = (negotiation: Negotiation): readonly (number | undefined)[] => [
      answer(7, named("os"), negotiation).replies[0]?.readUInt16BE(30),
      answer(1, Buffer.from("os"), negotiation).replies[0]?.readUInt16BE(8),
    ];
    const [READ_ONLY, SEND_DF] = [2, 128];
    const simple = flagsOf(START).map((flags) => (flags ?? 0) & (READ_ONLY | SEND_DF));
    const structured = flagsOf({ ...START, structuredReplies: true }).map(
      (flags) => (flags ?? 0) & (READ_ONLY | SEND_DF),
    );
    expect([simple, structured]).toEqual([
      [0, 0],
      [SEND_DF, SEND_DF],
    ]);
  });

  it("offers all that the server obeys: FLUSH, FUA, TRIM, WRITE_ZEROES, CACHE and several connections", () => {
    const [HAS_FLAGS, FLUSH, FUA, TRIM, WRITE_ZEROES, MULTI, CACHE] = [1, 4, 8, 32, 64, 256, 1024];
    const offered = answer(7, named("os")).replies[0]?.readUInt16BE(30);
    expect(offered).toBe(HAS_FLAGS | FLUSH | FUA | TRIM | WRITE_ZEROES | MULTI | CACHE);
  });

  it("the empty name is the first export", () => {
    expect(answer(7, named("")).next).toEqual({ transmit: 0 });
    expect(answer(1).next).toEqual({ transmit: 0 });
  });

  it("EXPORT_NAME answers without a header, padded unless the client renounced, and hangs up on an unknown name", () => {
    expect(answer(1, Buffer.from("os")).replies.map((reply) => reply.length)).toEqual([10]);
    expect(answer(1, Buffer.from("os"), { ...START, noZeroes: false }).replies.map((reply) => reply.length)).toEqual([
      134,
    ]);
    expect(answer(1, Buffer.from("other"))).toMatchObject({ next: "close", replies: [] });
  });

  it.each([
    ["LIST names every export", 3, Buffer.alloc(0), [2, 2, ACK], "continue"],
    ["LIST takes no data", 3, Buffer.from([1]), [INVALID], "continue"],
    ["ABORT is acknowledged", 2, Buffer.from("any"), [ACK], "close"],
    ["STRUCTURED_REPLY is acknowledged", 8, Buffer.alloc(0), [ACK], "continue"],
    ["STRUCTURED_REPLY takes no data", 8, Buffer.from([1]), [INVALID], "continue"],
    ["GO to an unknown export", 7, named("other"), [UNKNOWN], "continue"],
    ["GO with a name longer than its data", 7, Buffer.from([0, 0, 0, 200, 65, 0, 0]), [INVALID], "continue"],
    ["GO with fewer infos than it says", 7, Buffer.from([0, 0, 0, 0, 0, 9]), [INVALID], "continue"],
    ["GO with nothing", 7, Buffer.alloc(0), [INVALID], "continue"],
    ["STARTTLS", 5, Buffer.alloc(0), [UNSUPPORTED], "continue"],
    ["LIST_META_CONTEXT", 9, Buffer.from("any"), [UNSUPPORTED], "continue"],
    ["SET_META_CONTEXT", 10, Buffer.from("any"), [UNSUPPORTED], "continue"],
    ["an option of the future", 4711, Buffer.from("any"), [UNSUPPORTED], "continue"],
  ])("%s", (_, option, data, expectedTypes, next) => {
    const outcome = answer(option, data);
    expect([types(outcome), outcome.next]).toEqual([expectedTypes, next]);
  });

  it("any option with any data gets an answer, and only GO and EXPORT_NAME begin a transmission", () => {
    fc.assert(
      fc.property(fc.oneof(fc.nat(12), fc.nat(2 ** 32 - 1)), fc.uint8Array({ maxLength: 100 }), (option, data) => {
        const outcome = answer(option, Buffer.from(data));
        const begins = typeof outcome.next === "object";
        expect(!begins || option === 1 || option === 7).toBe(true);
        expect(outcome.replies.length > 0 || option === 1).toBe(true);
      }),
    );
  });
});

describe("NBD commands", () => {
  const SIZE = 10_240;
  const HUGE = 2 ** 40;
  const check = (
    type: number,
    offsetBytes: number,
    lengthBytes: number,
    flags = 0,
    { sizeBytes = SIZE, structured = true } = {},
  ) => checkCommand({ type, flags, offsetBytes, lengthBytes, cookie: 1n }, sizeBytes, structured);
  const refuse = (error: number) => ({ kind: "refuse", error });
  const EINVAL = refuse(22);
  const ENOSPC = refuse(28);
  const EOVERFLOW = refuse(75);
  const NOTHING = { kind: "nothing", durable: false };
  const [FUA, NO_HOLE, DF, REQ_ONE, FAST_ZERO, UNKNOWN_FLAG] = [1, 2, 4, 8, 16, 32];
  const [PAST_END, FAR_PAST_END, LONGEST] = [SIZE - 511, 1.8e19, 2 ** 32 - 1];

  /** One line a command: what a good request means, and what each bad condition is answered with. */
  it.each([
    {
      command: "READ",
      type: 0,
      good: { kind: "read" },
      nothing: { kind: "read" },
      fua: { kind: "read" },
      pastEnd: EINVAL,
      longest: EINVAL,
      flags: { noHole: EINVAL, df: { kind: "read" } },
    },
    {
      command: "WRITE",
      type: 1,
      good: { kind: "write", fua: false },
      nothing: NOTHING,
      fua: { kind: "write", fua: true },
      pastEnd: ENOSPC,
      longest: EINVAL,
      flags: { noHole: EINVAL, df: EINVAL },
    },
    {
      command: "TRIM",
      type: 4,
      good: NOTHING,
      nothing: NOTHING,
      fua: { kind: "nothing", durable: true },
      pastEnd: EINVAL,
      longest: NOTHING,
      flags: { noHole: EINVAL, df: EINVAL },
    },
    {
      command: "CACHE",
      type: 5,
      good: NOTHING,
      nothing: NOTHING,
      fua: { kind: "nothing", durable: true },
      pastEnd: EINVAL,
      longest: NOTHING,
      flags: { noHole: EINVAL, df: EINVAL },
    },
    {
      command: "WRITE_ZEROES",
      type: 6,
      good: { kind: "zero", fua: false },
      nothing: NOTHING,
      fua: { kind: "zero", fua: true },
      pastEnd: ENOSPC,
      longest: { kind: "zero", fua: false },
      flags: { noHole: { kind: "zero", fua: false }, df: EINVAL },
    },
    {
      command: "BLOCK_STATUS without a context",
      type: 7,
      good: EINVAL,
      nothing: EINVAL,
      fua: EINVAL,
      pastEnd: EINVAL,
      longest: EINVAL,
      flags: { noHole: EINVAL, df: EINVAL },
    },
    {
      command: "an unknown command",
      type: 99,
      good: EINVAL,
      nothing: EINVAL,
      fua: EINVAL,
      pastEnd: EINVAL,
      longest: EINVAL,
      flags: { noHole: EINVAL, df: EINVAL },
    },
  ])("$command", ({ type, good, nothing, fua, pastEnd, longest, flags }) => {
    expect([check(type, 0, 512), check(type, 3, 5), check(type, 0, SIZE)]).toEqual([good, good, good]);
    expect([check(type, 0, 0), check(type, SIZE, 0)]).toEqual([nothing, nothing]);
    expect(check(type, 512, 512, FUA)).toEqual(fua);
    expect([check(type, PAST_END, 512), check(type, SIZE, 1), check(type, FAR_PAST_END, 512)]).toEqual([
      pastEnd,
      pastEnd,
      pastEnd,
    ]);
    expect(check(type, 0, LONGEST, 0, { sizeBytes: HUGE })).toEqual(longest);
    expect([check(type, 0, 512, NO_HOLE), check(type, 0, 512, DF)]).toEqual([flags.noHole, flags.df]);
    for (const flag of [REQ_ONE, FAST_ZERO, UNKNOWN_FLAG, 2 ** 15]) {
      expect(check(type, 0, 512, flag)).toEqual(EINVAL);
      expect(check(type, 0, 512, (FUA ?? 0) | (flag ?? 0))).toEqual(EINVAL);
    }
  });

  it("FLUSH has neither offset nor length", () => {
    expect([check(3, 0, 0), check(3, 0, 0, FUA)]).toEqual([{ kind: "flush" }, { kind: "flush" }]);
    expect([check(3, 512, 0), check(3, 0, 512), check(3, 0, 0, DF)]).toEqual([EINVAL, EINVAL, EINVAL]);
  });

  it("DISC is obeyed whatever stands beside it", () => {
    expect(check(2, FAR_PAST_END, LONGEST, 0xffff)).toEqual({ kind: "disconnect" });
  });

  it("DF needs structured replies, and a READ longer than one piece overflows it", () => {
    const MIB = 1024 * 1024;
    expect(check(0, 0, 512, DF, { structured: false })).toEqual(EINVAL);
    expect(check(0, 0, 4 * MIB, DF, { sizeBytes: HUGE })).toEqual({ kind: "read" });
    expect(check(0, 0, 4 * MIB + 1, DF, { sizeBytes: HUGE })).toEqual(EOVERFLOW);
    expect(check(0, 0, 64 * MIB, 0, { sizeBytes: HUGE })).toEqual({ kind: "read" });
    expect(check(0, 0, 64 * MIB + 1, 0, { sizeBytes: HUGE })).toEqual(EINVAL);
  });

  it("takes a WRITE of 64 MiB and none that is longer", () => {
    const MIB = 1024 * 1024;
    expect(check(1, 0, 64 * MIB, 0, { sizeBytes: HUGE })).toEqual({ kind: "write", fua: false });
    expect(check(1, 0, 64 * MIB + 1, 0, { sizeBytes: HUGE })).toEqual(EINVAL);
  });
});
