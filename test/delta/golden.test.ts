import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { decodeDelta } from "../../replication/delta/decode.ts";
import type { DecodedDelta } from "../../replication/delta/delta.ts";
import { encodeDelta } from "../../replication/delta/encode.ts";
import { GOLDEN_SAMPLES } from "./golden-samples.ts";

const folder = new URL("golden/", import.meta.url);
const fileOf = (name: string, ending: "delta" | "json") => new URL(`${name}.${ending}`, folder);

/** What a delta means, in JSON: nothing that depends on how zstd packs it. */
function meaning(delta: DecodedDelta): unknown {
  const frames = delta.frames.map((frame, index) => ({
    ...frame,
    sha256: createHash("sha256").update(delta.frame(index)).digest("hex"),
  }));
  return JSON.parse(JSON.stringify({ header: delta.header, end: delta.end, extents: delta.extents, frames }));
}

// A new sample gets its files with LEEWARD_WRITE_GOLDEN=1; files that exist are never written again.
if (process.env["LEEWARD_WRITE_GOLDEN"] === "1") {
  for (const [name, { header, extents }] of Object.entries(GOLDEN_SAMPLES)) {
    if (existsSync(fileOf(name, "delta"))) continue;
    const { bytes } = encodeDelta(header, extents);
    writeFileSync(fileOf(name, "delta"), bytes);
    writeFileSync(fileOf(name, "json"), `${JSON.stringify(meaning(decodeDelta(bytes)), undefined, 2)}\n`);
  }
}

describe("golden files of version 1", () => {
  it("each sample has its file and its dump, and there are no others", () => {
    const names = Object.keys(GOLDEN_SAMPLES);
    expect(readdirSync(folder).toSorted()).toEqual(
      names.flatMap((name) => [`${name}.delta`, `${name}.json`]).toSorted(),
    );
  });

  it.each(Object.keys(GOLDEN_SAMPLES))("%s decodes to exactly its dump", (name) => {
    const delta = decodeDelta(readFileSync(fileOf(name, "delta")));
    expect(meaning(delta)).toEqual(JSON.parse(readFileSync(fileOf(name, "json"), "utf8")));
  });

  it.each(Object.entries(GOLDEN_SAMPLES))(
    "%s: the encoder of today arrives at the same position and meaning",
    (name, { header, extents }) => {
      const golden = decodeDelta(readFileSync(fileOf(name, "delta")));
      const today = encodeDelta(header, extents);
      expect(today.end).toEqual(golden.end);
      expect(meaning(decodeDelta(today.bytes))).toEqual(meaning(golden));
    },
  );

  it("raw frames and zstd frames are both among them", () => {
    const codecs = ["v1-raw", "v1-typical"].map((name) => {
      const delta = decodeDelta(readFileSync(fileOf(name, "delta")));
      return new Set(delta.frames.map((_, index) => delta.stored(index).codec));
    });
    expect(codecs).toEqual([new Set(["raw", "zstd"]), new Set(["zstd"])]);
  });
});
