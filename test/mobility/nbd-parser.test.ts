import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createNbdParser, type NbdEvent } from "../../mobility/nbd/parser.ts";

const PIECE = 4 * 1024 * 1024;

/**
 * Feeds bytes in pieces and collects the events; a GO or EXPORT_NAME option begins the transmission, as the server
 * does.
 */
function parse(pieces: readonly Buffer[]): readonly NbdEvent[] {
  const parser = createNbdParser();
  const events: NbdEvent[] = [];
  for (const piece of pieces) {
    parser.push(piece);
    for (let event = parser.next(); event !== undefined; event = parser.next()) {
      // A piece is good until the next event only.
      events.push(event.kind === "payload" ? { ...event, data: Buffer.from(event.data) } : event);
      expect(parser.heldBytes).toBeLessThanOrEqual(PIECE + piece.length);
      if (event.kind === "option" && (event.option === 7 || event.option === 1)) parser.beginTransmission();
    }
    expect(parser.heldBytes).toBeLessThanOrEqual(PIECE + piece.length);
  }
  return events;
}

function cut(bytes: Buffer, sizes: readonly number[]): readonly Buffer[] {
  const pieces: Buffer[] = [];
  let at = 0;
  for (let index = 0; at < bytes.length; index += 1) {
    const size = sizes.length === 0 ? bytes.length : (sizes[index % sizes.length] ?? 1);
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  return pieces;
}

const option = (id: number, data: Buffer): Buffer => {
  const head = Buffer.alloc(16);
  head.write("IHAVEOPT", 0, "latin1");
  head.writeUInt32BE(id, 8);
  head.writeUInt32BE(data.length, 12);
  return Buffer.concat([head, data]);
};
const request = (
  type: number,
  flags: number,
  cookie: bigint,
  offset: bigint,
  length: number,
  data = Buffer.alloc(0),
): Buffer => {
  const head = Buffer.alloc(28);
  head.writeUInt32BE(0x25609513, 0);
  head.writeUInt16BE(flags, 4);
  head.writeUInt16BE(type, 6);
  head.writeBigUInt64BE(cookie, 8);
  head.writeBigUInt64BE(offset, 16);
  head.writeUInt32BE(length, 24);
  return Buffer.concat([head, data]);
};
const FLAGS = Buffer.from([0, 0, 0, 3]);

const bytesOf = (maxLength: number) => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));
const optionArbitrary = fc
  .tuple(
    fc.integer({ min: 2, max: 20 }).filter((id) => id !== 7),
    bytesOf(300),
  )
  .map(([id, data]) => option(id, data));
const writeArbitrary = fc
  .tuple(
    fc.nat(31),
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    bytesOf(5000),
  )
  .map(([flags, cookie, offset, data]) => request(1, flags, cookie, offset, data.length, data));
const otherArbitrary = fc
  .tuple(
    fc.constantFrom(0, 2, 3, 4, 5, 6, 7, 99),
    fc.nat(31),
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    fc.nat(2 ** 31),
  )
  .map(([type, flags, cookie, length]) => request(type, flags, cookie, 7n, length));

