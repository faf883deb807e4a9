import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkCommand } from "../../mobility/nbd/commands.ts";
import { acceptClientFlags, answerOption } from "../../mobility/nbd/negotiation.ts";
import type { Negotiation, OptionOutcome } from "../../mobility/nbd/negotiation.ts";

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

  it("the empty name is the first export", () => {
    expect(answer(7, named("")).next).toEqual({ transmit: 0 });
    expect(answer(1).next).toEqual({ transmit: 0 });
  });

  it("EXPORT_NAME answers without a header, padded unless the client renounced, and hangs up on an unknown name", () => {
    expect(answer(1, Buffer.from("os")).replies.map((reply) => reply.length)).toEqual([10]);
    expect(answer(1, Buffer.from("os"), { ...START, noZeroes: false }).replies.map((reply) => reply.length)).toEqual([134]);
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
  const check = (type: number, offsetBytes: number, lengthBytes: number, flags = 0) =>
    checkCommand({ type, flags, offsetBytes, lengthBytes, cookie: 1n, data: Buffer.alloc(0) }, SIZE);
  const refuse = (error: number) => ({ kind: "refuse", error });
  const EINVAL = refuse(22);
  const ENOSPC = refuse(28);

  it.each([
    ["READ past the end", 0, SIZE - 511, 512, 0, EINVAL],
    ["READ above 64 MiB", 0, 0, 2 ** 32 - 1, 0, EINVAL],
    ["WRITE past the end", 1, SIZE, 1, 0, ENOSPC],
    ["WRITE far past the end", 1, 1.8e19, 512, 0, ENOSPC],
    ["WRITE_ZEROES past the end", 6, SIZE - 1, 2, 0, ENOSPC],
    ["TRIM past the end", 4, SIZE - 1, 2, 0, EINVAL],
    ["CACHE past the end", 5, SIZE - 1, 2, 0, EINVAL],
    ["BLOCK_STATUS without a context", 7, 0, 512, 0, EINVAL],
    ["an unknown command", 99, 0, 0, 0, EINVAL],
    ["an unknown flag", 1, 0, 512, 32, EINVAL],
    ["NO_HOLE on a WRITE", 1, 0, 512, 2, EINVAL],
    ["FAST_ZERO, which is not offered", 6, 0, 512, 16, EINVAL],
    ["FUA on a WRITE", 1, 0, 512, 1, { kind: "write", fua: true }],
    ["FUA on a TRIM", 4, 0, 512, 1, { kind: "nothing", durable: true }],
    ["NO_HOLE on WRITE_ZEROES", 6, 0, 512, 2, { kind: "zero", fua: false }],
    ["a READ of nothing", 0, 0, 0, 0, { kind: "read" }],
    ["a WRITE of nothing", 1, 0, 0, 0, { kind: "nothing", durable: false }],
    ["an unaligned WRITE", 1, 3, 5, 0, { kind: "write", fua: false }],
    ["CACHE", 5, 0, 512, 0, { kind: "nothing", durable: false }],
    ["FLUSH", 3, 0, 0, 0, { kind: "flush" }],
    ["DISC", 2, 0, 0, 0, { kind: "disconnect" }],
  ])("%s", (_, type, offset, length, flags, expected) => {
    expect(check(type, offset, length, flags)).toEqual(expected);
  });
});