describe("NBD parser", () => {
  it("gives the same events however the bytes are cut", () => {
    fc.assert(
      fc.property(
        fc.array(optionArbitrary, { maxLength: 6 }),
        fc.array(fc.oneof(writeArbitrary, otherArbitrary), { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 2000 }), { minLength: 1, maxLength: 8 }),
        (options, requests, sizes) => {
          const bytes = Buffer.concat([FLAGS, ...options, option(7, Buffer.alloc(6)), ...requests]);
          const whole = parse([bytes]);
          expect(parse(cut(bytes, sizes))).toEqual(whole);
          expect(parse(cut(bytes, [1]))).toEqual(whole);
          expect(whole.length).toBe(1 + options.length + 1 + requests.length);
        },
      ),
    );
  });

  it("takes any bytes without an exception, and says nothing more after a violation", () => {
    fc.assert(
      fc.property(
        bytesOf(3000),
        fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 5 }),
        fc.boolean(),
        (noise, sizes, negotiated) => {
          const bytes = negotiated ? Buffer.concat([FLAGS, option(7, Buffer.alloc(6)), noise]) : noise;
          const events = parse(cut(bytes, sizes));
          const violation = events.findIndex((event) => event.kind === "violation");
          expect(violation === -1 || violation === events.length - 1).toBe(true);
        },
      ),
    );
  });

  it("refuses an option longer than 64 KiB before its data has come", () => {
    const head = option(3, Buffer.alloc(0));
    head.writeUInt32BE(65_537, 12);
    expect(parse([FLAGS, head]).at(-1)).toMatchObject({ kind: "violation" });
  });

  it("takes the longest option byte by byte", () => {
    const data = Buffer.from(Array.from({ length: 65_536 }, (_, index) => index % 251));
    const events = parse(cut(Buffer.concat([FLAGS, option(3, data), option(6, Buffer.from("behind it"))]), [1]));
    expect(events.slice(1)).toEqual([
      { kind: "option", option: 3, data },
      { kind: "option", option: 6, data: Buffer.from("behind it") },
    ]);
  });

  it("gives a WRITE of 64 MiB in pieces of 4 MiB, in order", () => {
    const data = Buffer.alloc(64 * 1024 * 1024, 0xa5);
    data.writeUInt32BE(0xdeadbeef, data.length - 4);
    const bytes = request(1, 0, 5n, 0n, data.length, data);
    const events = parse([FLAGS, option(7, Buffer.alloc(6)), ...cut(bytes, [1_000_003])]).slice(2);
    const pieces = events.flatMap((event) => (event.kind === "payload" ? [event] : []));
    expect(pieces.map((piece) => [piece.atBytes, piece.data.length])).toEqual(
      Array.from({ length: 16 }, (_, index) => [index * PIECE, PIECE]),
    );
    expect(Buffer.concat(pieces.map((piece) => piece.data)).equals(data)).toBe(true);
  });

  it("gives the payload of a WRITE above 64 MiB too, and stays in frame", () => {
    const length = 64 * 1024 * 1024 + 1;
    const start = request(1, 0, 9n, 0n, length);
    const chunk = Buffer.alloc(1024 * 1024);
    const pieces = [...Array.from({ length: 64 }, () => chunk), Buffer.alloc(1)];
    const events = parse([FLAGS, option(7, Buffer.alloc(6)), start, ...pieces, request(3, 0, 10n, 0n, 0)]);
    expect(events.slice(-2)).toMatchObject([
      { kind: "payload", atBytes: length - 1, request: { cookie: 9n, lengthBytes: length } },
      { kind: "request", request: { cookie: 10n, type: 3 } },
    ]);
  });

  it("leaves the data of an event alone when they are kept", () => {
    const parser = createNbdParser();
    const write = (fill: number): Buffer => request(1, 0, 1n, 0n, 100_000, Buffer.alloc(100_000, fill));
    parser.push(Buffer.concat([FLAGS, option(7, Buffer.alloc(6))]));
    parser.next();
    parser.next();
    parser.beginTransmission();
    const kept: Buffer[] = [];
    for (const fill of [1, 2]) {
      for (const piece of cut(write(fill), [60_000])) parser.push(piece);
      const event = parser.next();
      if (event?.kind === "payload") kept.push(event.data);
      parser.keep();
    }
    expect(kept.map((data) => data.equals(Buffer.alloc(100_000, data[0])))).toEqual([true, true]);
    expect(kept.map((data) => data[0])).toEqual([1, 2]);
  });

  it("allocates for what came, not for what a header promises", () => {
    const parsers = Array.from({ length: 64 }, () => {
      const parser = createNbdParser();
      parser.push(Buffer.concat([FLAGS, option(7, Buffer.alloc(6))]));
      parser.next();
      parser.next();
      parser.beginTransmission();
      parser.push(request(1, 0, 1n, 0n, 64 * 1024 * 1024, Buffer.alloc(1)));
      expect(parser.next()).toBeUndefined();
      return parser;
    });
    expect(parsers.reduce((sum, parser) => sum + parser.heldBytes, 0)).toBeLessThan(64 * 512 * 1024);
  });
});
